"""The page in Firefox, driven by Marionette."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from offcut_build.browser import BROWSERS, find
from tests.browser.marionette import firefox
from tests.browser.scenario import check_engine


@pytest.mark.slow
def test_firefox_does_what_every_engine_must(site: str, samples: Path, tmp_path: Path) -> None:
    program = find(BROWSERS["Firefox"])
    if not program:
        pytest.skip(os.environ.get("OFFCUT_FIREFOX_MISSING", "no Firefox here"))
    with firefox(program, tmp_path / "profile") as driver:
        check_engine(driver, site, samples, tmp_path)
