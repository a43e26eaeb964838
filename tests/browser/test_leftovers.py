"""After "Start over" the memory of page and worker holds nothing of the photo any more.

Searched are the JavaScript heaps, by the debugger's snapshots, and every WebAssembly memory of the
worker: Python's, and the kernels'. Each search finds something before, so it can find.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, CDPSession

from tests.browser.app import BOOT_SECONDS, App, png
from tests.faulty_site import before, faulty_site

MARKER = "MARKED-4711"
PATCH = 64  # pixels, the side of what no other picture has
RUN = 24  # bytes that are searched for: longer than chance
# Notes the memories of the worker, and searches them.
WATCH = """
const memories = new Set();
const note = (imports, { exports }) => {
  for (const value of [...Object.values(imports ?? {}), exports].flatMap(Object.values)) {
    if (value instanceof Native) memories.add(value);
  }
};
const { Instance, Memory: Native, instantiate } = WebAssembly;
WebAssembly.Instance = new Proxy(Instance, {
  construct(target, [module, imports]) {
    const made = new target(module, imports);
    note(imports, made);
    return made;
  },
});
WebAssembly.instantiate = async (module, imports) => {
  const made = await instantiate(module, imports);
  note(imports, made.instance ?? made);
  return made;
};
const countIn = (all, run) => {
  let count = 0;
  for (let at = all.indexOf(run[0]); at >= 0; at = all.indexOf(run[0], at + 1)) {
    if (run.every((byte, k) => all[at + k] === byte)) count += 1;
  }
  return count;
};
self.countOf = run =>
  [...memories].reduce((sum, { buffer }) => sum + countIn(new Uint8Array(buffer), run), 0);
self.bytesOf = () => [...memories].reduce((sum, { buffer }) => sum + buffer.byteLength, 0);
"""


class Heaps:
    """The JavaScript heaps of a page and its workers, as the debugger sees them."""

    def __init__(self, session: CDPSession) -> None:
        self.session = session
        self.workers: dict[str, str] = {}  # session -> title
        self.told: list[str] = []
        self.chunks: list[str] = []
        session.on("Target.attachedToTarget", self._attached)
        session.on("Target.receivedMessageFromTarget", lambda event: self._told(event["message"]))
        session.on(
            "HeapProfiler.addHeapSnapshotChunk", lambda event: self.chunks.append(event["chunk"])
        )
        options = {"autoAttach": True, "waitForDebuggerOnStart": False, "flatten": False}
        session.send("Target.setAutoAttach", options)

    def _attached(self, event: dict[str, object]) -> None:
        target = event["targetInfo"]
        assert isinstance(target, dict)
        if target["type"] == "worker":
            self.workers[str(event["sessionId"])] = str(target["title"])

    def _told(self, text: str) -> None:
        message = json.loads(text)
        if message.get("method") == "HeapProfiler.addHeapSnapshotChunk":
            self.chunks.append(message["params"]["chunk"])
        self.told.append(str(message.get("id")))

    def of_page(self) -> str:
        """Return a snapshot after garbage collection."""
        self.chunks = []
        self.session.send("HeapProfiler.collectGarbage")
        self.session.send("HeapProfiler.takeHeapSnapshot")
        return "".join(self.chunks)

    def of_worker(self, app: App, session: str) -> str:
        """Return a snapshot after garbage collection."""
        self.chunks, self.told = [], []
        for number, method in enumerate(("enable", "collectGarbage", "takeHeapSnapshot")):
            message = json.dumps({"id": number, "method": f"HeapProfiler.{method}"})
            self.session.send(
                "Target.sendMessageToTarget", {"sessionId": session, "message": message}
            )
        read = lambda: app.page.wait_for_timeout(50) or "2" in self.told  # noqa: E731
        app.wait_until(read, "the worker's heap is read", 60)  # which events tell
        return "".join(self.chunks)


def marked(samples: Path) -> tuple[bytes, np.ndarray]:
    """Return a PNG with a patch of noise, and a row of it, u8 RGB (RUN // 3, 3)."""
    pixels = np.array(Image.open(samples / "cat.jpg").convert("RGB"))
    middle = pixels.shape[0] // 2, pixels.shape[1] // 2
    noise = np.random.default_rng(47).integers(1, 255, (PATCH, PATCH, 3), np.uint8)
    pixels[middle[0] :, middle[1] :][:PATCH, :PATCH] = noise
    return png(pixels), noise[PATCH // 2, : RUN // 3]


@pytest.mark.parametrize("how", ["clear", "cancel"])
def test_P7_nothing_of_the_photo_is_in_any_memory_after_starting_over(
    chromium: Browser, dist: Path, samples: Path, how: str
) -> None:
    photo, row = marked(samples)
    with faulty_site(dist) as site:
        site.faults["worker.js"] = before(WATCH)
        context = chromium.new_context()
        app = App(context.new_page())
        app.page.goto(site.url)
        app.wait("ready", seconds=BOOT_SECONDS)
        heaps = Heaps(context.new_cdp_session(app.page))
        cutout = app.cut_out((f"{MARKER}.png", photo)).data
        runs = {
            "name": MARKER.encode(),
            "pixels": np.insert(row, 3, 255, axis=1).tobytes(),
            "cutout": cutout[len(cutout) // 2 :][:RUN],
        }
        worker = app.page.workers[0]
        found = {name: worker.evaluate("run => countOf(run)", [*r]) for name, r in runs.items()}
        assert all(found.values()), f"before, the search finds {found}"
        assert MARKER in heaps.of_page()
        size = worker.evaluate("bytesOf()")

        app.page.evaluate(f"document.querySelector('.{how}').click()")
        app.wait("ready", seconds=BOOT_SECONDS)
        counts = lambda: {  # noqa: E731
            name: worker.evaluate("run => countOf(run)", [*run]) for name, run in runs.items()
        }
        app.wait_until(lambda: not any(counts().values()), "Python's memory is overwritten", 20)

        assert MARKER not in heaps.of_page()
        assert "offcut" in heaps.workers.values()
        for session in heaps.workers:
            assert MARKER not in heaps.of_worker(app, session)
        assert worker.evaluate("bytesOf()") == size  # it did not take more memory for that
        context.close()
