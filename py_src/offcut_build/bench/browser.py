"""The benchmark's browser and site: dist/ with the benchmark's pages and peers beside it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from offcut import serve
from offcut_build.bench import peers

__all__ = ["chromium", "page_at", "site"]

PAGES = Path(__file__).parent / "pages"
HEADERS = """/*
  Cross-Origin-Opener-Policy: same-origin
  Cross-Origin-Embedder-Policy: require-corp
"""
QUIET = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--no-sandbox",
]


@contextmanager
def site(dist: Path, cache: Path, model: Path, folder: Path) -> Iterator[str]:
    """Serve dist/, the peers and `model` (an ONNX file) from one origin; yield the address."""
    shutil.copytree(dist, folder, dirs_exist_ok=True)
    shutil.copytree(PAGES, folder, dirs_exist_ok=True)
    web = peers.npm_package(*peers.ONNXRUNTIME_WEB, cache)
    shutil.copytree(web / "dist", folder / "onnxruntime-web", dirs_exist_ok=True)
    shutil.copy(model, folder / "bench_model.onnx")
    # The peer needs a laxer policy than dist/_headers has; isolation, for threads, stays.
    (folder / "_headers").write_text(HEADERS)
    server = serve.start(folder)
    try:
        yield server.url
    finally:
        server.close()


@contextmanager
def chromium() -> Iterator[Browser]:
    """Yield a headless Chromium without its own background traffic."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("OFFCUT_CHROMIUM") or None, args=QUIET
        )
        try:
            yield browser
        finally:
            browser.close()


def page_at(context: BrowserContext, url: str) -> Page:
    """Open `url` and return its page once its script has run."""
    page = context.new_page()
    page.goto(url, wait_until="load")
    return page
