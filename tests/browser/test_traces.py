"""Nothing about a photo stays behind, and the panel that says so tells the truth."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import BrowserContext

from offcut_build import preload
from tests.browser.app import BOOT_SECONDS, App, encoded, png
from tests.faulty_site import Answer, faulty_site

MARKER = "MARKED-4711"
GPS = 0x8825
STORED = """async () => {
  const cache = await caches.open('offcut:/');
  const texts = [document.title, location.href, JSON.stringify({ ...localStorage })];
  texts.push(JSON.stringify({ ...sessionStorage }), document.cookie);
  texts.push(JSON.stringify(await indexedDB.databases()));
  for await (const name of (await navigator.storage.getDirectory()).keys()) texts.push(name);
  for (const request of await cache.keys()) {
    texts.push(request.url, await (await cache.match(request)).text());
  }
  texts.push((await caches.keys()).join());
  return texts.join('\\n');
}"""
# What Firefox's resistFingerprinting does to a canvas, in the worker.
NOISE = b"""
const original = OffscreenCanvasRenderingContext2D.prototype.getImageData;
OffscreenCanvasRenderingContext2D.prototype.getImageData = function (...area) {
  const image = original.apply(this, area);
  for (let k = 0; k < image.data.length; k += 97) image.data[k] ^= 1;
  return image;
};
"""


APP = Path(__file__).resolve().parents[2] / "app"


def marked_photo(samples: Path) -> bytes:
    exif = Image.Exif()
    exif[0x010E] = MARKER  # ImageDescription
    exif[GPS] = {1: "N", 2: (47.0, 11.0, 4711.0)}
    return encoded(Image.open(samples / "cat.jpg"), "JPEG", exif=exif.tobytes())


def test_P6_P7_no_marker_of_the_photo_is_in_the_cutout_or_in_any_storage(
    app: App, samples: Path
) -> None:
    photo = marked_photo(samples)
    assert MARKER.encode() in photo

    result = app.cut_out((f"{MARKER}.jpg", photo))
    stored = app.page.evaluate(STORED)
    app.start_over()

    assert result.name == f"{MARKER}-offcut.png"  # the download's name alone
    assert MARKER.encode() not in result.data and b"Exif" not in result.data
    assert b"4711" not in result.data
    assert MARKER not in stored
    assert MARKER not in app.page.content()


def test_P4_ways_out_that_no_policy_governs_are_removed(app: App) -> None:
    names = ["RTCPeerConnection", "WebTransport", "WebSocket", "EventSource", "fetchLater"]
    for place in (app.page, app.page.workers[0]):
        assert place.evaluate("names => names.filter(name => name in globalThis)", names) == []


def test_P4_shipped_scripts_use_no_way_out_but_fetch(dist: Path) -> None:
    forbidden = (
        r"sendBeacon|window\.open|\blocation\s*=[^=]|\blocation\.(href|assign|replace)\s*[(=]"
    )
    found = {
        path.name: re.findall(forbidden, path.read_text())
        for path in dist.glob("*.js")
        if re.search(forbidden, path.read_text())
    }

    assert found == {}


def test_P9_the_panel_shows_what_the_server_and_the_files_say(
    context: BrowserContext, dist: Path, samples: Path
) -> None:
    with faulty_site(dist) as site:
        app = App(context.new_page())
        app.page.goto(site.url)
        app.wait("ready", seconds=BOOT_SECONDS)
        app.cut_out(samples / "cat.jpg")
        asked = {path for path, _ in site.seen} - {"sw.js", "favicon.ico"}

        app.page.get_by_test_id("proof-open").click()

        panel = app.page.get_by_test_id("proof")
        assert panel.get_by_test_id("proof-since").inner_text() == "0"
        assert panel.get_by_test_id("proof-elsewhere").inner_text() == "0"
        urls = panel.locator(".proof-requests li").all_text_contents()
        shown = {url.removeprefix(site.url) for url in urls}
        assert {path for path in shown if not (dist / path).is_file()} <= {""}
        by_page = {path for path in asked if path.endswith((".js", ".css", ".mjs", ".wasm"))}
        scripts = {path.name: path.read_bytes() for path in APP.glob("*.js")}
        joined = set(preload.imports(scripts, preload.WORKER)) - {preload.WORKER}
        # the service worker keeps those for other pages; this page has them in worker.js
        assert by_page - joined <= shown | {"kernel_thread.js", "confinement.js"}
        meta = re.search(r'Policy" content="([^"]+)"', (dist / "index.html").read_text())
        assert meta
        text = panel.get_by_test_id("proof-policy").text_content() or ""
        assert text.replace(";\n", "; ") == meta[1]
        rows = panel.locator(".proof-files li").all_text_contents()
        assert len(rows) == int(panel.get_by_test_id("proof-checked").inner_text()) > 30
        manifest = json.loads((dist / "manifest.json").read_text())["files"]
        for row in rows:
            path, sha256 = row[:-64], row[-64:]
            assert hashlib.sha256((dist / path).read_bytes()).hexdigest() == sha256
            assert manifest[path]["sha256"] == sha256


def test_P9_the_panel_counts_a_request_that_comes_after_ready(
    context: BrowserContext, site: str
) -> None:
    app = App(context.new_page())
    app.page.goto(site)
    app.wait("ready", seconds=BOOT_SECONDS)
    app.page.get_by_test_id("proof-open").click()
    since = app.page.get_by_test_id("proof-since")
    assert since.inner_text() == "0"

    app.page.evaluate("() => fetch('LICENSE').then(() => {})")

    app.wait_until(lambda: since.inner_text() == "1", "the request is counted", 10)


def test_I11_photo_is_read_past_a_canvas_that_adds_noise(
    context: BrowserContext, dist: Path, samples: Path
) -> None:
    def noisy(answer: Answer) -> None:
        answer.body = NOISE + answer.body

    pixels = np.asarray(Image.open(samples / "cat.jpg").convert("RGB"))
    with faulty_site(dist) as site:
        site.faults["worker.js"] = noisy
        app = App(context.new_page())
        app.page.goto(site.url)
        app.wait("ready", seconds=BOOT_SECONDS)

        result = app.cut_out(("cat.png", png(pixels))).pixels

    opaque = result[..., 3] == 255
    assert opaque.any()
    assert (result[opaque][:, :3] == pixels[opaque]).all()
