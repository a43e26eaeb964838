"""Python in the worker has no way out either: each is tried with the policy and without."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser.listener import Listener, listening
from tests.browser.python_page import PythonPage, python_page
from tests.record import record

SOURCE = """
import asyncio
import js
from pyodide.ffi import to_js
from pyodide.code import run_js
from pyodide.http import pyfetch

def hit(name):
    return f"{TARGET}/hit/{name}"

async def by_pyfetch():
    await pyfetch(hit("pyfetch"))

async def by_fetch():
    await js.fetch(hit("fetch"))

async def by_post():
    await js.fetch(hit("post"), to_js({"method": "POST", "body": "pixels"},
                                      dict_converter=js.Object.fromEntries))

async def by_request():
    request = js.XMLHttpRequest.new()
    request.open("GET", hit("xhr"), False)
    request.send()

async def by_urllib():
    import urllib.request
    from offcut.web.network import patch_urllib
    patch_urllib()
    urllib.request.urlopen(hit("urllib"))

async def by_websocket():
    js.WebSocket.new(hit("websocket").replace("http", "ws", 1))

async def by_events():
    js.EventSource.new(hit("eventsource"))

async def by_import():
    await run_js("url => import(url)")(hit("import"))

async def by_scripts():
    run_js("url => importScripts(url)")(hit("importscripts"))

async def by_worker():
    js.Worker.new(hit("worker"))

async def by_font():
    await js.FontFace.new("x", f'url("{hit("font")}")').load()

async def attempt(way):
    try:
        await asyncio.wait_for(way(), 2)
    except BaseException:
        pass

ways = [by_pyfetch, by_fetch, by_post, by_request, by_urllib, by_websocket, by_events, by_import]
ways += [by_scripts, by_worker, by_font]
for way in ways:
    await attempt(way)
await asyncio.sleep(0.5)
len(ways)
"""
# Without a policy these fire, or the probe proves nothing. A module worker has no importScripts,
# and no engine starts a worker of another origin.
FIRE = {"pyfetch", "fetch", "post", "xhr", "urllib", "websocket", "eventsource", "import"}


@pytest.fixture(scope="module")
def unprotected(
    chromium: Browser, dist: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PythonPage]:
    """A page that runs Python from a host that sends no policy."""
    folder = tmp_path_factory.mktemp("unprotected") / "dist"
    with python_page(chromium, dist, folder, headers=False) as opened:
        yield opened


def reached(page: PythonPage) -> tuple[Listener, object]:
    with listening() as listener:
        tried = page.run(f"TARGET = {listener.url!r}\n{SOURCE}")
        return listener, tried


def test_P2_python_in_the_worker_reaches_nobody_but_its_own_server(
    python: PythonPage, unprotected: PythonPage
) -> None:
    fired, _ = reached(unprotected)
    stopped, _ = reached(python)

    record("leaks: ways out of Python probed in Chromium", len(fired.hits))
    assert fired.hits >= FIRE
    assert stopped.hits == set() and stopped.requests == 0
