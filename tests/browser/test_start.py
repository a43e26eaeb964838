"""The page starts from few modules; every other one of the originals is there once imported."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from offcut import serve
from tests.browser.app import App
from tests.browser.python_page import PAGES, RUN


@pytest.fixture(scope="module")
def served(
    chromium: Browser, dist: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Page, list[str]]]:
    """A page that runs Python, and the requests that its server has seen."""
    folder = tmp_path_factory.mktemp("start") / "dist"
    shutil.copytree(dist, folder)
    shutil.copytree(PAGES, folder, dirs_exist_ok=True)
    seen: list[str] = []
    with serve.start(folder, on_request=lambda method, path: seen.append(path)) as server:
        context = chromium.new_context()
        page = context.new_page()
        page.goto(f"{server.url}/python.html")
        yield page, seen
        context.close()


def run(served: tuple[Page, list[str]], source: str) -> object:
    return served[0].evaluate(RUN, [{}, source])


def left_out(dist: Path) -> dict[str, list[str]]:
    listed: dict[str, list[str]] = json.loads((dist / "start" / "left_out.json").read_bytes())
    return listed


def originals(seen: list[str], dist: Path) -> list[str]:
    """Return which original archives were asked for."""
    return [path for path in seen if path.lstrip("/") in left_out(dist)]


def test_a_photo_is_cut_out_without_any_original(
    warm_page: App, samples: Path, requests_seen: list[str], dist: Path
) -> None:
    warm_page.start_over()
    warm_page.cut_out(samples / "cat.jpg")

    asked = [request.partition(" ")[2] for request in requests_seen]
    assert "/start/python.pack" in asked
    assert not originals(asked, dist)


def test_every_module_of_offcut_for_the_page_is_imported(
    served: tuple[Page, list[str]], dist: Path
) -> None:
    wheel = next((dist / "pyodide").glob("offcut-*.whl"))
    names = [
        name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for name in zipfile.ZipFile(wheel).namelist()
        if name.endswith(".py") and not name.endswith("__main__.py")
    ]
    source = f"""
import importlib
failed = []
for name in {names!r}:
    try:
        importlib.import_module(name)
    except Exception as error:
        failed.append(f"{{name}}: {{error!r}}")
failed
"""
    assert len(names) > 60
    assert run(served, source) == []


def test_every_module_that_was_left_out_is_found(
    served: tuple[Page, list[str]], dist: Path
) -> None:
    names = [name for listed in left_out(dist).values() for name in listed]
    source = f"""
import importlib.util
import sys
import warnings
names, failed = set({names!r}), []
with warnings.catch_warnings(action="ignore"):
    for name in names:
        try:
            if importlib.util.find_spec(name) is None:
                failed.append(name)
        except ImportError as error:  # of its package, which may need what stock Pyodide lacks
            if error.name in names or error.name in sys.modules:
                failed.append(f"{{name}}: {{error!r}}")
failed
"""
    assert len(names) > 200
    assert run(served, source) == []


USES = {
    "numpy.random": "int(np.random.default_rng(1).integers(5, 6)) == 5",
    "numpy.fft": "abs(np.fft.fft([1.0, 1.0])[0] - 2) < 1e-12",
    "numpy.linalg": "abs(np.linalg.inv(np.array([[2.0]]))[0, 0] - 0.5) < 1e-12",
    "numpy.linalg.eig": "np.allclose(sorted(np.linalg.eigvals(np.diag([1.0, 3.0]))), [1, 3])",
    "numpy.ma": "int(np.ma.masked_equal([1, 2], 2).sum()) == 1",
    "numpy.polynomial": "np.polynomial.Polynomial([1, 2])(2) == 5",
    "decimal": "str(__import__('decimal').Decimal('1.5')) == '1.5'",
    "xml": "__import__('xml.dom.minidom').dom.minidom.parseString('<a/>').toxml().endswith('<a/>')",
    "csv": "next(__import__('csv').reader(['a,b'])) == ['a', 'b']",
    "json": "__import__('json').loads('[1]') == [1]",
}


@pytest.mark.parametrize("name", USES)
def test_what_was_left_out_works(served: tuple[Page, list[str]], name: str) -> None:
    assert run(served, f"import numpy as np\nbool({USES[name]})") is True


def test_an_error_has_a_traceback_that_names_files_and_lines(
    served: tuple[Page, list[str]],
) -> None:
    source = """
import traceback
from offcut.container import read
try:
    read(b"no model", "given")
except Exception as error:
    text = "".join(traceback.format_exception(error))
text
"""
    text = str(run(served, source))

    assert "offcut/container.py" in text
    assert "ModelFormatError" in text


def test_a_module_that_nothing_holds_is_an_import_error(served: tuple[Page, list[str]]) -> None:
    source = """
try:
    import no_such_module
except ModuleNotFoundError as error:
    name = error.name
name
"""
    assert run(served, source) == "no_such_module"


def test_urllib_reaches_the_bundle(served: tuple[Page, list[str]]) -> None:
    source = """
import json
import urllib.request
import js
from offcut.web.network import patch_urllib
patch_urllib()
root = js.location.href.rpartition("/")[0]
with urllib.request.urlopen(f"{root}/manifest.json") as answer:
    version = json.loads(answer.read())["version"]
version
"""
    assert run(served, source)


def test_modules_of_the_snapshot_are_what_they_are_elsewhere(
    served: tuple[Page, list[str]],
) -> None:
    source = """
import sys
import numpy
from offcut.convert import importer
[
    numpy.__file__ == "/lib/python3.14/site-packages/numpy/__init__.pyc",
    sys.modules["offcut.imaging.colors"].parse_color("white") == (255, 255, 255),
    importer.__file__.startswith("/lib/python3.14/site-packages/offcut/"),
    not [finder for finder in sys.meta_path if getattr(finder, "__name__", "") == "PackFinder"],
]
"""
    assert run(served, source) == [True] * 4
