"""Print the table per operator: a line as soon as an operator is measured, a summary at the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from offcut_build.bench.ops import PEER, PRECISIONS, Timed
from offcut_build.bench.rows import Row

__all__ = ["heading", "line", "slower", "summary", "totals"]

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


def totals(timed: Sequence[Timed], networks: Mapping[str, Sequence[str]]) -> list[Row]:
    """Return, by network and precision, how many operators there are and how many are slower.

    networks: operator's name -> the networks that have it.
    """
    return list(_totals(timed, networks))


def _totals(timed: Sequence[Timed], networks: Mapping[str, Sequence[str]]) -> Iterator[Row]:
    for network in dict.fromkeys(name for names in networks.values() for name in names):
        own = [done for done in timed if network in networks[done.name]]
        for precision in PRECISIONS if own else ():
            name = f"operators/{network}/{precision}"
            found = [done for done in own if precision in slower(done)]
            ratios = [done.ratio(precision) for done in own]
            yield Row(f"{name}/count", [float(len(own))], "")
            yield Row(f"{name}/slower", [float(len(found))], "")
            yield Row(f"{name}/ratio", ratios, "")
