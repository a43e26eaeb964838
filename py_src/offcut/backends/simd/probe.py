"""How many threads are fastest here: one op of the program, timed with all, half of them, ... one.

Processors that a system reports may be halves of a core, or busy with other work: more threads than
there is room for make every barrier wait. Results do not depend on the number.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from offcut.backends.simd.draft import Draft, Instruction

__all__ = ["fastest", "probe_op", "untimed"]

PROBE_MACS = (
    200_000_000  # some milliseconds on one thread: long beside a barrier, short to wait for
)
ROUNDS = 3
IN_A_ROW = 4  # a thread that slept wakes up during the first, perhaps where another runs
GAIN = 0.95  # fewer threads must take at most so much of the time of more


def probe_op(draft: Draft) -> int | None:
    """Return which of the program's ops to time: a convolution of a fair size, if there is one."""
    ops = [step for step in draft.steps if isinstance(step, Instruction)]
    sizes = {at: abs(op.macs - PROBE_MACS) for at, op in enumerate(ops) if op.macs}
    return min(sizes, key=sizes.__getitem__) if sizes else None


def fastest(
    best: dict[int, float],
    run: Callable[[int], None],
    clock: Callable[[], float] = time.perf_counter,
) -> int:
    """Return the number of threads, of the keys of `best`, with which `run(threads)` is fastest.

    best: the least time so far by number of threads, as `untimed` makes it; brought up to date. Let
    some time pass and ask again: other work, as an engine's compiling, may have held a processor.
    """
    for _ in range(ROUNDS):
        for threads in best:
            for _ in range(IN_A_ROW):
                begin = clock()
                run(threads)
                best[threads] = min(best[threads], clock() - begin)
    chosen = max(best)
    for threads in sorted(best, reverse=True):
        if best[threads] < best[chosen] * GAIN:
            chosen = threads
    return chosen


def untimed(most: int) -> dict[int, float]:
    """Return the numbers of threads to try, from one to `most`, none of them timed yet."""
    numbers = [most]
    while numbers[0] > 1:
        numbers.insert(0, numbers[0] // 2)
    return dict.fromkeys(numbers, float("inf"))
