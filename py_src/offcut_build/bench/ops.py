"""Time each operator of the known networks in onnxruntime-web and in Offcut's kernels, in turn."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from playwright.sync_api import Browser, Error, Page

from offcut_build.bench.browser import ask, page_at
from offcut_build.bench.op import Op
from offcut_build.bench.op_model import onnx_bytes, shape_out
from offcut_build.bench.rows import Row
from offcut_build.console import say

__all__ = ["PEER", "PRECISIONS", "Timed", "beside_peer", "in_turn", "time_ops"]

PEER = "onnxruntime_web_float32"
PRECISIONS = ("u8", "float32")
STRETCH = 8.0  # milliseconds that one measurement lasts at least
MOST_TIMES = 2000
PAGE_OPS = 60  # operators until both pages are replaced: their memory only grows
LONG = 200.0  # milliseconds: what takes longer is measured once
CLOSE, AGAIN = 1.25, 5  # up to that ratio, either way, so many times the rounds decide
Runner = Callable[[int], float]  # how often -> milliseconds of one, 0 when that cannot be told
TOLERANCE = {"u8": 0.06, "float32": 1e-3}  # of the largest value, that samples may differ by


@dataclass(slots=True)
class Timed:
    """An operator's milliseconds by who ran it, and which kernels those were."""

    name: str
    spent: dict[str, list[float]]
    kernels: dict[str, list[str]]
    remarks: list[str]

    def ratio(self, precision: str) -> float:
        """Return Offcut's time over the peer's, of the medians."""
        return median(self.spent[precision]) / max(median(self.spent[PEER]), 1e-6)

    def rows(self) -> Iterator[Row]:
        """Yield a row for the peer and one for each precision beside it."""
        peer = Row(f"ops/{self.name}/{PEER}", self.spent[PEER])
        yield peer
        for precision in PRECISIONS:
            row = Row(f"ops/{self.name}/{precision}", self.spent[precision])
            row.ratios[PEER] = self.ratio(precision)
            yield row


def time_ops(
    browser: Browser, url: str, folder: Path, ops: list[Op], failed: list[str], *, rounds: int
) -> Iterator[Timed]:
    """Yield each operator's times, on one thread; `folder` is served at `url`.

    Every round runs the peer and both precisions one after another. An operator that fails is
    added to `failed`, and the others go on in new pages.
    """
    left = ops[::-1]
    while left:
        context = browser.new_context()
        op = left[-1]
        try:
            peer = page_at(context.new_page(), f"{url}bench_onnxruntime_web.html")
            offcut = page_at(context.new_page(), f"{url}bench_offcut.html?script=bench_ops.py")
            for _ in range(min(PAGE_OPS, len(left))):
                op = left.pop()
                yield _time(peer, offcut, folder, op, rounds)
        except Error as error:
            failed.append(op.name)
            say(f"{op.name} failed: {error}")
            left = left[:-1] if left and left[-1] is op else left  # the pages did not open
        finally:
            context.close()


def _time(peer: Page, offcut: Page, folder: Path, op: Op, rounds: int) -> Timed:
    file = folder / "bench_op.onnx"
    file.write_bytes(onnx_bytes(op))
    expected = peer.evaluate(
        "([model, shapes]) => window.bench.openOp(model, shapes)", [file.name, op.inputs]
    )
    argument = {
        "op": op.op,
        "inputs": op.inputs,
        "weights": op.weights,
        "attributes": op.attributes,
        "shape_out": shape_out(op),
        "low": expected["low"],
        "high": expected["high"],
    }
    opened = ask(offcut, "open", argument)
    runners = {PEER: partial(_run_peer, peer)}
    runners |= {precision: partial(_run_offcut, offcut, precision) for precision in PRECISIONS}
    spent = beside_peer(runners, rounds)
    for name, values in spent.items():
        if median(values) <= 0:
            raise Error(f"{name}: {MOST_TIMES} trips could not be told from one")
    kernels = {name: opened[name]["kernels"] for name in PRECISIONS}
    return Timed(op.name, spent, kernels, _remarks(opened, expected["sample"]))


def _run_peer(peer: Page, times: int) -> float:
    return float(peer.evaluate("(times) => window.bench.runOp(times)", times))


def _run_offcut(page: Page, precision: str, times: int) -> float:
    return float(ask(page, "run", {"precision": precision, "times": times}))


def beside_peer(runners: Mapping[str, Runner], rounds: int) -> dict[str, list[float]]:
    """Return the milliseconds of each runner in each round.

    Where the first rounds leave it to chance who is faster, the peer or another, all are measured
    anew in more rounds, and only these count.
    """
    spent = in_turn(runners, rounds)
    middle = {name: max(median(values), 1e-6) for name, values in spent.items()}
    ratios = [middle[name] / middle[PEER] for name in runners if name != PEER]
    if any(1 / CLOSE < ratio < CLOSE for ratio in ratios):
        return in_turn(runners, AGAIN * rounds)
    return spent


def in_turn(runners: Mapping[str, Runner], rounds: int) -> dict[str, list[float]]:
    """Return the milliseconds of each runner in each round, all measured with as many trips.

    Where so many trips as told the operator from the call around it in one round do not tell it in
    a later one, there are more from then on, and what fewer have told is forgotten: it was noise.
    """
    spent: dict[str, list[float]] = {name: [] for name in runners}
    times = dict.fromkeys(runners, 1)
    for _ in range(rounds):
        for name, run in runners.items():
            if spent[name] and spent[name][0] > LONG:
                continue
            least = 0.0 if spent[name] else STRETCH / 2
            trips, each = _enough(run, times[name], least)
            if trips > times[name]:
                spent[name].clear()
            times[name] = trips
            spent[name].append(each)
    return spent


def _enough(run: Runner, times: int, least: float) -> tuple[int, float]:
    """Return how often to run the operator so that it lasts longer than `least`, and how long each.

    times: how often to begin with. Shorter stretches warm it up; a long operator has run once when
    it was opened.
    """
    while True:
        each = run(times)
        lasted = each * times
        if lasted > least or times == MOST_TIMES:
            return times, each
        times = min(MOST_TIMES, times * math.ceil(max(2.0, STRETCH / max(lasted, STRETCH / 8))))


def _remarks(opened: dict[str, Any], expected: list[float]) -> list[str]:
    """Return what is wrong with the results, and which had no kernel."""
    largest = max(map(abs, expected)) or 1.0
    remarks = []
    for precision in PRECISIONS:
        sample = opened[precision]["sample"]
        off = max(abs(a - b) for a, b in zip(sample, expected, strict=True)) / largest
        if not off <= TOLERANCE[precision]:
            remarks.append(f"{precision} WRONG: off by {off:.2g} of the largest value")
        if opened[precision]["fallback"]:
            remarks.append(f"{precision}: {opened[precision]['fallback']}")
    return remarks
