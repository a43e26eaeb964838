"""Old and new versions in random order, in two tabs: no page ever gets a file of another version.

The service worker is the real one, with the rows of a small bundle. The page does what the real
one does: it takes a file only if the manifest names its hash, and no file at all once its service
worker is another, or where the manifest is of another build than the page. The last is so where no
service worker was in charge yet while the server was given another version.

A navigation that begins while a service worker is being activated sometimes never ends in Chromium;
the page itself waits for the activation, and a visitor would reload once more, as the test does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from playwright.sync_api import Browser, Error, Page

from offcut_build import dist as building
from tests.faulty_site import Site, faulty_site
from tests.record import record

APP = Path(__file__).resolve().parents[2] / "app"
INTERLEAVINGS = 50
STEPS = 14
ATTEMPTS = 4
SETTLED = 1_500  # milliseconds, in which what hung is given up, or comes: it would end the next one
PATIENCE = 4_000  # milliseconds, after which a visitor reloads once more
ACTS = ("deploy", "update", "update", "activate", "activate", "reload", "reload", "look", "look")
FILES = ("a.txt", "b.txt", "worker.txt", "models/one.safetensors")
PAGE = """<!doctype html><html lang="en"><title>{}</title><script src="page.js"></script>"""
SCRIPT = """
const first = navigator.serviceWorker.controller;
self.changed = () => navigator.serviceWorker.controller !== first;
self.manifest = fetch('manifest.json').then(answer => answer.json()).catch(() => null);
self.registered = navigator.serviceWorker.register('sw.js', { updateViaCache: 'none' });
self.look = async path => {
  const manifest = await self.manifest;
  const usable = manifest?.build === document.documentElement.dataset.build && !self.changed();
  const answer = await fetch(path).catch(() => null);
  if (!answer?.ok) return ['', ''];
  const body = await answer.arrayBuffer();
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', body));
  const hex = Array.from(hash, byte => byte.toString(16).padStart(2, '0')).join('');
  const version = new TextDecoder().decode(body);
  await new Promise(resolve => setTimeout(resolve, 100)); // news of another one may come later
  const given = first && !self.changed() ? version : '';
  return [given, usable && manifest.files[path]?.sha256 === hex ? version : ''];
};
"""
UPDATE = """() => self.registered.then(found => found.update()).then(found => {
  const fresh = found.installing;
  return fresh && new Promise(resolve => (fresh.onstatechange = () => resolve()));
}).then(() => 0, () => 0)"""
ACTIVATE = """() => self.registered.then(found => {
  const next = found.waiting;
  if (!next) return;
  next.postMessage({ activate: true });
  return new Promise(resolve => {
    next.onstatechange = () => next.state === 'activated' && resolve();
  });
})"""


def bundle(version: str) -> dict[str, bytes]:
    """Return the files of a small version; those in FILES hold its name."""
    index = {"default": "one", "models": {"one": {"file": "one.safetensors"}}}
    files = {"index.html": PAGE.format(version).encode(), "page.js": SCRIPT.encode()}
    files |= {name: version.encode() for name in FILES}
    files |= {"models/index.json": json.dumps(index).encode(), "same.txt": b"of all versions"}
    files |= {name: (APP / name).read_bytes() for name in ("store.js", "sw.js")}
    return building.finished(files, version)


@pytest.fixture
def versions(tmp_path: Path) -> list[Path]:
    """Folders of three versions."""
    folders = []
    for number in range(3):
        folder = tmp_path / f"version-{number}"
        for name, data in bundle(f"version {number}").items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        folders.append(folder)
    return folders


@pytest.fixture
def site(versions: list[Path]) -> Iterator[Site]:
    with faulty_site(versions[0]) as running:
        yield running


@pytest.mark.soak
def test_no_page_gets_a_file_of_another_version_in_any_order(
    chromium: Browser, site: Site, versions: list[Path]
) -> None:
    mixed, looks, taken, updates, hung = [], 0, 0, 0, 0
    for seed in range(INTERLEAVINGS):
        context = chromium.new_context()
        tabs = [context.new_page(), context.new_page()]
        random = Random(seed)
        site.folder = versions[0]
        for tab in tabs:
            hung += reload(tab, site)
        for _ in range(STEPS):
            tab = random.choice(tabs)
            what = random.choice(ACTS)
            if what == "look":
                looks += 1
                path, version = random.choice(FILES), tab.title()
                found = look(tab, path)
                taken += version == found[1]
                if not {*found} <= {"", version}:
                    mixed.append(f"seed {seed}: {version} got {path} of {found}")
            else:
                hung += act(what, tab, site, versions)
        updates += {tab.title() for tab in tabs} != {"version 0"}
        context.close()

    record("faults: random orders of an update in two tabs", INTERLEAVINGS)
    record("faults: files looked at in them", looks)
    record("faults: files of another version found in them", len(mixed))
    record("faults: navigations of them that Chromium let hang", hung)
    assert mixed == []
    assert updates > INTERLEAVINGS // 4  # the test does update
    assert taken > looks // 2
    assert hung <= INTERLEAVINGS // 5


def act(what: str, tab: Page, site: Site, versions: list[Path]) -> int:
    """Let the server have the next version, or a tab do something about it.

    Returns how many navigations hung.
    """
    if what == "deploy":
        site.folder = versions[min(versions.index(site.folder) + 1, len(versions) - 1)]
    elif what == "reload":
        return reload(tab, site)
    else:
        tab.evaluate(UPDATE if what == "update" else ACTIVATE)
    return 0


def reload(tab: Page, site: Site) -> int:
    """Load the page anew, and again where that hangs; return how often it did."""
    for hung in range(ATTEMPTS):
        try:
            tab.goto(site.url, timeout=PATIENCE)
            return hung
        except Error:
            if hung + 1 == ATTEMPTS:
                raise
            tab.wait_for_timeout(SETTLED)
    raise AssertionError("the last attempt returns or raises")


def look(tab: Page, path: str) -> tuple[str, str]:
    """Return the versions of a file that the page's service worker gives, and that it takes.

    "" is none: there is no service worker yet, or another one; it would be an error.
    """
    try:
        given, taken = tab.evaluate("path => self.look(path)", path)
    except Error:
        return "", ""  # the page is being left
    return given, taken
