"""Photo after photo: the heaps of WebAssembly stay as they are, and no proxy is left behind.

The default run does a dozen photos; `python3 build.py test -- -m soak` does two hundred.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser.python_page import PythonPage, python_page
from tests.record import record

WARM_UP = 4  # photos after which nothing may grow
SOURCE = """
import base64
import js, pyodide_js
from pyodide.ffi import create_proxy, to_js
from offcut.web import canvas, handlers

async def load_package(name):
    raise AssertionError("a JPEG needs no package")

module = pyodide_js._module
module.enable_pyproxy_allocation_tracing()
root = js.location.href.rpartition("/")[0] + "/"
service = handlers.Service(js.location.origin + "/", lambda message: None, load_package)
call = lambda name, params, number: handlers.METHODS[name](
    service, params, handlers.Report(service, number))
await call("open_model", {}, 1)
blobs = [canvas.to_blob(base64.b64decode(data), "image/jpeg") for data in PHOTOS]
sizes = []
for number in range(COUNT):
    await call("remove", {"file": blobs[number % len(blobs)], "name": "a.jpg"}, number + 2)
    sizes.append([module.HEAP8.length, module.pyproxy_alloc_map.size])
sizes
"""


@pytest.fixture(scope="module")
def python(
    chromium: Browser, dist: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PythonPage]:
    """One of its own: what other tests did to a heap would hide that it grows."""
    with python_page(chromium, dist, tmp_path_factory.mktemp("memory") / "dist") as opened:
        yield opened


def measure(python: PythonPage, samples: Path, count: int) -> list[list[int]]:
    """Return bytes of Python's heap and the number of proxies after each of `count` photos."""
    files = sorted(samples.glob("*.jpg"))
    photos = [base64.b64encode(file.read_bytes()).decode() for file in files]
    sizes = python.run(f"PHOTOS = {photos!r}\nCOUNT = {count}\n{SOURCE}")
    assert isinstance(sizes, list)
    return sizes


@pytest.mark.parametrize("count", [12, pytest.param(200, marks=pytest.mark.soak)])
def test_M5_M6_photos_leave_heap_and_proxies_as_they_were(
    python: PythonPage, samples: Path, count: int
) -> None:
    sizes = measure(python, samples, count)

    record("faults: photos in a row without growth", count)
    assert len(sizes) == count
    assert {tuple(row) for row in sizes[WARM_UP:]} == {tuple(sizes[WARM_UP])}
