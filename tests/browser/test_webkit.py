"""The page in WebKitGTK, driven by its own WebDriver; it needs a display, real or virtual."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from offcut_build.browser import BROWSERS, find
from tests.browser.scenario import check_engine
from tests.browser.webdriver import webkit

BROWSER_PLACES = (
    "/usr/lib/x86_64-linux-gnu/webkit2gtk-4.1/MiniBrowser",
    "/usr/lib/aarch64-linux-gnu/webkit2gtk-4.1/MiniBrowser",
    "/usr/libexec/webkit2gtk-4.1/MiniBrowser",
    "/usr/lib/webkit2gtk-4.1/MiniBrowser",
)
# WebKit's sandbox needs kernel features that containers lack, and its compositor a GPU.
SETTINGS = {
    "WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS": "1",
    "WEBKIT_DISABLE_COMPOSITING_MODE": "1",
    "LIBGL_ALWAYS_SOFTWARE": "1",
}


@pytest.fixture
def display() -> Iterator[str]:
    """The display there is, or a virtual one."""
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


@pytest.mark.slow
def test_webkit_does_what_every_engine_must(
    display: str, site: str, samples: Path, tmp_path: Path
) -> None:
    driver = find(BROWSERS["WebKitGTK"])
    browser = next((place for place in BROWSER_PLACES if Path(place).exists()), "")
    if not driver or not browser:
        pytest.skip(os.environ.get("OFFCUT_WEBKIT_DRIVER_MISSING", "no WebKitGTK here"))
    env = os.environ | SETTINGS | {"DISPLAY": display}
    with webkit(driver, browser, env) as session:
        check_engine(session, site, samples, tmp_path)
