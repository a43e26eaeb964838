"""Finding browsers: what the user names comes first, what is missing is installed or explained."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from offcut_build import browser
from offcut_build.browser import BROWSERS, MANAGERS, install_commands
from offcut_build.errors import CommandError
from offcut_build.tree import Tree


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make PATH a folder with no browser in it, and the usual places empty."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    for row in BROWSERS.values():
        monkeypatch.delenv(row.variable, raising=False)
    bare = {
        name: browser.Browser(row.variable, row.names, (), row.packages)
        for name, row in BROWSERS.items()
    }
    monkeypatch.setattr(browser, "BROWSERS", bare)
    return folder


def program(path: Path, text: str = "exit 0") -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_a_browser_is_found_on_the_path(programs: Path) -> None:
    want = program(programs / "chromium-browser")

    assert browser.find(browser.BROWSERS["Chromium"]) == want


def test_the_variable_comes_first_and_a_wrong_one_is_named(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(programs / "chromium")
    mine = program(programs / "mine")
    monkeypatch.setenv("OFFCUT_CHROMIUM", mine)
    assert browser.find(browser.BROWSERS["Chromium"]) == mine

    monkeypatch.setenv("OFFCUT_CHROMIUM", "/nowhere/chromium")
    with pytest.raises(CommandError, match="OFFCUT_CHROMIUM: /nowhere/chromium"):
        browser.find(browser.BROWSERS["Chromium"])


@pytest.mark.parametrize("manager", MANAGERS)
def test_root_gets_chromium_from_any_package_manager(manager: str) -> None:
    calls = install_commands("Chromium", have=[manager], root=True)

    assert calls[-1][0] == manager and calls[-1][-1] == "chromium"


def test_apt_lists_are_brought_first_and_webkit_comes_with_a_display() -> None:
    calls = install_commands("WebKitGTK", have=["apt-get"], root=True)

    assert calls[0][:2] == ["apt-get", "update"]
    assert calls[1][-2:] == ["webkit2gtk-driver", "xvfb"]


def test_nothing_is_installed_without_root_or_where_no_package_is_known() -> None:
    assert install_commands("Chromium", have=["apt-get"], root=False) == []
    assert install_commands("WebKitGTK", have=["apk"], root=True) == []
    assert install_commands("Chromium", have=[], root=True) == []


def test_a_missing_browser_is_installed_and_then_found(
    programs: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    program(programs / "chromium")
    script = f"""[ "$1" = update ] && exit 0
for name in "$@"; do printf '#!/bin/sh\\n' > {programs}/$name; done
/bin/chmod 755 {programs}/*
/bin/cp {programs}/webkit2gtk-driver {programs}/WebKitWebDriver 2>/dev/null || exit 0"""
    program(programs / "apt-get", script)

    found = browser.environment(tree)

    assert found == {
        "OFFCUT_CHROMIUM": str(programs / "chromium"),
        "OFFCUT_FIREFOX": str(programs / "firefox-esr"),
        "OFFCUT_WEBKIT_DRIVER": str(programs / "WebKitWebDriver"),
    }


def test_a_browser_that_cannot_be_had_is_reported_with_its_reason(
    programs: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    program(programs / "chromium")
    program(programs / "apt-get", "echo 'E: no network' >&2; exit 100")

    found = browser.environment(tree)

    assert found["OFFCUT_FIREFOX"] == ""
    assert found["OFFCUT_FIREFOX_MISSING"].endswith("E: no network")


def test_without_chromium_the_run_fails_with_the_remedy(
    programs: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    with pytest.raises(CommandError, match="the tests need Chromium") as caught:
        browser.environment(tree)

    assert "OFFCUT_CHROMIUM" in caught.value.remedy
