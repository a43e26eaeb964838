"""The page stays responsive while a photo is worked on, and takes little time from it."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import BrowserContext

from tests.browser.app import BOOT_SECONDS, App

LONGEST_TASK = 50.0  # milliseconds
RUNS = 3  # other programs may take the processor away in one run, a long task shows in all

OBSERVE = """() => {
  window.longTasks = [];
  new PerformanceObserver(list => window.longTasks.push(...list.getEntries().map(e => e.duration)))
    .observe({ type: 'longtask' });
}"""

# When the photo is seen, and which pictures of the stage are painted while there is no photo.
WATCH_STAGE = """
window.seen = null;
window.rehearsed = 0;
window.flashes = 0;
let began = 0;
addEventListener("change", () => (began = performance.now()), { capture: true });
const visible = (name) => document.querySelector(name)?.getClientRects().length > 0;
const look = () => {
  if (began && visible("img.before")) window.seen ??= performance.now() - began;
  if (!began && visible(".bench")) window.flashes += 1;
  requestAnimationFrame(look);
};
requestAnimationFrame(look);
addEventListener("DOMContentLoaded", () => {
  new MutationObserver((changes) => (window.rehearsed += changes.length)).observe(
    document.querySelector(".bench"), { attributeFilter: ["hidden"] });
});
"""
SOON = 350  # milliseconds until a photo is drawn, on a machine that does other things too


def test_M12_main_thread_is_never_blocked_while_a_photo_is_worked_on(
    context: BrowserContext, site: str, samples: Path
) -> None:
    app = App(context.new_page())
    app.page.goto(site)
    app.wait("ready", seconds=BOOT_SECONDS)
    app.page.evaluate(OBSERVE)
    longest = []
    for _ in range(RUNS):
        app.page.evaluate("window.longTasks.length = 0")
        app.cut_out(samples / "coffee.jpg")
        longest.append(max(app.page.evaluate("window.longTasks"), default=0.0))
        app.start_over()

    assert min(longest) <= LONGEST_TASK, longest


def test_photo_is_on_the_stage_soon_while_it_is_worked_on(
    context: BrowserContext, site: str, large_photo: Path
) -> None:
    context.add_init_script(WATCH_STAGE)
    app = App(context.new_page())
    app.page.goto(site)
    app.wait("ready", seconds=BOOT_SECONDS)

    app.choose(large_photo)
    app.wait_until(lambda: bool(app.evaluate("window.seen ?? ''")), "the photo is seen", 10)

    assert app.state == "working"
    assert float(app.evaluate("window.seen")) < SOON


def test_stage_is_laid_out_before_there_is_a_photo_and_not_seen(
    context: BrowserContext, site: str
) -> None:
    context.add_init_script(WATCH_STAGE)
    app = App(context.new_page())
    app.page.goto(site)
    app.wait("ready", seconds=BOOT_SECONDS)

    app.wait_until(lambda: app.evaluate("window.rehearsed") != "0", "the stage is laid out", 10)
    app.page.wait_for_timeout(100)

    assert app.evaluate("window.flashes") == "0"
    assert app.attribute("photo") == ""
    assert not app.page.locator(".bench").is_visible()
