"""Time forwards of U2-Netp in headless Chromium: Offcut's backends and onnxruntime-web in turn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from playwright.sync_api import Browser, Page

from offcut_build.bench.browser import ask, page_at
from offcut_build.bench.rows import Row
from offcut_build.console import say

__all__ = ["Contender", "contenders", "forwards", "profile"]

OPEN = "async ([threads, model]) => await window.bench.open(threads, model)"
FORWARD = "async (runs) => await window.bench.forward(runs)"
PEER = "onnxruntime_web"
SECOND_LOOKS = 5


@dataclass(frozen=True, slots=True)
class Contender:
    """Who runs the network. model: the peer's file, "" for Offcut."""

    name: str  # of the row
    threads: int
    model: str = ""
    backend: str = ""
    precision: str = "auto"
    share: int = 1  # runs in every so many rounds


def contenders(int8: Mapping[str, str], threads: list[int]) -> list[Contender]:
    """Return everybody. int8: the peer's 8-bit formats -> files."""
    found = []
    for count in threads:
        row = f"forward/threads-{count}"
        found.append(Contender(f"{row}/{PEER}_float32", count, "bench_model.onnx"))
        for form, file in int8.items():
            found.append(Contender(f"{row}/{PEER}_int8_{form}", count, file))
        found.append(Contender(row, count, backend="simd"))
    found.append(Contender("forward/float32/threads-1", 1, backend="simd", precision="float32"))
    found.append(Contender("forward/reference/threads-1", 1, backend="reference", share=3))
    return found


def forwards(browser: Browser, url: str, everybody: list[Contender], *, rounds: int) -> list[Row]:
    """Return a row per contender, Offcut's beside the peer's with as many threads.

    Each has a page of its own. Every round runs all of them one after another, so that a change
    of the machine's speed meets all alike; a page's first forward warms it up and is a row of its
    own for Offcut.
    """
    context = browser.new_context()
    try:
        pages = {who.name: _open(context.new_page(), url, who) for who in everybody}
        spent: dict[str, list[float]] = {who.name: [] for who in everybody}
        answers: dict[str, dict[str, Any]] = {}
        for turn in range(rounds + 1):
            say(f"  round {turn} of {rounds}")
            for who in everybody:
                if turn <= 1 or turn % who.share == 0:
                    spent[who.name] += _forward(pages[who.name][0], who, answers)
        seconds = _second_looks(pages, everybody)
    finally:
        context.close()
    first = {name: values.pop(0) for name, values in spent.items()}
    rows = {name: Row(name, values) for name, values in spent.items()}
    found = [row for row in rows.values() if "_int8_" not in row.name]
    for who in everybody:
        if not who.model:
            found += _beside(who, rows, found)
            found.append(Row(f"{who.name}/first", [first[who.name]]))
            found += _memory(who, pages[who.name][1], answers[who.name])
    return found + seconds


def profile(browser: Browser, url: str, *, passes: int) -> list[Row]:
    """Return what each kernel's ops take in a pass on one thread, and what they reach."""
    context = browser.new_context()
    try:
        page = page_at(context.new_page(), f"{url}bench_offcut.html")
        ask(page, "open", {"threads": 1, "backend": "simd", "precision": "auto"})
        ask(page, "forward", 2)
        kernels: dict[str, dict[str, Any]] = ask(page, "profile", passes)
    finally:
        context.close()
    rows = []
    for kernel, found in sorted(kernels.items(), key=lambda item: -min(item[1]["spent"])):
        name = f"profile/{kernel}"
        rows += [Row(name, found["spent"]), Row(f"{name}/ops", [found["ops"]], "")]
        if found["macs"]:
            rate = found["macs"] / median(found["spent"]) / 1e6
            rows.append(Row(f"{name}/rate", [rate], "GMAC/s"))
    return rows


def _open(page: Page, url: str, who: Contender) -> tuple[Page, dict[str, Any]]:
    if who.model:
        page_at(page, f"{url}bench_onnxruntime_web.html")
        page.evaluate(OPEN, [who.threads, who.model])
        return page, {}
    page_at(page, f"{url}bench_offcut.html")
    argument = {"threads": who.threads, "backend": who.backend, "precision": who.precision}
    return page, ask(page, "open", argument)


def _forward(page: Page, who: Contender, answers: dict[str, dict[str, Any]]) -> list[float]:
    if who.model:
        return [float(value) for value in page.evaluate(FORWARD, 1)]
    answers[who.name] = ask(page, "forward", 1)
    return [float(value) for value in answers[who.name]["milliseconds"]]


def _second_looks(
    pages: dict[str, tuple[Page, dict[str, Any]]], everybody: list[Contender]
) -> list[Row]:
    """Return what it takes to compute a photo again without rounding, by threads."""
    rows = []
    for who in everybody:
        if who.backend == "simd" and who.precision == "auto":
            answer = ask(pages[who.name][0], "second_look", SECOND_LOOKS)
            name = f"forward/second_look/threads-{who.threads}"
            rows.append(Row(name, answer["milliseconds"]))
    return rows


def _beside(who: Contender, rows: dict[str, Row], found: list[Row]) -> list[Row]:
    """Note the ratios to the peer; return the row of its better 8-bit format where it is new."""
    row = f"forward/threads-{who.threads}"
    rows[who.name].beside(rows[f"{row}/{PEER}_float32"])
    formats = [value for key, value in rows.items() if key.startswith(f"{row}/{PEER}_int8_")]
    if not formats:
        return []
    best = Row(f"{row}/{PEER}_int8", min(formats, key=lambda form: form.median).values)
    rows[who.name].beside(best)
    return [] if any(known.name == best.name for known in found) else [best]


def _memory(who: Contender, opened: dict[str, Any], last: dict[str, Any]) -> list[Row]:
    """Return what making the model ready took, and what memory it and its runs took."""
    growth = (last["heap_peak"] - opened["heap_idle"]) / 1e6
    rows = [
        Row(f"{who.name}/compile", [opened["compile"]]),
        Row(f"{who.name}/python_heap_growth", [growth], "MB"),
    ]
    if opened["kernels_memory"]:
        rows.append(Row(f"{who.name}/kernels_memory", [opened["kernels_memory"] / 1e6], "MB"))
    return rows
