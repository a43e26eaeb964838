"""Nothing leaves: only files of the bundle are asked for, from its own server, and none at work."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext

from tests.browser.app import BOOT_SECONDS, App, outside
from tests.faulty_site import Answer, Site, faulty_site

# One attempt each; the promise settles to true when the attempt got through.
ATTEMPTS = {
    "fetch": "url => fetch(url, { mode: 'no-cors' }).then(() => true, () => false)",
    "image": """url => new Promise(done => { const i = new Image();
        i.onload = i.onerror = event => done(event.type === 'load'); i.src = url; })""",
    "beacon": "url => { navigator.sendBeacon(url); return new Promise(d => setTimeout(d, 300)); }",
    "script": "url => import(url).then(() => true, () => false)",
}


def test_P1_only_the_bundle_is_asked_and_nothing_once_it_is_ready(
    context: BrowserContext, site: str, dist: Path, samples: Path, requests_seen: list[str]
) -> None:
    urls: list[str] = []
    context.on("request", lambda request: urls.append(request.url))
    requests_seen.clear()
    app = App(context.new_page())
    app.page.goto(site)
    assert app.wait("ready", "error", seconds=BOOT_SECONDS) == "ready", app.describe()
    while_loading = list(requests_seen)
    urls_while_loading = list(urls)

    app.cut_out(samples / "cat.jpg")

    assert outside(urls, site) == []
    assert [url for url in urls[len(urls_while_loading) :] if not url.startswith("blob:")] == []
    assert requests_seen == while_loading
    for line in while_loading:
        method, _, path = line.partition(" ")
        assert method == "GET"
        assert "?" not in path
        assert path == "/" or (dist / path.lstrip("/")).is_file()


@pytest.mark.parametrize("way", ATTEMPTS)
def test_P1_policy_stops_what_would_leave(app: App, dist: Path, way: str) -> None:
    with faulty_site(dist) as elsewhere:
        got_through = app.page.evaluate(ATTEMPTS[way], elsewhere.url + "icon.svg")

        assert not got_through
        assert elsewhere.seen == []


def test_L16_policy_stands_in_the_page_itself_for_hosts_that_send_no_headers(dist: Path) -> None:
    html = (dist / "index.html").read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', html)
    sent = re.search(r"Content-Security-Policy: (.+)", (dist / "_headers").read_text())
    assert policy and sent

    assert sent[1].split("; ") == [*policy[1].split("; "), "frame-ancestors 'none'"]


def test_P4_page_has_neither_inline_scripts_nor_inline_styles(dist: Path) -> None:
    html = (dist / "index.html").read_text()

    assert re.findall(r"<script(?![^>]*\bsrc=)", html) == []
    assert re.findall(r"<style|\sstyle=|\son\w+=", html) == []
    assert re.findall(r"(?:src|href)=\"(?:https?:)?//", html) == []


@pytest.fixture
def plain_host(dist: Path, tmp_path: Path) -> Iterator[Site]:
    """A host that sends no headers of ours, with dist/ in the folder some/folder/."""
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "folder").symlink_to(dist)
    with faulty_site(tmp_path) as site:
        yield site


PLACE = "some/folder/index.html"


def test_L14_page_on_a_host_without_headers_reloads_once_and_is_isolated(
    context: BrowserContext, plain_host: Site, samples: Path
) -> None:
    app = App(context.new_page())
    loads: list[str] = []
    app.page.on("domcontentloaded", lambda page: loads.append(page.url))
    app.page.goto(plain_host.url + PLACE)

    app.wait_until(lambda: bool(app.state) and len(loads) == 2, "the page is reloaded", 20)
    assert app.wait("ready", "error", seconds=BOOT_SECONDS) == "ready", app.describe()
    assert app.page.evaluate("crossOriginIsolated") is True
    assert app.cut_out(samples / "cat.jpg").name == "cat-offcut.png"
    app.page.goto(plain_host.url + PLACE)
    app.wait("ready", seconds=BOOT_SECONDS)
    assert len(loads) == 3  # the reload came once


def test_L14_photo_chosen_before_the_reload_is_not_lost_to_it(
    context: BrowserContext, plain_host: Site, samples: Path
) -> None:
    plain_host.faults["some/folder/sw.js"] = slow
    app = App(context.new_page())
    app.page.goto(plain_host.url + PLACE)
    app.choose(samples / "cat.jpg")

    assert app.wait("done", "error", seconds=BOOT_SECONDS) == "done", app.describe()
    assert app.page.evaluate("crossOriginIsolated") is False
    assert app.attribute("threads") == "1"
    assert "threads: the page" in app.text(".notes")


def slow(answer: Answer) -> None:
    """Answer after the photo has been chosen."""
    time.sleep(1.5)


def test_P5_worker_refuses_to_work_where_no_policy_is_in_force(
    context: BrowserContext, plain_host: Site
) -> None:
    def without_policy(answer: Answer) -> None:
        answer.body = answer.body.replace(b"Content-Security-Policy", b"X-Nothing")

    plain_host.faults[PLACE] = without_policy
    app = App(context.new_page())
    app.page.goto(plain_host.url + PLACE)

    app.wait("error", seconds=15)

    assert "its promise of privacy cannot be kept" in app.error
