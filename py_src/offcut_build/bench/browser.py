"""The benchmark's browser and sites: dist/ as it is hosted, and a copy with the peers beside it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from offcut import serve
from offcut_build import assets
from offcut_build.bench import peers
from offcut_build.lock import read
from offcut_build.tree import Tree

__all__ = ["Sites", "ask", "chromium", "lay_out", "page_at", "sites"]

PAGES = Path(__file__).parent / "pages"
STOCK = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip")
POLICY = "Content-Security-Policy"
CONFINED = ("/bench_offcut.html", "/bench_worker.js", "/kernel_thread.js")  # Offcut, not its peers
QUIET = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-quic",
    "--disable-sync",
    "--enable-blink-features=ForceEagerMeasureMemory",  # else memory is told after minutes
    "--no-first-run",
    "--no-sandbox",
]


@dataclass(frozen=True, slots=True)
class Sites:
    """Addresses, each with a final slash, and the folder behind the second."""

    hosted: str  # dist/, with the headers that it asks for
    bench: str  # a copy of it with the benchmark's pages and onnxruntime-web
    stock: str  # Pyodide and numpy as they are published
    folder: Path  # what `bench` serves
    requests: list[str]  # paths that `hosted` was asked for, in order


@contextmanager
def sites(tree: Tree, folder: Path) -> Iterator[Sites]:
    """Serve everything from 127.0.0.1 by the same server.

    The peers' pages need a laxer content security policy than dist/ asks for; Offcut's keep it. All
    other headers, those for isolation and caching too, are the same everywhere.
    """
    bench, stock = folder / "bench", folder / "stock"
    lay_out(tree.dist, bench)
    web = peers.npm_package(*peers.ONNXRUNTIME_WEB, tree.cache / "bench")
    shutil.copytree(web / "dist", bench / "onnxruntime-web")
    found = assets.ensure(tree)
    shutil.copy(found["u2netp.onnx"], bench / "bench_model.onnx")
    _stock(tree, found, stock)
    (stock / "_headers").write_text("\n".join(_headers(tree.dist, confined=())))
    requests: list[str] = []
    with ExitStack() as stack:
        own = serve.start(tree.dist, on_request=lambda method, path: requests.append(path))
        hosted, beside, plain = (
            stack.enter_context(server).url
            for server in (own, serve.start(bench), serve.start(stock))
        )
        yield Sites(hosted, beside, plain, bench, requests)


def lay_out(dist: Path, folder: Path) -> None:
    """Copy dist/ and the benchmark's pages into a new folder."""
    shutil.copytree(dist, folder)
    shutil.copytree(PAGES, folder, dirs_exist_ok=True)
    (folder / "_headers").write_text("\n".join(_headers(dist, confined=CONFINED)))


def _headers(dist: Path, *, confined: tuple[str, ...]) -> list[str]:
    """Return the lines of dist/_headers, with the policy for the paths `confined` alone."""
    lines = (dist / "_headers").read_text(encoding="utf-8").splitlines()
    policy = [line for line in lines if POLICY in line]
    return [line for line in lines if POLICY not in line] + [
        line for path in confined for line in (path, *policy)
    ]


def _stock(tree: Tree, found: Mapping[str, Path], folder: Path) -> None:
    """Lay out Pyodide's own files, numpy's wheel, and a lock file that names it."""
    lock = read(tree.lock_file)
    numpy = next(asset for asset in lock.assets if asset.package == "numpy")
    entry = {
        "depends": [],
        "file_name": numpy.file,
        "imports": ["numpy"],
        "install_dir": "site",
        "name": "numpy",
        "package_type": "package",
        "sha256": numpy.sha256,
        "unvendored_tests": False,
        "version": numpy.version,
    }
    pyodide = folder / "pyodide"
    pyodide.mkdir(parents=True)
    for name in (*STOCK, numpy.file):
        shutil.copy(found[name], pyodide / name)
    document = {"info": lock.info, "packages": {"numpy": entry}}
    (pyodide / "pyodide-lock.json").write_text(json.dumps(document))
    for name in ("bench_stock.html", "bench_stock.js"):
        shutil.copy(PAGES / name, folder / name)


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


def page_at(page: Page, url: str) -> Page:
    """Open `url` in `page` and return it once its script has run."""
    page.goto(url, wait_until="load")
    return page


def ask(page: Page, name: str, argument: Any) -> Any:
    """Call a function of the script of bench_offcut.html; argument and answer are JSON values."""
    plain = json.loads(json.dumps(argument))
    return page.evaluate("([name, value]) => window.bench.ask(name, value)", [name, plain])
