"""Time from opening the page to ready and to the first cutout; count the bytes of a first visit.

Times are the page's own: an observer notes when <html data-state> changes, in milliseconds since
the navigation began. Beside it runs a page that does nothing but load Pyodide and numpy.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, Response

from offcut_build.bench.browser import Sites
from offcut_build.bench.rows import Row
from offcut_build.console import say

__all__ = ["visits"]

PATIENCE = 180_000  # milliseconds
SETTLE = 600  # milliseconds until a new window of the browser has drawn itself
CHOOSE = 1_000  # milliseconds in which no one has chosen a photo yet
OBSERVE = """
window.benchLog = [];
const note = (what) => window.benchLog.push([what, performance.now()]);
new MutationObserver(() => note(document.documentElement.dataset.state)).observe(document, {
  attributes: true, attributeFilter: ["data-state"], childList: true, subtree: true,
});
addEventListener("change", () => note("chosen"), { capture: true });
"""
LOG = "() => window.benchLog"
MARKS = """() => performance.getEntriesByType("mark")
  .filter(({ name }) => name.startsWith("offcut:"))
  .map(({ name, startTime }) => [name.slice(7), performance.timeOrigin + startTime])"""
INPUT = "[data-testid=file-input]"


@dataclass(slots=True)
class Times:
    """Milliseconds by row, and the bytes of the first visit."""

    rows: dict[str, list[float]] = field(default_factory=dict)
    threads: int = 0  # that the page chose

    def add(self, name: str, value: float) -> None:
        """Add a value to a row."""
        self.rows.setdefault(name, []).append(value)


def visits(browser: Browser, sites: Sites, dist: Path, photo: Path, *, rounds: int) -> list[Row]:
    """Return rows for cold and warm starts, first cutouts, and the bytes of the first visit.

    Cold: a fresh profile. Warm: the third visit of the same profile, when the browser has kept
    files and compiled code. photo: a file to cut out.
    """
    times = Times()
    for turn in range(rounds):
        say(f"  round {turn + 1} of {rounds}")
        with_context(browser, lambda context: _stock(context, sites.stock, times))
        with_context(browser, lambda context: _ready(context, sites.hosted, photo, times))
        with_context(browser, lambda context: _cutout(context, sites.hosted, photo, times))
    rows = {name: Row(name, values) for name, values in times.rows.items()}
    for kind in ("cold", "warm"):
        rows[f"ready/{kind}"].beside(rows[f"ready/{kind}/stock_pyodide"])
    count = Row("page/threads", [float(times.threads)], "")
    return [*rows.values(), count, *_bytes(browser, sites, dist)]


def with_context(browser: Browser, work: Callable[[BrowserContext], None]) -> None:
    """Do `work` with a fresh profile."""
    context = browser.new_context()
    context.add_init_script(OBSERVE)
    try:
        work(context)
    finally:
        context.close()


def _stock(context: BrowserContext, url: str, times: Times) -> None:
    for name in ("ready/cold/stock_pyodide", "", "ready/warm/stock_pyodide"):
        page = _open(context, f"{url}bench_stock.html", "ready")
        if name:
            times.add(name, _when(page, "ready"))
        page.close()


def _ready(context: BrowserContext, url: str, photo: Path, times: Times) -> None:
    """Visit three times; at the first, cut out a photo once the page is ready."""
    for name in ("ready/cold", "", "ready/warm"):
        page = _open(context, url, "ready")
        if name:
            times.add(name, _when(page, "ready"))
            for mark, milliseconds in _marks(page).items():
                times.add(f"{name}/{mark}", milliseconds)
        if name == "ready/cold":
            times.threads = int(page.get_attribute("html", "data-threads") or 0)
            page.wait_for_timeout(CHOOSE)
            page.set_input_files(INPUT, photo)
            _wait(page, "done")
            times.add("first_cutout/after_ready", _when(page, "done") - _when(page, "chosen"))
        page.close()


def _marks(page: Page) -> dict[str, float]:
    """Return when the worker finished each step of app/boot.js, since the navigation began."""
    origin = float(page.evaluate("() => performance.timeOrigin"))
    marks: list[list[Any]] = page.workers[0].evaluate(MARKS)
    return {str(name): milliseconds - origin for name, milliseconds in marks}


def _cutout(context: BrowserContext, url: str, photo: Path, times: Times) -> None:
    """Visit three times and choose the photo at once, while the page loads."""
    for name in ("first_cutout/cold", "", "first_cutout/warm"):
        page = _new_page(context)
        page.goto(url)
        page.set_input_files(INPUT, photo)
        _wait(page, "done")
        if name:
            times.add(name, _when(page, "done"))
        page.close()


def _open(context: BrowserContext, url: str, state: str) -> Page:
    page = _new_page(context)
    page.goto(url)
    _wait(page, state)
    return page


def _new_page(context: BrowserContext) -> Page:
    page = context.new_page()
    page.wait_for_timeout(SETTLE)
    return page


def _wait(page: Page, state: str) -> None:
    page.wait_for_selector(
        f"html[data-state={state}], html[data-state=error]", state="attached", timeout=PATIENCE
    )


def _when(page: Page, what: str) -> float:
    """Return when something happened first. Raises LookupError when it did not."""
    log: list[list[Any]] = page.evaluate(LOG)
    for name, milliseconds in log:
        if name == what:
            return float(milliseconds)
    card = page.query_selector("[data-testid=error]")
    words = " ".join(card.inner_text().split()) if card else ""
    raise LookupError(f"{page.url} was never {what}: {words or log}")


def _bytes(browser: Browser, sites: Sites, dist: Path) -> list[Row]:
    """Return what a first visit transfers until ready.

    files: the sizes of what was asked for. transferred: the bodies as the server sent them; what
    the browser fetches for itself, for its service worker, is seen at the server and counted whole.
    gzip: what the files would be on a host that compresses, each at level 9.
    """
    sent: dict[str, int] = {}

    def note(response: Response) -> None:
        if response.url.startswith(sites.hosted) and response.status < 300:
            path = _path(response.url)
            size = int(response.headers.get("content-length", "0"))
            sent[path] = sent.get(path, 0) + size

    def visit(context: BrowserContext) -> None:
        context.on("response", note)
        _open(context, sites.hosted, "ready").close()

    sites.requests.clear()
    with_context(browser, visit)
    names = {name for name in map(_path, sites.requests) if (dist / name).is_file()}
    files = {name: (dist / name).read_bytes() for name in names}
    figures = {
        "files": sum(map(len, files.values())),
        "transferred": sum(sent.get(name, len(data)) for name, data in files.items()),
        "gzip": sum(min(len(data), len(gzip.compress(data, 9))) for data in files.values()),
    }
    return [Row(f"first_visit/{name}", [size / 1e6], "MB") for name, size in figures.items()]


def _path(address: str) -> str:
    """Return the file of dist/ that an address or a request's path names."""
    return unquote(urlsplit(address).path).lstrip("/") or "index.html"
