"""Time whole photos by stage, decoding included, through the handler that answers the page."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Browser

from offcut_build.bench.browser import Sites, ask, page_at
from offcut_build.bench.rows import Row
from offcut_build.console import say

__all__ = ["make_photo", "photos"]

QUALITY = 92  # of the JPEG, as cameras write it
GRAIN = 6.0  # of 255: enlarged pixels have none of their own


def make_photo(sample: Path, megapixels: float, folder: Path) -> Path:
    """Write a JPEG of about so many megapixels, 4 by 3: the sample enlarged, with grain."""
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    width = round(height * 4 / 3)
    path = folder / f"photo-{megapixels:g}-megapixels.jpg"
    with Image.open(sample) as image:
        large = image.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
    rng = np.random.default_rng(7)
    pixels = np.asarray(large)  # u8 (height, width, 3)
    noisy = np.empty_like(pixels)
    for row in range(0, height, 256):
        band = pixels[row : row + 256]
        grain = rng.normal(0.0, GRAIN, band.shape[:2]).astype(np.float32)[..., None]
        noisy[row : row + 256] = np.clip(band + grain, 0, 255)
    Image.fromarray(noisy).save(path, quality=QUALITY)
    return path


def photos(browser: Browser, sites: Sites, files: Iterable[Path], *, times: int) -> list[Row]:
    """Return a row per stage and photo, each cut out so often after a warm-up, and memory.

    files: in the folder that sites.bench serves. Memory: each photo has a page of its own, since
    WebAssembly's memory never shrinks; `browser_count` is what the browser tells of the page, and
    `process_peak` the most that the page's process had in memory (on Linux).
    """
    return [row for file in files for row in _photo(browser, sites, file, times)]


def _photo(browser: Browser, sites: Sites, file: Path, times: int) -> list[Row]:
    name = file.stem.replace("-", "/", 1)  # photo/12-megapixels
    say(f"  {name}")
    context = browser.new_context()
    try:
        others = processes(browser)
        page = page_at(context.new_page(), f"{sites.bench}bench_offcut.html")
        opened = ask(page, "open", {"threads": None, "backend": "auto", "precision": "auto"})
        answers = [ask(page, "photo", file.name) for _ in range(times + 1)][1:]
        counted = page.evaluate("() => window.bench.memory()")
        peak = max((peak_memory(pid) for pid in processes(browser) - others), default=0)
    finally:
        context.close()
    last = answers[-1]
    rows = [
        Row(f"{name}/{stage}", [answer["milliseconds"][stage] for answer in answers])
        for stage in last["milliseconds"]
    ]
    sizes = {
        "jpeg": file.stat().st_size,
        "png": last["png"],
        "python_heap_idle": opened["heap_idle"],
        "python_heap": last["heap_peak"],
        "kernels_memory": last["kernels_memory"],
        "browser_count": counted,
        "process_peak": peak,
    }
    return rows + [Row(f"{name}/{key}", [size / 1e6], "MB") for key, size in sizes.items() if size]


def processes(browser: Browser) -> set[int]:
    """Return the ids of the browser's processes that run pages."""
    session = browser.new_browser_cdp_session()
    answer = session.send("SystemInfo.getProcessInfo")
    session.detach()
    return {int(row["id"]) for row in answer["processInfo"] if row["type"] == "renderer"}


def peak_memory(process: int) -> int:
    """Return the most bytes that a process has had in memory; 0 where the system does not tell."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(x.split()[1]) * 1024 for x in lines if x.startswith("VmHWM")), 0)
