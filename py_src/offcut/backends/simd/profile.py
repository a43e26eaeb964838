"""Profile: how long each op of a compiled program takes, where the time of a pass goes."""

from __future__ import annotations

import time
from dataclasses import dataclass

from offcut.backends.simd.program import SimdProgram
from offcut.errors import BackendError

__all__ = ["OpTime", "profile"]


@dataclass(frozen=True, slots=True)
class OpTime:
    """One op: its kernel, the value it makes, multiply-accumulates, least milliseconds."""

    kernel: str
    value: str
    macs: int
    milliseconds: float


def profile(program: SimdProgram, rounds: int) -> list[OpTime]:
    """Return the ops in their order, each timed `rounds` times alone, on what the last pass left.

    Raises BackendError when the program is closed.
    """
    if program.library is None:
        raise BackendError("simd: the program is closed")
    least = [float("inf")] * len(program.ops)
    for _ in range(rounds):
        for at in range(len(program.ops)):
            begin = time.perf_counter()
            program.library.run(at, at + 1)
            least[at] = min(least[at], (time.perf_counter() - begin) * 1e3)
    return [
        OpTime(kernel, value, macs, spent)
        for (kernel, value, macs), spent in zip(program.ops, least, strict=True)
    ]
