"""Find the browsers that the tests drive, and install what is missing where that is possible.

Chromium is needed; Firefox and WebKitGTK are tested where they can be had. A browser is looked for
in its environment variable, on PATH and in the usual places; a missing Chromium comes from
Playwright, and any of them from the system's package manager, where the user is root.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from offcut_build.command import capture
from offcut_build.console import say
from offcut_build.errors import CommandError
from offcut_build.tree import Tree

__all__ = ["BROWSERS", "MANAGERS", "Browser", "environment", "find", "install_commands"]

PROGRAM_SECONDS = 30.0  # for `--version`
INSTALL_SECONDS = 1800.0


@dataclass(frozen=True, slots=True)
class Browser:
    """Where a browser may be, and which packages have it: package manager -> packages."""

    variable: str
    names: tuple[str, ...]  # on PATH
    places: tuple[str, ...]
    packages: dict[str, tuple[str, ...]]


BROWSERS = {
    "Chromium": Browser(
        "OFFCUT_CHROMIUM",
        ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"),
        (
            "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
            "/Applications/Chromium.app/Contents/MacOS/Chromium",
            "C:/Program Files/Google/Chrome/Application/chrome.exe",
            "C:/Program Files (x86)/Google/Chrome/Application/chrome.exe",
        ),
        {name: ("chromium",) for name in ("apt-get", "dnf", "pacman", "apk")},
    ),
    "Firefox": Browser(
        "OFFCUT_FIREFOX",
        ("firefox-esr", "firefox"),
        (
            "/Applications/Firefox.app/Contents/MacOS/firefox",
            "C:/Program Files/Mozilla Firefox/firefox.exe",
        ),
        {
            "apt-get": ("firefox-esr",),
            "dnf": ("firefox",),
            "pacman": ("firefox",),
            "apk": ("firefox-esr",),
        },
    ),
    "WebKitGTK": Browser(
        "OFFCUT_WEBKIT_DRIVER",
        ("WebKitWebDriver",),
        ("/usr/lib/webkit2gtk-4.1/WebKitWebDriver",),
        {"apt-get": ("webkit2gtk-driver", "xvfb")},  # its test browser has no headless mode
    ),
}
MANAGERS = {  # package manager -> what to run before, and to install
    "apt-get": (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq"]),
    "dnf": ([], ["dnf", "install", "-y", "-q"]),
    "pacman": ([], ["pacman", "-Sy", "--noconfirm", "--quiet"]),
    "apk": ([], ["apk", "add", "--quiet"]),
}


def environment(tree: Tree) -> dict[str, str]:
    """Return the variables that tell the tests each browser's path, installing what is missing.

    A browser that cannot be had has an empty path, and its reason in <variable>_MISSING.
    Raises CommandError when there is no Chromium.
    """
    found = {}
    for name, browser in BROWSERS.items():
        reasons = []
        path = find(browser)
        if not path and name == "Chromium":
            path, reason = _from_playwright(tree)
            reasons.append(reason)
        if not path:
            reasons.append(_install(name))
            path = find(browser)
        found[browser.variable] = path
        if not path:
            missing = f"{name} cannot be had here: {'; '.join(filter(None, reasons))}"
            found[f"{browser.variable}_MISSING"] = missing
            say(missing)
    if not found["OFFCUT_CHROMIUM"]:
        raise CommandError(
            f"the tests need Chromium. {found['OFFCUT_CHROMIUM_MISSING']}",
            remedy="install Chromium or Chrome, or name its program in OFFCUT_CHROMIUM",
        )
    return found


def find(browser: Browser) -> str:
    """Return the path of an installed browser, "" when there is none."""
    named = os.environ.get(browser.variable, "")
    if named:
        path = shutil.which(named)
        if path is None:
            raise CommandError(f"{browser.variable}: {named} is no program")
        return path
    for name in (*browser.names, *browser.places):
        if path := shutil.which(name):
            return path
    return ""


def _from_playwright(tree: Tree) -> tuple[str, str]:
    """Return Playwright's own Chromium, downloaded if need be; or "" and why it cannot run."""
    question = (
        "from playwright.sync_api import sync_playwright as s\n"
        "with s() as p: print(p.chromium.executable_path)"
    )
    try:
        path = Path(capture([str(tree.python), "-c", question]).strip())
        if not path.exists():
            say("installing Chromium by Playwright")
            call = [str(tree.python), "-m", "playwright", "install", "chromium"]
            capture(call, seconds=INSTALL_SECONDS)
        # A downloaded Chromium does not start where system libraries are missing.
        capture([str(path), "--version"], seconds=PROGRAM_SECONDS)
    except CommandError as error:
        return "", f"Playwright's does not come or run: {_last_line(error)}"
    return str(path), ""


def install_commands(name: str, *, have: Iterable[str], root: bool) -> list[list[str]]:
    """Return the commands that install a browser by the system's package manager; [] is none.

    have: the package managers on PATH. root: whether this user may install.
    """
    manager = next((manager for manager in MANAGERS if manager in set(have)), "")
    packages = BROWSERS[name].packages.get(manager, ())
    if not packages or not root:
        return []
    before, install = MANAGERS[manager]
    return [call for call in (before, [*install, *packages]) if call]


def _install(name: str) -> str:
    """Install by the system's package manager; return why that did not work, "" when it did."""
    have = [manager for manager in MANAGERS if shutil.which(manager)]
    root = sys.platform != "win32" and os.geteuid() == 0
    calls = install_commands(name, have=have, root=root)
    if not calls:
        return "it is not installed, and the system's package manager has none or needs root"
    say(f"installing {name}: {' '.join(calls[-1])}")
    try:
        for call in calls:
            capture(call, env={"DEBIAN_FRONTEND": "noninteractive"}, seconds=INSTALL_SECONDS)
    except CommandError as error:
        return _last_line(error)
    return ""


def _last_line(error: CommandError) -> str:
    return str(error).splitlines()[-1].strip()
