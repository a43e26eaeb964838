"""Which frequency tables code which weights: as few as pay for the bytes that they take.

Parts are put in order of their spread; then neighbours are joined, those first whose joining saves
the most, while that makes the file smaller. Costs are whole numbers (bits times 2^16), so that
every machine decides alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from offcut import rans

__all__ = ["choose_tables", "coded_bits", "from_symbols", "symbols"]

FRACTION = 16  # bits after the point of a cost
OFFSET = 128  # of int8: symbols count from 0


def symbols(part: np.ndarray) -> np.ndarray:
    """Return an int8 or uint8 part as uint8 symbols of one axis, rising with the values."""
    flat = np.ascontiguousarray(part).reshape(-1)
    return flat.view(np.uint8) ^ np.uint8(OFFSET) if part.dtype == np.int8 else flat


def from_symbols(flat: np.ndarray, dtype: str) -> np.ndarray:
    """Return the part that `symbols` made `flat` of."""
    return (flat ^ np.uint8(OFFSET)).view(np.int8) if dtype == "int8" else flat


def choose_tables(parts: Sequence[np.ndarray]) -> tuple[list[np.ndarray], list[int]]:
    """Return frequency tables (256,) and, for each part (n,) of symbols, the number of its own."""
    counts = [np.bincount(part, minlength=256) for part in parts]
    order = sorted(range(len(parts)), key=lambda at: _spread(counts[at]))
    clusters = [[at] for at in order]
    tables = [counts[at] for at in order]
    costs = [_cost(table) for table in tables]
    together = [_cost(a + b) for a, b in pairwise(tables)]
    while together:
        gains = [costs[at] + costs[at + 1] - cost for at, cost in enumerate(together)]
        at = gains.index(max(gains))
        if gains[at] <= 0:
            break
        clusters[at] += clusters.pop(at + 1)
        tables[at] = tables[at] + tables.pop(at + 1)
        costs[at] = together.pop(at)
        del costs[at + 1]
        if at > 0:
            together[at - 1] = _cost(tables[at - 1] + tables[at])
        if at < len(together):
            together[at] = _cost(tables[at] + tables[at + 1])
    number = {part: at for at, cluster in enumerate(clusters) for part in cluster}
    return [rans.frequencies(table) for table in tables], [number[at] for at in range(len(parts))]


def _spread(counts: np.ndarray) -> int:
    """Return the mean distance of symbols from the middle, times 2^FRACTION."""
    distance = np.abs(np.arange(256) - OFFSET)
    return (int((counts * distance).sum()) << FRACTION) // int(counts.sum())


def _cost(counts: np.ndarray) -> int:
    """Return the bits of symbols that occur so often and of their table, times 2^FRACTION."""
    present = np.flatnonzero(counts)
    span = int(present[-1]) - int(present[0]) + 1
    frequent = int((counts * 32 >= counts.sum()).sum())  # frequencies of 128 take two bytes
    bits = coded_bits(counts, rans.frequencies(counts))
    return bits + ((2 + span + frequent) * 8 << FRACTION)


def coded_bits(counts: np.ndarray, table: np.ndarray) -> int:
    """Return the bits of symbols that occur `counts` (256,) times in `table`, times 2^FRACTION."""
    there = counts > 0
    bits = rans.BITS - np.log2(table[there])
    return int((np.rint(bits * (1 << FRACTION)).astype(np.int64) * counts[there]).sum())
