"""Time forwards of U2-Netp on CPython: Offcut's native kernels and onnxruntime in turn."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from offcut.backends import Program, no_checkpoint, simd
from offcut.container import Model
from offcut_build.bench.rows import Row
from offcut_build.console import say

__all__ = ["natives", "ort_session"]

REST = 0.02  # seconds between two peers, so that no helper thread still spins

Run = Callable[[], object]


def natives(
    model: Model, float32: Path, int8: dict[str, Path], *, threads: list[int], rounds: int
) -> list[Row]:
    """Return a row per number of threads, beside onnxruntime with as many.

    float32, int8: ONNX files; of int8, format -> file, the fastest in the run counts. Every round
    runs all of them one after another. The first run of each warms it up and is not counted.
    """
    height, width = model.card.input.size
    x = np.zeros((1, 3, height, width), np.float32)
    programs, runs = [], dict[str, Run]()
    for count in threads:
        program = asyncio.run(simd.compile(model, threads=count))
        programs.append(program)
        runs[f"native/threads-{count}"] = partial(_run_offcut, program, model, x)
        peers = {"onnxruntime_float32": float32}
        peers |= {f"onnxruntime_int8_{form}": path for form, path in int8.items()}
        for name, path in peers.items():
            session = ort_session(path, count)
            feeds = {session.get_inputs()[0].name: x}
            output = [session.get_outputs()[0].name]
            runs[f"native/threads-{count}/{name}"] = partial(session.run, output, feeds)
    spent = _time_in_turn(runs, rounds)
    for program in programs:
        program.close()
    return [row for count in threads for row in _rows(f"native/threads-{count}", spent)]


def ort_session(path: Path, threads: int) -> Any:
    """Return onnxruntime's session of a file; its threads rest as soon as a run ends."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _run_offcut(program: Program, model: Model, x: np.ndarray) -> None:
    asyncio.run(program.run({model.graph.inputs[0]: x}, no_checkpoint))


def _time_in_turn(runs: dict[str, Run], rounds: int) -> dict[str, list[float]]:
    for run in runs.values():
        run()
    spent: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds):
        say(f"  round {turn + 1} of {rounds}")
        for name, run in runs.items():
            time.sleep(REST)
            begin = time.perf_counter()
            run()
            spent[name].append((time.perf_counter() - begin) * 1e3)
    return spent


def _rows(name: str, spent: dict[str, list[float]]) -> list[Row]:
    own = Row(name, spent[name])
    float32 = Row(f"{name}/onnxruntime_float32", spent[f"{name}/onnxruntime_float32"])
    formats = [key for key in spent if key.startswith(f"{name}/onnxruntime_int8_")]
    rows = [Row(key, spent[key]) for key in formats]
    best = min(rows, key=lambda row: row.median)
    int8 = Row(f"{name}/onnxruntime_int8", best.values)
    own.beside(float32)
    own.beside(int8)
    return [own, float32, int8]
