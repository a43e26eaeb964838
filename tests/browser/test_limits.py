"""A device that has not enough of something, or gives up: memory, storage, the tab itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Error

from tests.browser.app import BOOT_SECONDS, App, encoded
from tests.browser.scenario import Driver, cut_out, describe, wait, wait_for
from tests.faulty_site import Site, before
from tests.record import record

# From then on memory does not grow, as on a device that has no more.
NO_MORE = """
self.full = false;
const grow = WebAssembly.Memory.prototype.grow;
WebAssembly.Memory.prototype.grow = function (pages) {
  if (self.full) throw new RangeError("no more memory");
  return grow.call(this, pages);
};
"""
NO_ROOM = """
if (self.Cache) Cache.prototype.put = async () => {
  throw new DOMException("no room", "QuotaExceededError");
};
"""
KEPT = "async () => (await (await caches.open('offcut:/')).keys()).length"


def small_device(memory: float) -> str:
    """Return a script after which a device has `memory` gigabytes."""
    getter = f"{{ get: () => {memory}, configurable: true }}"
    return f"Object.defineProperty(WorkerNavigator.prototype, 'deviceMemory', {getter});"


def visit(fresh: App, faulty: Site) -> None:
    fresh.page.goto(faulty.url)
    assert fresh.wait("ready", "error", seconds=BOOT_SECONDS) == "ready", fresh.describe()


def blank(width: int, height: int) -> bytes:
    return encoded(Image.new("L", (width, height), 200), "PNG")


def test_M1_photo_for_which_memory_runs_out_is_told_and_the_next_one_works(
    fresh: App, faulty: Site, samples: Path
) -> None:
    faulty.faults["worker.js"] = before(NO_MORE)
    visit(fresh, faulty)
    fresh.cut_out(samples / "cat.jpg")
    worker = fresh.page.workers[0]
    worker.evaluate("self.full = true")

    error = fresh.fail_with(("large.png", blank(7_000, 6_000)))

    assert "does not fit into memory" in error
    assert "choose a smaller photo" in error
    assert fresh.cut_out(samples / "cat.jpg").name == "cat-offcut.png"
    assert fresh.page.workers[0] == worker  # it was not replaced
    record("faults: photos for which memory ran out", 1)


@pytest.mark.parametrize(("memory", "limit"), [(1, 12), (2, 24)])
def test_M13_device_with_little_memory_takes_smaller_photos(
    fresh: App, faulty: Site, memory: float, limit: int, samples: Path
) -> None:
    faulty.faults["worker.js"] = before(small_device(memory))
    visit(fresh, faulty)

    error = fresh.fail_with(("large.png", blank(1_000 * limit, 1_001)))

    assert f"the limit on this device is {limit}" in error
    assert fresh.cut_out(samples / "cat.jpg").name == "cat-offcut.png"


def test_M4_tab_that_crashed_starts_again_from_what_was_kept(
    fresh: App, faulty: Site, samples: Path
) -> None:
    visit(fresh, faulty)
    fresh.wait_until(lambda: fresh.attribute("offline") == "saved", "everything is kept", 30)
    kept = fresh.page.evaluate(KEPT)
    fresh.choose(samples / "coffee.jpg")
    crash(fresh)
    faulty.seen.clear()

    again = App(fresh.page.context.new_page())
    loads: list[str] = []
    again.page.on("domcontentloaded", lambda page: loads.append(page.url))
    visit(again, faulty)

    assert again.cut_out(samples / "cat.jpg").name == "cat-offcut.png"
    assert len(loads) == 1
    assert again.page.evaluate(KEPT) == kept
    # Chromium may ask for the page itself while the service worker starts.
    assert {path for path, _ in faulty.seen} <= {"", "sw.js"}
    record("faults: tabs crashed", 1)


def crash(fresh: App) -> None:
    """Let the tab's process end, and wait until it has."""
    with fresh.page.expect_event("crash", timeout=30_000), pytest.raises(Error, match="crash"):
        fresh.page.goto("chrome://crash", timeout=30_000)


@pytest.mark.slow
def test_L7_page_works_from_memory_in_every_engine_where_the_browser_has_no_room(
    engine: Driver, faulty: Site, samples: Path, tmp_path: Path
) -> None:
    for script in ("store.js", "sw.js"):
        faulty.faults[script] = before(NO_ROOM)
    engine.open(faulty.url)
    assert wait(engine, "ready", "error", seconds=BOOT_SECONDS) == "ready", describe(engine)
    wait_for(engine, "offline", "unavailable")

    assert cut_out(engine, samples / "cat.jpg").shape == (300, 451)
