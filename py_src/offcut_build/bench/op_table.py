"""Print the table per operator: a line as soon as an operator is measured, a summary at the end."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from offcut_build.bench.ops import PEER, PRECISIONS, Timed

__all__ = ["heading", "line", "slower", "summary"]

WIDTH = 44


def heading() -> str:
    """Return the two lines above the table; ratios are Offcut's time over the peer's."""
    titles = f"{'operator':{WIDTH}} {'ort-web ms':>10} {'u8 ms':>9} {'ratio':>7}"
    titles += f" {'float ms':>9} {'ratio':>7}  kernels"
    return f"{titles}\n{'-' * len(titles)}"


def line(timed: Timed) -> str:
    """Return an operator's line; SLOWER marks where Offcut takes longer than the peer."""
    text = f"{timed.name:{WIDTH}} {median(timed.spent[PEER]):10.3f}"
    for precision in PRECISIONS:
        text += f" {median(timed.spent[precision]):9.3f} {timed.ratio(precision):7.3f}"
    names = (f"{'+'.join(timed.kernels[precision]) or 'none'}" for precision in PRECISIONS)
    remarks = [f"SLOWER in {precision}" for precision in slower(timed)] + timed.remarks
    return "  ".join([text, " | ".join(names), *remarks])


def slower(timed: Timed) -> list[str]:
    """Return the precisions in which Offcut takes longer than the peer."""
    return [precision for precision in PRECISIONS if timed.ratio(precision) > 1.0]


def summary(timed: Sequence[Timed]) -> str:
    """Return how many operators are slower than the peer's, by precision."""
    lines = []
    for precision in PRECISIONS:
        found = [done.name for done in timed if precision in slower(done)]
        listed = f": {', '.join(found)}" if found else ""
        lines.append(f"{precision}: {len(found)} of {len(timed)} are slower than {PEER}{listed}")
    return "\n".join(lines)
