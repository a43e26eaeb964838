"""Every way out of a page and its worker, in every engine, with and without the policy.

Without a policy a way must fire, or its silence under the policy proves nothing: only those that
fired are counted as probed. What gets out under the policy is exactly what no policy can stop,
and docs/security.md says so.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from offcut import serve
from tests.browser.listener import listening
from tests.browser.scenario import Driver
from tests.record import record

PAGES = Path(__file__).parent / "pages"
SECONDS = 30.0
SETTLE = 1.5  # seconds for a navigation to arrive

# What content security policies do not govern, by engine. The app removes RTCPeerConnection; a
# connection without a request (preconnect) carries nothing and is left to chance here.
NOT_GOVERNED = {
    "Chromium": {"page-navigation", "page-popup", "page-rtc"},
    "Firefox": {"page-navigation", "page-popup"},
    "WebKitGTK": {"page-navigation"},
}
EMPTY_HANDED = {"page-preconnect"}
# Ways that must have fired without a policy, in each engine: the probe itself works.
ALWAYS = {
    *(f"page-{name}" for name in ("fetch", "xhr", "beacon", "websocket", "eventsource", "img")),
    *(f"page-{name}" for name in ("stylesheet", "script", "import", "iframe", "navigation")),
    *(f"worker-{name}" for name in ("fetch", "xhr", "websocket", "import")),
}
LEAST_PROBED = 30


@contextmanager
def probe_site(folder: Path, dist: Path, *, headers: bool, meta: bool) -> Iterator[str]:
    """Serve the probe under the page's own policy: sent as a header, in the page, or not at all."""
    shutil.copytree(PAGES, folder)
    shutil.copy(dist / "confined_worker.js", folder)
    if headers:
        shutil.copy(dist / "_headers", folder)
    if meta:
        found = re.search(r"<meta http-equiv=[^>]+>", (dist / "index.html").read_text())
        assert found
        page = folder / "leak.html"
        page.write_text(page.read_text().replace("<title>", found[0] + "<title>"))
    with serve.start(folder) as server:
        yield server.url + "leak.html"


def reached(driver: Driver, page: str) -> set[str]:
    """Open the probe and return the ways on which something arrived."""
    with listening() as listener:
        driver.open(f"{page}#{listener.url}")
        end = time.monotonic() + SECONDS
        while "page-navigation" not in listener.hits and time.monotonic() < end:
            time.sleep(0.1)
        time.sleep(SETTLE)
        driver.open("about:blank")
        return listener.ways


@pytest.mark.slow
def test_P2_P3_P4_policy_stops_every_way_out_that_a_policy_governs(
    engine: Driver, request: pytest.FixtureRequest, dist: Path, tmp_path: Path
) -> None:
    name = request.node.callspec.params["engine"]
    with probe_site(tmp_path / "open", dist, headers=False, meta=False) as page:
        fired = reached(engine, page)
    with probe_site(tmp_path / "header", dist, headers=True, meta=False) as page:
        by_header = reached(engine, page)
    with probe_site(tmp_path / "meta", dist, headers=False, meta=True) as page:
        by_meta = reached(engine, page)

    record(f"leaks: ways out probed in {name}", len(fired))
    record(f"leaks: ways out open under the policy in {name}", len(by_header | by_meta))
    assert fired >= ALWAYS
    assert len(fired) >= LEAST_PROBED, sorted(fired)
    assert by_header - EMPTY_HANDED == NOT_GOVERNED[name]
    assert by_meta - EMPTY_HANDED == NOT_GOVERNED[name]
