"""Time from opening the page to ready, and count the bytes of a first visit."""

from __future__ import annotations

import time

from playwright.sync_api import Browser, Page, Response

from offcut_build.bench.rows import Row

__all__ = ["visits"]

READY = "html[data-state=ready]"
MINUTE = 60_000  # milliseconds


def visits(browser: Browser, url: str, *, rounds: int) -> list[Row]:
    """Return rows for cold and warm starts of the page, and the bytes of the first visit.

    Cold: a fresh profile. Warm: the third visit of the same profile, when the browser has kept
    files and compiled code. Bytes: bodies as the server sends them, uncompressed.
    """
    cold, warm, sizes = [], [], []
    for _ in range(rounds):
        context = browser.new_context()
        received: list[int] = []

        def count(response: Response, received: list[int] = received) -> None:
            received.append(int(response.headers.get("content-length", "0")))

        context.on("response", count)
        cold.append(_visit(context.new_page(), url))
        sizes.append(sum(received) / 1e6)
        _visit(context.new_page(), url)
        warm.append(_visit(context.new_page(), url))
        context.close()
    return [
        Row("ready/cold", cold),
        Row("ready/warm", warm),
        Row("first_visit/transferred", sizes, "MB"),
    ]


def _visit(page: Page, url: str) -> float:
    """Return the milliseconds from navigation to ready, and close the page."""
    begin = time.perf_counter()
    page.goto(url)
    page.wait_for_selector(READY, state="attached", timeout=MINUTE)
    spent = (time.perf_counter() - begin) * 1e3
    page.close()
    return spent
