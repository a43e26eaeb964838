"""What lies between server and page: proxies that recode, addresses without https."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext

from offcut_build.browser import BROWSERS, find
from tests.browser.app import BOOT_SECONDS, App
from tests.faulty_site import faulty_site, recoded
from tests.record import record

NETWORK_NAME = "photos.example"


def test_L17_proxy_that_compresses_and_relabels_everything_changes_nothing(
    context: BrowserContext, dist: Path, samples: Path
) -> None:
    with faulty_site(dist, everywhere=recoded) as site:
        app = App(context.new_page())
        app.page.goto(site.url)
        assert app.wait("ready", "error", seconds=BOOT_SECONDS) == "ready", app.describe()
        assert app.cut_out(samples / "cat.jpg").name == "cat-offcut.png"
        app.wait_until(lambda: app.attribute("offline") == "saved", "everything is kept", 30)
        context.set_offline(True)

        app.page.goto(site.url)
        assert app.wait("ready", "error", seconds=BOOT_SECONDS) == "ready", app.describe()
        assert app.cut_out(samples / "cat.jpg").name == "cat-offcut.png"
        record("faults: files recoded on their way by a proxy", len(site.seen))


@pytest.fixture
def elsewhere(chromium: Browser) -> Iterator[BrowserContext]:
    """A browser for which a name of the network leads to this machine."""
    program = find(BROWSERS["Chromium"])
    rules = f"--host-resolver-rules=MAP {NETWORK_NAME} 127.0.0.1"
    arguments = ["--no-sandbox", "--disable-gpu", rules]
    browser = chromium.browser_type.launch(executable_path=program, args=arguments)
    yield browser.new_context()
    browser.close()


def test_L16_address_without_https_is_refused_in_words(
    elsewhere: BrowserContext, dist: Path
) -> None:
    with faulty_site(dist) as site:
        app = App(elsewhere.new_page())
        app.page.goto(site.url.replace("127.0.0.1", NETWORK_NAME))
        app.wait("error", "ready", seconds=BOOT_SECONDS)

        assert app.page.evaluate("isSecureContext") is False
        assert "this address is not secure" in app.error
        assert "Open the page over https" in app.error
