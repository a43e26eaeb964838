"""A worker that fails or hangs is replaced; the photo is kept, and the next one works."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Worker

from tests.browser.app import BOOT_SECONDS, App

THROW = "() => void setTimeout(() => { throw new Error('out of luck') })"
HANG = "() => void setTimeout(() => { for (const end = Date.now() + 20e3; Date.now() < end;); })"


@pytest.fixture(scope="module")
def app(chromium: Browser, site: str) -> Iterator[App]:
    """A page of its own, since its workers are damaged here."""
    context = chromium.new_context()
    made = App(context.new_page())
    made.page.goto(site)
    assert made.wait("ready", "error", seconds=BOOT_SECONDS) == "ready", made.describe()
    yield made
    context.close()


def python_worker(app: App) -> Worker:
    return app.page.workers[0]  # the first one that the page starts; kernel threads come after


def test_photo_of_a_worker_that_fails_can_be_tried_again(app: App, samples: Path) -> None:
    app.choose(samples / "cat.jpg")
    app.wait("working")
    python_worker(app).evaluate(THROW)
    app.wait_until(lambda: "out of luck" in app.error, "the error is told", 20)

    app.wait("error", seconds=BOOT_SECONDS)  # the new worker is ready; the photo's error stays
    app.page.get_by_role("button", name="Try again").click()

    assert app.wait("done", "error") == "done", app.describe()
    assert app.download().name == "cat-offcut.png"


def test_worker_that_fails_while_idle_is_replaced_without_a_word(app: App, samples: Path) -> None:
    app.start_over()
    python_worker(app).evaluate(THROW)
    app.wait("booting", seconds=20)

    app.wait("ready", "error", seconds=BOOT_SECONDS)

    assert app.error == ""
    assert app.cut_out(samples / "cat.jpg").name == "cat-offcut.png"


def test_cancel_replaces_a_worker_that_does_not_listen(app: App, samples: Path) -> None:
    app.start_over()
    app.choose(samples / "coffee.jpg", samples / "cat.jpg")
    app.wait("working")
    python_worker(app).evaluate(HANG)

    app.page.get_by_test_id("cancel").click()

    app.wait("booting", seconds=5)
    assert app.wait("done", "error", seconds=BOOT_SECONDS) == "done", app.describe()
    assert app.download().name == "cat-offcut.png"  # the photo behind it had not begun


def test_photo_is_cut_out_with_the_network_unplugged(app: App, samples: Path) -> None:
    app.start_over()
    app.page.context.set_offline(True)
    try:
        assert app.cut_out(samples / "coffee.jpg").name == "coffee-offcut.png"
    finally:
        app.page.context.set_offline(False)
