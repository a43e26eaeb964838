"""Time one pass of the network in every backend that can run it here.

Backends run in turn, round by round, so that a change of the machine's speed meets all alike.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from pathlib import Path
from statistics import median

import numpy as np

from offcut import backends, library
from offcut.backends.simd import default_threads
from offcut.backends.simd.profile import profile
from offcut.backends.simd.program import SimdProgram
from offcut.cli.terminal import tell
from offcut.container import Model
from offcut.errors import BackendError
from offcut.session import Session, open_session

__all__ = ["arguments", "run"]

MOST_OPS = 20  # of `--ops`


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--model", default=library.DEFAULT, metavar="NAME", help="or a file")
    parser.add_argument("--backend", metavar="NAME", help="this one alone")
    parser.add_argument("--threads", type=int, metavar="N", help="default: one, and all there are")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="timed passes of each")
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    parser.add_argument("--ops", action="store_true", help="then time each op of simd by itself")


def run(options: argparse.Namespace) -> int:
    """Time the passes, write JSON where asked, and print a table."""
    name, model = asyncio.run(library.load(options.model))
    sessions = _sessions(name, model, options)
    try:
        spent = _time_in_turn(sessions, max(1, options.rounds))
        if options.ops:
            for session in sessions:
                _show_ops(session, max(1, options.rounds))
    finally:
        for session in sessions:
            session.close()
    rows = [
        {
            "backend": session.backend,
            "threads": session.threads,
            "min": round(min(values), 2),
            "median": round(median(values), 2),
        }
        for session, values in zip(sessions, spent, strict=True)
    ]
    if options.json:
        document = {"model": name, "unit": "ms", "rounds": len(spent[0]), "backends": rows}
        Path(options.json).write_text(json.dumps(document, indent=1) + "\n")
    print(f"{name}, milliseconds of one pass, {len(spent[0])} of each")
    for row in rows:
        times = f"min {row['min']:>9.1f}  median {row['median']:>9.1f}"
        print(f"  {row['backend']:<10} {row['threads']} thread(s)  {times}")
    return 0


def _show_ops(session: Session, rounds: int) -> None:
    """Print the ops of a simd session, slowest first, and what each kernel takes in all."""
    if not isinstance(session.program, SimdProgram):
        return
    ops = profile(session.program, rounds)
    print(f"ops of {session.backend}, {session.threads} thread(s): least milliseconds, GMAC/s")
    for op in sorted(ops, key=lambda op: -op.milliseconds)[:MOST_OPS]:
        rate = f"{op.macs / op.milliseconds / 1e6:8.1f}" if op.macs else " " * 8
        print(f"  {op.milliseconds:8.3f} {rate}  {op.kernel} {op.value}")
    for kernel in dict.fromkeys(op.kernel for op in ops):
        same = [op.milliseconds for op in ops if op.kernel == kernel]
        print(f"  {sum(same):8.3f}           all {len(same)} {kernel}")


def _sessions(name: str, model: Model, options: argparse.Namespace) -> list[Session]:
    """Return the sessions to compare. Raises BackendError when a choice cannot be had."""
    found: list[Session] = []
    for backend in [options.backend] if options.backend else backends.BACKENDS:
        for threads in [options.threads] if options.threads else [1, default_threads()]:
            try:
                opening = open_session(model, name=name, backend=backend, threads=threads)
                session = asyncio.run(opening)
            except BackendError as error:
                if options.backend or options.threads:
                    raise
                tell(str(error))
                continue
            if any((s.backend, s.threads) == (backend, session.threads) for s in found):
                session.close()
            else:
                found.append(session)
    return found


def _time_in_turn(sessions: list[Session], rounds: int) -> list[list[float]]:
    """Return each session's milliseconds; its first pass warms it up and is not counted."""
    spent: list[list[float]] = [[] for _ in sessions]
    for at in range(rounds + 1):
        for session, values in zip(sessions, spent, strict=True):
            graph = session.model.graph
            x = np.zeros(graph.shapes[graph.inputs[0]], np.float32)
            tell(f"pass {at} of {rounds}: {session.backend}, {session.threads} thread(s)")
            begin = time.perf_counter()
            asyncio.run(session.run(x))
            if at:
                values.append((time.perf_counter() - begin) * 1e3)
    return spent
