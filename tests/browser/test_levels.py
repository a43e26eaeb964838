"""The panel where a model is chosen: sizes and measured losses are shown, and a choice is used."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser

import offcut
from tests.browser.app import BOOT_SECONDS, App, png

# u8 arithmetic may round differently by one on CPython.
ALPHA_ROUNDING = 1


@pytest.fixture(scope="module")
def index(dist: Path) -> dict[str, dict[str, object]]:
    models: dict[str, dict[str, object]] = json.loads((dist / "models" / "index.json").read_text())[
        "models"
    ]
    return models


@pytest.fixture
def panel(chromium: Browser, site: str) -> Iterator[App]:
    """A page of its own, since the model it uses is changed, with the panel open."""
    context = chromium.new_context()
    app = App(context.new_page())
    app.page.goto(site)
    assert app.wait("ready", "error", seconds=BOOT_SECONDS) == "ready", app.describe()
    app.page.get_by_test_id("levels-open").click()
    yield app
    context.close()


def test_each_model_is_offered_with_its_size_its_loss_and_its_card(
    panel: App, index: dict[str, dict[str, object]]
) -> None:
    for name, row in index.items():
        item = panel.page.locator(f"li:has([data-level='{name}'])")
        text = item.inner_text()
        assert f"{int(str(row['bytes'])) / 1e6:.2f} MB" in text
        quality = row["quality"]
        assert isinstance(quality, dict)
        assert f"{quality['iou'] * 100:.1f} % of the same area" in text
        assert f"IoU {quality['iou']:.3f}, worst photo {quality['worst_iou']:.3f}" in text
        link = item.get_by_role("link").get_attribute("href")
        assert link == row["card"]
        assert panel.page.request.get(panel.page.url + str(link)).ok
    pressed = panel.page.locator("[data-level][aria-pressed=true]")
    assert pressed.get_attribute("data-level") == panel.attribute("model")


def test_a_choice_is_used_for_the_photos_after_it(
    panel: App, index: dict[str, dict[str, object]], samples: Path
) -> None:
    other = next(name for name in index if name != panel.attribute("model"))
    panel.page.locator(f"[data-level='{other}']").click()
    panel.wait_until(lambda: panel.attribute("model") == other, "the model", BOOT_SECONDS)
    assert panel.wait("ready", "error") == "ready", panel.describe()
    with Image.open(samples / "cat.jpg") as image:
        photo = np.asarray(image.convert("RGB"))

    pixels = panel.cut_out(("cat.png", png(photo))).pixels

    session = offcut.new_session(other, backend=panel.attribute("backend"))
    expected = offcut.remove(photo, session=session)
    session.close()
    assert np.abs(pixels[..., 3].astype(int) - expected[..., 3]).max() <= ALPHA_ROUNDING


def test_the_panel_closes_by_keyboard_and_changes_nothing(panel: App) -> None:
    model = panel.attribute("model")
    panel.page.keyboard.press("Escape")
    assert not panel.page.get_by_test_id("levels").is_visible()
    assert panel.attribute("model") == model
