"""The service worker keeps only what is right, mends itself, and never stands in the way."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext

from offcut_build import dist as building
from offcut_build import offline
from tests.browser.app import BOOT_SECONDS, App
from tests.faulty_site import Answer, Fault, Site, faulty_site, flipped, missing, web_page
from tests.record import record

RECOVER_SECONDS = 20.0
KEPT = """async () => {
  const cache = await caches.open('offcut:/');
  const rows = [];
  for (const request of await cache.keys()) {
    const body = await (await cache.match(request)).arrayBuffer();
    const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', body));
    const hex = Array.from(hash, byte => byte.toString(16).padStart(2, '0')).join('');
    rows.push(request.url.endsWith(hex));
  }
  return rows;
}"""
SPOIL = """async how => {
  const cache = await caches.open('offcut:/');
  for (const request of await cache.keys()) {
    const entry = await cache.match(request);
    const body = new Uint8Array(await entry.arrayBuffer());
    body[body.length >> 1] ^= 1;
    const wrong = { flip: body, cut: body.subarray(1), swap: new TextEncoder().encode('<html>') };
    if (how === 'evict') await cache.delete(request);
    else await cache.put(request, new Response(wrong[how], { headers: entry.headers }));
  }
  return (await cache.keys()).length;
}"""
THROW = "() => void setTimeout(() => { throw new Error('out of luck') })"
NO_WORKER = "async () => (await navigator.serviceWorker.getRegistrations()).length"


@pytest.fixture
def site(dist: Path) -> Iterator[Site]:
    """A site of its own, whose service worker is nobody else's."""
    with faulty_site(dist) as running:
        yield running


@pytest.fixture
def app(context: BrowserContext) -> App:
    return App(context.new_page())


def visit(app: App, site: Site, query: str = "") -> None:
    """Open the page and wait until it is ready."""
    app.page.goto(site.url + query)
    assert app.wait("ready", "error", seconds=BOOT_SECONDS) == "ready", app.describe()


def visit_and_keep(app: App, site: Site) -> None:
    visit(app, site)
    app.wait_until(lambda: app.attribute("offline") == "saved", "everything is kept", 30)


def newer(dist: Path, folder: Path) -> Path:
    """Return a copy of dist/ with another page, as a newer build would make it."""
    shutil.copytree(dist, folder)
    files = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    data = {name: path.read_bytes() for name, path in files.items() if name != "manifest.json"}
    data["index.html"] = data["index.html"].replace(b"<h1>", b"<h1 data-build='newer'>")
    app = Path(__file__).resolve().parents[2] / "app"
    data["sw.js"] = (app / "sw.js").read_bytes()
    rows = json.loads(building.manifest(data, "0"))["files"]
    data["sw.js"] = offline.script(data, rows, "9.9.9")
    data["manifest.json"] = building.manifest(data, "9.9.9")
    for name, content in data.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize("how", ["flip", "cut", "swap", "evict"])
def test_L9_L10_spoiled_entries_are_found_and_fetched_again(
    app: App, site: Site, samples: Path, how: str
) -> None:
    visit_and_keep(app, site)
    count = app.page.evaluate(SPOIL, how)

    visit(app, site)

    assert app.cut_out(samples / "cat.jpg").name == "cat-offcut.png"
    app.wait_until(lambda: app.attribute("offline") == "saved", "everything is kept again", 30)
    app.page.context.set_offline(True)
    visit(app, site)  # from what was kept anew
    if how != "evict":
        record(f"faults: kept files spoiled by {how}", count)


def test_L9_files_that_were_evicted_are_named_when_there_is_no_network(
    app: App, site: Site
) -> None:
    visit_and_keep(app, site)
    delete = "async () => { const cache = await caches.open('offcut:/');"
    delete += " for (const key of (await cache.keys())) { const entry = await cache.match(key);"
    delete += " if ((await entry.blob()).size > 2e6) await cache.delete(key); } }"
    app.page.evaluate(delete)
    app.page.context.set_offline(True)
    for fault in site.folder.rglob("*"):
        site.faults[fault.relative_to(site.folder).as_posix()] = missing

    app.page.goto(site.url)
    app.wait("error", seconds=BOOT_SECONDS)

    assert "start/python.pack could not be fetched" in app.error or "asm.wasm" in app.error
    assert "open the page once with a connection" in app.error


def busy(answer: Answer) -> None:
    """Answer with a server's error."""
    answer.status, answer.body = 500, b"busy"


@pytest.mark.parametrize("fault", [missing, busy, flipped, web_page], ids=lambda f: f.__name__)
def test_L4_L12_wrong_answer_is_never_kept_and_does_not_stop_the_page(
    app: App, site: Site, fault: Fault
) -> None:
    site.faults["THIRD_PARTY.md"] = fault

    visit(app, site)
    app.wait_until(lambda: app.attribute("offline") != "", "it is known", 30)

    assert app.attribute("offline") == "unavailable"
    assert all(app.page.evaluate(KEPT))


def test_L11_newer_version_waits_for_a_click_and_never_mixes_with_the_former(
    app: App, site: Site, dist: Path, tmp_path: Path, samples: Path
) -> None:
    visit_and_keep(app, site)
    visit(app, site)
    other = App(app.page.context.new_page())
    visit(other, site)
    site.folder = newer(dist, tmp_path / "newer")
    build = "document.querySelector('h1').dataset.build ?? 'former'"

    visit(app, site)
    app.page.get_by_test_id("update").wait_for()
    assert app.page.evaluate(build) == "former"
    assert app.cut_out(samples / "cat.jpg").name == "cat-offcut.png"
    app.page.get_by_role("button", name="Update and reload").click()
    app.wait_until(lambda: app.evaluate(build) == "newer", "the newer page", 30)

    assert app.wait("ready", "error", seconds=BOOT_SECONDS) == "ready", app.describe()
    assert other.page.evaluate(build) == "former"  # pinned until it is reloaded
    assert other.cut_out(samples / "cat.jpg").name == "cat-offcut.png"
    other.page.workers[0].evaluate(THROW)  # its worker could be replaced by a newer one only
    other.wait_until(lambda: "updated in another tab" in other.error, "it says so", 30)


def script(text: str) -> Fault:
    """Return a fault that serves `text` as the service worker."""

    def replace(answer: Answer) -> None:
        answer.body = text.encode()

    return replace


ANSWERS_500 = """addEventListener('fetch', event => {
  if (event.request.mode !== 'navigate' && !event.request.url.endsWith('recover.js'))
    event.respondWith(new Response('', { status: 500 }));
});"""
THROWS = "addEventListener('fetch', () => { throw new Error('broken'); });"


@pytest.mark.parametrize("broken", [ANSWERS_500, THROWS], ids=["answers 500", "throws"])
def test_L13_page_gets_past_a_broken_service_worker(app: App, site: Site, broken: str) -> None:
    site.faults["sw.js"] = script(broken)
    visit(app, site)
    app.page.evaluate("async () => { await navigator.serviceWorker.ready }")

    app.page.goto(site.url)

    ready: Callable[[], bool] = lambda: app.state in ("ready", "booting")  # noqa: E731
    app.wait_until(ready, "the page's script runs", RECOVER_SECONDS)
    assert app.wait("ready", "error", seconds=BOOT_SECONDS) == "ready", app.describe()
    record("faults: broken service workers shipped", 2)


def test_L13_nosw_in_the_address_drops_the_service_worker_and_what_is_kept(
    app: App, site: Site
) -> None:
    visit_and_keep(app, site)

    visit(app, site, "?nosw")

    assert app.page.evaluate(NO_WORKER) == 0
    assert app.attribute("offline") in ("", "unavailable")


def test_L7_page_works_from_memory_where_the_browser_has_no_room(
    app: App, site: Site, samples: Path
) -> None:
    session = app.page.context.new_cdp_session(app.page)
    session.send(
        "Storage.overrideQuotaForOrigin", {"origin": site.url.rstrip("/"), "quotaSize": 1_000_000}
    )

    visit(app, site)
    app.wait_until(lambda: app.attribute("offline") != "", "it is known", 30)

    assert app.attribute("offline") == "unavailable"
    assert app.cut_out(samples / "cat.jpg").name == "cat-offcut.png"
    assert all(app.page.evaluate(KEPT))  # no partial entry


def test_L8_page_works_where_nothing_can_be_kept(app: App, site: Site, samples: Path) -> None:
    app.page.add_init_script(
        "Object.defineProperty(window, 'caches', { get() { throw new DOMException('no'); } });"
        "Object.defineProperty(Navigator.prototype, 'serviceWorker', { value: undefined });"
    )

    visit(app, site)

    assert app.cut_out(samples / "cat.jpg").name == "cat-offcut.png"
