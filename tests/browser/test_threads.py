"""Threads change how long a cutout takes, not what it is; one that cannot start is done without."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from playwright.sync_api import BrowserContext

from tests.browser.app import BOOT_SECONDS, App
from tests.browser.scenario import Driver, cut_out, describe, wait


def alpha_with(engine: Driver, url: str, samples: Path, *, threads: str) -> np.ndarray:
    engine.open(url)
    assert wait(engine, "ready", "error", seconds=BOOT_SECONDS) == "ready", describe(engine)
    assert engine.run("return document.documentElement.dataset.threads") == threads
    return cut_out(engine, samples / "cat.jpg")


def test_one_thread_and_two_give_the_same_alpha(engine: Driver, site: str, samples: Path) -> None:
    one = alpha_with(engine, f"{site}?threads=1", samples, threads="1")

    if engine.run("return typeof SharedArrayBuffer") == "undefined":  # WebKitGTK
        two = alpha_with(engine, site, samples, threads="1")
        notes = engine.run("return document.querySelector('.notes').textContent")
        assert "this browser shares no memory between threads" in notes
    else:
        two = alpha_with(engine, f"{site}?threads=2", samples, threads="2")

    assert np.array_equal(one, two)


def test_a_thread_that_cannot_start_is_done_without_and_told(
    context: BrowserContext, site: str, samples: Path
) -> None:
    context.route("**/kernel_thread.js", lambda route: route.abort())

    app = App(context.new_page())
    app.page.goto(site)

    assert app.wait("ready", "error", seconds=BOOT_SECONDS) == "ready", app.describe()
    assert app.attribute("threads") == "1"
    assert "threads cannot be started" in app.text(".notes")
    assert app.cut_out(samples / "cat.jpg").name == "cat-offcut.png"
