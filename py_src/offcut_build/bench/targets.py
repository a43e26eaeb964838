"""What Offcut means to reach: a figure of the benchmark each, at least and aimed at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["TARGETS", "Target", "report", "verdict"]


@dataclass(frozen=True, slots=True)
class Target:
    """A figure and its limits; less is better unless `more` says otherwise."""

    title: str
    key: str
    least: float
    aim: float
    unit: str = ""
    more: bool = False

    def meets(self, value: float, limit: float) -> bool:
        """Return whether a value is as good as a limit."""
        return value >= limit if self.more else value <= limit


WEB = "ratio_to_onnxruntime_web"
ACCURACY = "alpha against float32, 24 photos"
TARGETS = (
    Target(
        "forward, 1 thread, of onnxruntime-web float32",
        f"forward/threads-1/{WEB}_float32",
        0.115,
        0.085,
    ),
    Target(
        "forward, 2 threads, of onnxruntime-web float32",
        f"forward/threads-2/{WEB}_float32",
        0.115,
        0.085,
    ),
    Target(
        "forward, 1 thread, of onnxruntime-web int8", f"forward/threads-1/{WEB}_int8", 0.19, 0.14
    ),
    Target(
        "forward, 2 threads, of onnxruntime-web int8", f"forward/threads-2/{WEB}_int8", 0.19, 0.14
    ),
    Target(
        "native forward, 1 thread, of onnxruntime float32",
        "native/threads-1/ratio_to_onnxruntime_float32",
        0.6,
        0.45,
    ),
    Target(
        "native forward, 2 threads, of onnxruntime float32",
        "native/threads-2/ratio_to_onnxruntime_float32",
        0.6,
        0.45,
    ),
    Target(
        "ready, first visit, of Pyodide with numpy", "ready/cold/ratio_to_stock_pyodide", 0.40, 0.33
    ),
    Target(
        "first cutout after ready, beyond the forward",
        "first_cutout/beyond_forward/median",
        60,
        30,
        "ms",
    ),
    Target("kernels.wasm", "size/kernels/kernels.wasm/median", 40, 25, "kB"),
    Target(
        "memory of the kernels: weights and arena",
        "forward/threads-1/kernels_memory/median",
        40,
        30,
        "MB",
    ),
    Target(f"mean difference of {ACCURACY}", "accuracy/mae_mean/median", 0.0016, 0.0010),
    Target(f"worst IoU of {ACCURACY}", "accuracy/iou_worst/median", 0.96, 0.98, more=True),
    Target(
        "reference backend, of onnxruntime-web float32",
        f"forward/reference/threads-1/{WEB}_float32",
        8,
        3.2,
    ),
    Target(
        "Python's heap growth in the reference backend",
        "forward/reference/threads-1/python_heap_growth/median",
        160,
        130,
        "MB",
    ),
)


def verdict(target: Target, value: float) -> str:
    """Return what a value is worth, in a word or two."""
    if target.meets(value, target.aim):
        return "aim reached"
    return "met" if target.meets(value, target.least) else "MISSED"


def report(figures: Mapping[str, Any]) -> str:
    """Return the targets that were measured, as a table for a terminal."""
    lines = [f"{'target':52} {'at least':>9} {'aim':>9} {'measured':>9}"]
    for target in TARGETS:
        if target.key in figures:
            value = float(figures[target.key])
            numbers = f"{target.least:9g} {target.aim:9g} {value:9.4g}"
            lines.append(f"{target.title:52} {numbers} {target.unit:3} {verdict(target, value)}")
    return "\n".join(lines)
