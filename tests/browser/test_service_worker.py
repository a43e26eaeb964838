"""The service worker keeps only what is right, mends itself, and never stands in the way."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from offcut_build import dist as building
from tests.browser.app import BOOT_SECONDS, App
from tests.faulty_site import Answer, Fault, Site, flipped, missing, web_page
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


def visit(fresh: App, faulty: Site, query: str = "") -> None:
    """Open the page and wait until it is ready."""
    fresh.page.goto(faulty.url + query)
    assert fresh.wait("ready", "error", seconds=BOOT_SECONDS) == "ready", fresh.describe()


def visit_and_keep(fresh: App, faulty: Site) -> None:
    visit(fresh, faulty)
    fresh.wait_until(lambda: fresh.attribute("offline") == "saved", "everything is kept", 30)


def newer(dist: Path, folder: Path) -> Path:
    """Return a copy of dist/ with another page, as a newer build would make it."""
    shutil.copytree(dist, folder)
    files = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    data = {name: path.read_bytes() for name, path in files.items() if name != "manifest.json"}
    data["index.html"] = data["index.html"].replace(b"<h1>", b"<h1 data-build='newer'>")
    app = Path(__file__).resolve().parents[2] / "app"
    data["sw.js"] = (app / "sw.js").read_bytes()
    for name, content in building.finished(data, "9.9.9").items():
        (folder / name).write_bytes(content)
    return folder


def test_L11_page_from_before_an_update_of_its_server_does_not_take_the_newer_files(
    fresh: App, faulty: Site, dist: Path, tmp_path: Path
) -> None:
    folder = newer(dist, tmp_path / "newer")

    def update_the_server(_: Answer) -> None:
        faulty.folder = folder  # once the page itself was given out, before any service worker is

    faulty.faults["index.html"] = faulty.faults[""] = update_the_server

    fresh.page.goto(faulty.url)
    fresh.wait("error", "ready", seconds=BOOT_SECONDS)

    assert "was given another version of Offcut after this page was loaded" in fresh.error
    faulty.faults.clear()
    visit(fresh, faulty)  # the remedy is to reload the page


@pytest.mark.parametrize("how", ["flip", "cut", "swap", "evict"])
def test_L9_L10_spoiled_entries_are_found_and_fetched_again(
    fresh: App, faulty: Site, samples: Path, how: str
) -> None:
    visit_and_keep(fresh, faulty)
    count = fresh.page.evaluate(SPOIL, how)

    visit(fresh, faulty)

    assert fresh.cut_out(samples / "cat.jpg").name == "cat-offcut.png"
    fresh.wait_until(lambda: fresh.attribute("offline") == "saved", "everything is kept again", 30)
    fresh.page.context.set_offline(True)
    visit(fresh, faulty)  # from what was kept anew
    if how != "evict":
        record(f"faults: kept files spoiled by {how}", count)


def test_L9_files_that_were_evicted_are_named_when_there_is_no_network(
    fresh: App, faulty: Site
) -> None:
    visit_and_keep(fresh, faulty)
    delete = "async () => { const cache = await caches.open('offcut:/');"
    delete += " for (const key of (await cache.keys())) { const entry = await cache.match(key);"
    delete += " if ((await entry.blob()).size > 2e6) await cache.delete(key); } }"
    fresh.page.evaluate(delete)
    fresh.page.context.set_offline(True)
    for fault in faulty.folder.rglob("*"):
        faulty.faults[fault.relative_to(faulty.folder).as_posix()] = missing

    fresh.page.goto(faulty.url)
    fresh.wait("error", seconds=BOOT_SECONDS)

    assert "start/python.pack could not be fetched" in fresh.error or "asm.wasm" in fresh.error
    assert "open the page once with a connection" in fresh.error


def busy(answer: Answer) -> None:
    """Answer with a server's error."""
    answer.status, answer.body = 500, b"busy"


@pytest.mark.parametrize("fault", [missing, busy, flipped, web_page], ids=lambda f: f.__name__)
def test_L4_L12_wrong_answer_is_never_kept_and_does_not_stop_the_page(
    fresh: App, faulty: Site, fault: Fault
) -> None:
    faulty.faults["THIRD_PARTY.md"] = fault

    visit(fresh, faulty)
    fresh.wait_until(lambda: fresh.attribute("offline") != "", "it is known", 30)

    assert fresh.attribute("offline") == "unavailable"
    assert all(fresh.page.evaluate(KEPT))


def test_L11_newer_version_waits_for_a_click_and_never_mixes_with_the_former(
    fresh: App, faulty: Site, dist: Path, tmp_path: Path, samples: Path
) -> None:
    visit_and_keep(fresh, faulty)
    visit(fresh, faulty)
    other = App(fresh.page.context.new_page())
    visit(other, faulty)
    faulty.folder = newer(dist, tmp_path / "newer")
    build = "document.querySelector('h1').dataset.build ?? 'former'"

    visit(fresh, faulty)
    fresh.page.get_by_test_id("update").wait_for()
    assert fresh.page.evaluate(build) == "former"
    assert fresh.cut_out(samples / "cat.jpg").name == "cat-offcut.png"
    fresh.page.get_by_role("button", name="Update and reload").click()
    fresh.wait_until(lambda: fresh.evaluate(build) == "newer", "the newer page", 30)

    assert fresh.wait("ready", "error", seconds=BOOT_SECONDS) == "ready", fresh.describe()
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
def test_L13_page_gets_past_a_broken_service_worker(fresh: App, faulty: Site, broken: str) -> None:
    faulty.faults["sw.js"] = script(broken)
    visit(fresh, faulty)
    fresh.page.evaluate("async () => { await navigator.serviceWorker.ready }")

    fresh.page.goto(faulty.url)

    ready: Callable[[], bool] = lambda: fresh.state in ("ready", "booting")  # noqa: E731
    fresh.wait_until(ready, "the page's script runs", RECOVER_SECONDS)
    assert fresh.wait("ready", "error", seconds=BOOT_SECONDS) == "ready", fresh.describe()
    record("faults: broken service workers shipped", 2)


def test_L13_nosw_in_the_address_drops_the_service_worker_and_what_is_kept(
    fresh: App, faulty: Site
) -> None:
    visit_and_keep(fresh, faulty)

    visit(fresh, faulty, "?nosw")

    assert fresh.page.evaluate(NO_WORKER) == 0
    assert fresh.attribute("offline") in ("", "unavailable")


def test_L7_page_works_from_memory_where_the_browser_has_no_room(
    fresh: App, faulty: Site, samples: Path
) -> None:
    session = fresh.page.context.new_cdp_session(fresh.page)
    session.send(
        "Storage.overrideQuotaForOrigin", {"origin": faulty.url.rstrip("/"), "quotaSize": 1_000_000}
    )

    visit(fresh, faulty)
    fresh.wait_until(lambda: fresh.attribute("offline") != "", "it is known", 30)

    assert fresh.attribute("offline") == "unavailable"
    assert fresh.cut_out(samples / "cat.jpg").name == "cat-offcut.png"
    assert all(fresh.page.evaluate(KEPT))  # no partial entry


def test_L8_page_works_where_nothing_can_be_kept(fresh: App, faulty: Site, samples: Path) -> None:
    fresh.page.add_init_script(
        "Object.defineProperty(window, 'caches', { get() { throw new DOMException('no'); } });"
        "Object.defineProperty(Navigator.prototype, 'serviceWorker', { value: undefined });"
    )

    visit(fresh, faulty)

    assert fresh.cut_out(samples / "cat.jpg").name == "cat-offcut.png"
