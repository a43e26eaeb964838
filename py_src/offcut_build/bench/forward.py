"""Time forwards of U2-Netp in headless Chromium: Offcut's backends and onnxruntime-web in turn."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Browser, Page

from offcut_build.bench.browser import page_at
from offcut_build.bench.rows import Row

__all__ = ["forwards", "photos"]

OPEN = "async ([threads, model]) => await window.bench.open(threads, model)"
FORWARD = "async (runs) => await window.bench.forward(runs)"
ASK = "async ([name, argument]) => await window.bench.ask(name, argument)"


def forwards(
    browser: Browser, url: str, *, backends: list[tuple[str, int]], rounds: int, runs: int
) -> list[Row]:
    """Return a row per (backend, threads), each beside onnxruntime-web with as many threads.

    Every round runs all of them one after another, so that a change of the machine's speed meets
    all alike; a page's first forward warms it up and is not counted.
    """
    context = browser.new_context()
    pages: dict[str, Page] = {}
    for threads in sorted({threads for _, threads in backends}):
        page = page_at(context, f"{url}bench_onnxruntime_web.html")
        page.evaluate(OPEN, [threads, "bench_model.onnx"])
        pages[f"onnxruntime_web_float32/threads-{threads}"] = page
    heaps: dict[str, dict[str, Any]] = {}
    for backend, threads in backends:
        page = page_at(context, f"{url}bench_offcut.html")
        name = f"{backend}/threads-{threads}"
        argument = {"threads": threads, "model": "", "backend": backend}
        heaps[name] = page.evaluate(ASK, ["open", argument])
        pages[name] = page
    spent: dict[str, list[float]] = {name: [] for name in pages}
    for count in [1] + [runs] * rounds:
        for name, page in pages.items():
            if name in heaps:
                answer = page.evaluate(ASK, ["forward", count])
                heaps[name]["heap_peak"] = answer["heap_peak"]
                answer = answer["milliseconds"]
            else:
                answer = page.evaluate(FORWARD, count)
            spent[name] += answer
    spent = {name: values[1:] for name, values in spent.items()}  # the first warmed up
    context.close()
    rows = [Row(f"forward/{name}", values) for name, values in spent.items()]
    by_name = {row.name: row for row in rows}
    for backend, threads in backends:
        peer = by_name[f"forward/onnxruntime_web_float32/threads-{threads}"]
        by_name[f"forward/{backend}/threads-{threads}"].beside(peer)
        opened = heaps[f"{backend}/threads-{threads}"]
        growth = (opened["heap_peak"] - opened["heap_idle"]) / 1e6
        rows.append(Row(f"python_heap_growth/{backend}/threads-{threads}", [growth], "MB"))
        rows.append(Row(f"compile/{backend}/threads-{threads}", [opened["compile"]]))
    return rows


def photos(browser: Browser, url: str, *, megapixels: list[float], backend: str) -> list[Row]:
    """Return a row per stage and photo size, each photo cut out three times after a warm-up."""
    context = browser.new_context()
    page = page_at(context, f"{url}bench_offcut.html")
    page.evaluate(ASK, ["open", {"threads": None, "model": "", "backend": backend}])
    page.evaluate(ASK, ["photo", 0.1])
    rows = []
    for size in megapixels:
        answers = [page.evaluate(ASK, ["photo", size]) for _ in range(3)]
        for stage in answers[0]["milliseconds"]:
            values = [answer["milliseconds"][stage] for answer in answers]
            rows.append(Row(f"photo/{size:g}-megapixels/{stage}", values))
        rows.append(Row(f"photo/{size:g}-megapixels/png", [answers[0]["bytes"] / 1e6], "MB"))
    context.close()
    return rows
