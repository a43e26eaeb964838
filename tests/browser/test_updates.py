"""Old and new versions in random order, in two tabs: no page ever gets a file of another version.

The service worker is the real one, with the rows of a small bundle. A page may be given another
version's files only after it has been told that its service worker is another (the engine then
starts no worker any more), or when it has none yet (every file is then held to the manifest).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from playwright.sync_api import Browser, Error, Page

from offcut_build import dist as building
from offcut_build import offline
from tests.faulty_site import Site, faulty_site
from tests.record import record

APP = Path(__file__).resolve().parents[2] / "app"
INTERLEAVINGS = 50
STEPS = 14
ACTS = ("deploy", "update", "update", "activate", "activate", "reload", "reload", "look", "look")
FILES = ("a.txt", "b.txt", "worker.txt", "models/one.safetensors")
PAGE = """<!doctype html><title>{}</title><script src="page.js"></script>"""
SCRIPT = """
const first = navigator.serviceWorker.controller;
self.changed = () => navigator.serviceWorker.controller !== first;
self.controlled = Boolean(first);
self.manifest = fetch('manifest.json').then(answer => answer.json()).catch(() => null);
self.registered = navigator.serviceWorker.register('sw.js', { updateViaCache: 'none' });
self.look = async path => {
  const manifest = await self.manifest;
  const before = self.changed();
  const answer = await fetch(path).catch(() => null);
  if (!answer?.ok || !manifest) return ['', before || self.changed()];
  const body = await answer.arrayBuffer();
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', body));
  const hex = Array.from(hash, byte => byte.toString(16).padStart(2, '0')).join('');
  const right = manifest.files[path]?.sha256 === hex;
  const version = right || self.controlled ? new TextDecoder().decode(body) : '';
  if (!right) await new Promise(resolve => setTimeout(resolve, 100)); // the news may come later
  return [version, before || self.changed()];
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
    rows = json.loads(building.manifest(files, version))["files"]
    files["sw.js"] = offline.script(files, rows, version)
    return files | {"manifest.json": building.manifest(files, version)}


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
    mixed, looks, updates = [], 0, 0
    for seed in range(INTERLEAVINGS):
        context = chromium.new_context()
        tabs = [context.new_page(), context.new_page()]
        random = Random(seed)
        site.folder = versions[0]
        for tab in tabs:
            tab.goto(site.url)
        for _ in range(STEPS):
            tab = random.choice(tabs)
            what = random.choice(ACTS)
            if what == "look":
                looks += 1
                mixed += [f"seed {seed}: {found}" for found in look(tab, random.choice(FILES))]
            else:
                act(what, tab, site, versions)
        updates += {tab.title() for tab in tabs} != {"version 0"}
        context.close()

    record("faults: random orders of an update in two tabs", INTERLEAVINGS)
    record("faults: files looked at in them", looks)
    record("faults: files of another version found in them", len(mixed))
    assert mixed == []
    assert updates > INTERLEAVINGS // 4  # the test does update


def act(what: str, tab: Page, site: Site, versions: list[Path]) -> None:
    """Let the server have the next version, or a tab do something about it."""
    if what == "deploy":
        site.folder = versions[min(versions.index(site.folder) + 1, len(versions) - 1)]
    elif what == "reload":
        tab.goto(site.url)
    else:
        tab.evaluate(UPDATE if what == "update" else ACTIVATE)


def look(tab: Page, path: str) -> list[str]:
    """Return what is wrong about a file as the page gets it."""
    version = tab.title()
    try:
        got, told = tab.evaluate("path => self.look(path)", path)
    except Error:
        return []  # the page is being left
    return [f"{version} got {path} of {got}"] if got not in ("", version) and not told else []
