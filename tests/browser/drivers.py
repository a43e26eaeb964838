"""The three engines behind one small interface, started when first asked for."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from offcut_build.browser import BROWSERS, find
from tests.browser.marionette import firefox
from tests.browser.scenario import Driver
from tests.browser.webdriver import webkit

ENGINES = ("Chromium", "Firefox", "WebKitGTK")
MINI_BROWSERS = (
    "/usr/lib/x86_64-linux-gnu/webkit2gtk-4.1/MiniBrowser",
    "/usr/lib/aarch64-linux-gnu/webkit2gtk-4.1/MiniBrowser",
    "/usr/libexec/webkit2gtk-4.1/MiniBrowser",
    "/usr/lib/webkit2gtk-4.1/MiniBrowser",
)
# WebKit's sandbox needs kernel features that containers lack, and its compositor a GPU.
WEBKIT_SETTINGS = {
    "WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS": "1",
    "WEBKIT_DISABLE_COMPOSITING_MODE": "1",
    "LIBGL_ALWAYS_SOFTWARE": "1",
}


class Chromium:
    """A page of its own in the Chromium that all tests share."""

    def __init__(self, browser: Browser) -> None:
        self.context = browser.new_context()
        self.page = self.context.new_page()

    def open(self, url: str) -> None:
        """Go to an address."""
        self.page.goto(url)

    def run(self, script: str) -> Any:
        """Run the body of a function in the page and return what it returns."""
        return self.page.evaluate(f"() => {{ {script} }}")

    def choose(self, file: Path) -> None:
        """Put a file into the page's file input."""
        self.page.set_input_files(".pick", str(file))

    def close(self) -> None:
        """Close the page."""
        self.context.close()


@contextmanager
def open_firefox(profile: Path) -> Iterator[Driver]:
    """Run Firefox, or skip the test where it cannot be had."""
    program = find(BROWSERS["Firefox"])
    if not program:
        pytest.skip(os.environ.get("OFFCUT_FIREFOX_MISSING", "no Firefox here"))
    with firefox(program, profile) as driver:
        yield driver


@contextmanager
def open_webkit() -> Iterator[Driver]:
    """Run WebKitGTK's MiniBrowser, or skip the test where it cannot be had."""
    driver = find(BROWSERS["WebKitGTK"])
    browser = next((place for place in MINI_BROWSERS if Path(place).exists()), "")
    if not driver or not browser:
        pytest.skip(os.environ.get("OFFCUT_WEBKIT_DRIVER_MISSING", "no WebKitGTK here"))
    with _display() as display:
        env = os.environ | WEBKIT_SETTINGS | {"DISPLAY": display}
        with webkit(driver, browser, env) as session:
            yield session


@contextmanager
def _display() -> Iterator[str]:
    """Yield the display there is, or a virtual one."""
    if os.environ.get("DISPLAY"):
        yield os.environ["DISPLAY"]
        return
    xvfb = shutil.which("Xvfb")
    if xvfb is None:
        pytest.skip("no display, and no Xvfb to make one")
    read, write = os.pipe()
    call = [xvfb, "-displayfd", str(write), "-screen", "0", "1440x1000x24", "-nolisten", "tcp"]
    with subprocess.Popen(call, pass_fds=[write], stderr=subprocess.DEVNULL) as server:
        os.close(write)
        with os.fdopen(read) as answer:
            number = answer.readline().strip()
        yield f":{number}"
        server.terminate()
