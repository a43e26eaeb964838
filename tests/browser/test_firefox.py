"""The page in Firefox, driven by Marionette."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.scenario import Driver, check_engine


@pytest.mark.slow
def test_firefox_does_what_every_engine_must(
    firefox_driver: Driver, site: str, samples: Path, tmp_path: Path
) -> None:
    check_engine(firefox_driver, site, samples, tmp_path)
