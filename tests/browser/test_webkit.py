"""The page in WebKitGTK, driven by its own WebDriver; it needs a display, real or virtual."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.scenario import Driver, check_engine


@pytest.mark.slow
def test_webkit_does_what_every_engine_must(
    webkit_driver: Driver, site: str, samples: Path, tmp_path: Path
) -> None:
    check_engine(webkit_driver, site, samples, tmp_path)
