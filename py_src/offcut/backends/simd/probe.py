"""How many threads are fastest here: one op of the program, timed with all, half of them, ... one.

Processors that a system reports may be halves of a core, or busy with other work: more threads than
there is room for make every barrier wait. Results do not depend on the number.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from offcut.backends.simd.draft import Draft, Instruction

__all__ = ["fastest", "probe_op"]

PROBE_MACS = (
    200_000_000  # some milliseconds on one thread: long beside a barrier, short to wait for
)
ROUNDS = 3
GAIN = 0.95  # more threads must take at most so much of the time of fewer


def probe_op(draft: Draft) -> int | None:
    """Return which of the program's ops to time: a convolution of a fair size, if there is one."""
    ops = [step for step in draft.steps if isinstance(step, Instruction)]
    sizes = {at: abs(op.macs - PROBE_MACS) for at, op in enumerate(ops) if op.macs}
    return min(sizes, key=sizes.__getitem__) if sizes else None


def fastest(
    most: int, run: Callable[[int], None], clock: Callable[[], float] = time.perf_counter
) -> int:
    """Return the number of threads, up to `most`, with which `run(threads)` takes least time."""
    candidates = [most]
    while candidates[0] > 1:
        candidates.insert(0, candidates[0] // 2)
    best = dict.fromkeys(candidates, float("inf"))
    for _ in range(ROUNDS):
        for threads in candidates:
            begin = clock()
            run(threads)
            best[threads] = min(best[threads], clock() - begin)
    chosen = 1
    for threads in candidates:
        if best[threads] < best[chosen] * GAIN:
            chosen = threads
    return chosen
