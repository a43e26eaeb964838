"""A backend, model or number of threads that the address asks for is kept or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import BrowserContext

import offcut
from tests.browser.app import BOOT_SECONDS, App, png

# The reference computes in float32 on both sides; products are summed in another order.
ALPHA_ROUNDING = 1


@pytest.fixture
def fresh(context: BrowserContext) -> App:
    return App(context.new_page())


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("?backend=quantum", "no backend is called 'quantum'"),
        ("?model=nonesuch", "no model is called 'nonesuch'"),
        ("?threads=0", "threads is '0'"),
        ("?backend=reference&threads=3", "runs on one thread, 3 were asked for"),
    ],
)
def test_choice_that_cannot_be_had_is_refused(fresh: App, site: str, query: str, says: str) -> None:
    fresh.page.goto(site + query)

    fresh.wait("error", "ready", seconds=BOOT_SECONDS)

    assert says in fresh.error
    assert fresh.page.get_by_role("link", name="Let Offcut choose").is_visible()
    assert fresh.attribute("backend") == ""


@pytest.mark.slow
def test_reference_backend_in_the_page_equals_the_one_on_cpython(
    fresh: App, site: str, samples: Path
) -> None:
    cat = np.asarray(Image.open(samples / "cat.jpg").convert("RGB"))
    fresh.page.goto(site + "?backend=reference")
    assert fresh.wait("ready", "error", seconds=BOOT_SECONDS) == "ready", fresh.describe()
    assert fresh.attribute("backend") == "reference"

    pixels = fresh.cut_out(("cat.png", png(cat))).pixels

    session = offcut.new_session(fresh.attribute("model"), backend="reference")
    expected = offcut.remove(cat, session=session)
    assert np.abs(pixels[..., 3].astype(int) - expected[..., 3]).max() <= ALPHA_ROUNDING
