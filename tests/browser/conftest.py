"""One server and one Chromium for all browser tests; a warm page for those that need no new one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from offcut import serve
from offcut_build.browser import BROWSERS, find
from tests.browser.app import BOOT_SECONDS, App
from tests.browser.drivers import ENGINES, Chromium, open_firefox, open_webkit
from tests.browser.python_page import PythonPage, python_page
from tests.browser.scenario import Driver
from tests.faulty_site import Site, faulty_site

ROOT = Path(__file__).resolve().parents[2]
QUIET = ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", *QUIET]


@pytest.fixture(scope="session")
def dist() -> Path:
    """The built folder."""
    folder = Path(os.environ.get("OFFCUT_DIST") or ROOT / "dist")
    assert (folder / "manifest.json").exists(), f"{folder}: run `python3 build.py dist` first"
    return folder


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of sample photos."""
    return ROOT / "static" / "samples"


@pytest.fixture(scope="session")
def large_photo(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photo of 8.6 megapixels, which is at work for a second or two."""
    path = tmp_path_factory.mktemp("large") / "coffee.jpg"
    with Image.open(samples / "coffee.jpg") as image:
        image.resize((image.width * 6, image.height * 6)).save(path)
    return path


@pytest.fixture(scope="session")
def requests_seen() -> list[str]:
    """Every request that has reached the server, method and path."""
    return []


@pytest.fixture(scope="session")
def site(dist: Path, requests_seen: list[str]) -> Iterator[str]:
    """The address of a server that serves dist/."""

    def note(method: str, path: str) -> None:
        requests_seen.append(f"{method} {path}")

    with serve.start(dist, on_request=note) as server:
        yield server.url


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A Chromium."""
    program = find(BROWSERS["Chromium"])
    assert program, "no Chromium; name one in OFFCUT_CHROMIUM"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    """A browser profile of its own: nothing cached."""
    made = chromium.new_context()
    yield made
    made.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """An empty page in a new profile."""
    return context.new_page()


@pytest.fixture(scope="session")
def warm_page(chromium: Browser, site: str) -> Iterator[App]:
    """The page, ready, shared by many tests; scripts must not have failed by the end."""
    context = chromium.new_context()
    app = App(context.new_page())
    thrown: list[str] = []
    app.page.on("pageerror", lambda error: thrown.append(str(error)))
    app.page.goto(site)
    assert app.wait("ready", "error", seconds=BOOT_SECONDS) == "ready", app.describe()
    yield app
    context.close()
    assert thrown == []


@pytest.fixture
def app(warm_page: App) -> Iterator[App]:
    """The warm page without photos."""
    warm_page.start_over()
    yield warm_page


@pytest.fixture
def faulty(dist: Path) -> Iterator[Site]:
    """A site of the test's own, whose service worker is nobody else's; it serves faults too."""
    with faulty_site(dist) as running:
        yield running


@pytest.fixture
def fresh(context: BrowserContext) -> App:
    """A page of a browser profile that has never seen Offcut."""
    return App(context.new_page())


@pytest.fixture(scope="session")
def python(
    chromium: Browser, dist: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PythonPage]:
    """A page that runs Python."""
    with python_page(chromium, dist, tmp_path_factory.mktemp("python") / "dist") as opened:
        yield opened


@pytest.fixture(scope="session")
def firefox_driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    """A Firefox, one for all tests."""
    with open_firefox(tmp_path_factory.mktemp("firefox") / "profile") as driver:
        yield driver


@pytest.fixture(scope="session")
def webkit_driver() -> Iterator[Driver]:
    """A WebKitGTK, one for all tests."""
    with open_webkit() as driver:
        yield driver


@pytest.fixture
def chromium_driver(chromium: Browser) -> Iterator[Driver]:
    """A Chromium page behind the interface of the other engines."""
    driver = Chromium(chromium)
    yield driver
    driver.close()


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Driver:
    """Each engine in turn; `request.node.callspec.params["engine"]` is its name."""
    names = {"Chromium": "chromium_driver", "Firefox": "firefox_driver"}
    driver: Driver = request.getfixturevalue(names.get(request.param, "webkit_driver"))
    return driver
