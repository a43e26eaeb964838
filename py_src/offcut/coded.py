"""The 8-bit parts of a model file: entropy-coded streams, with tables that follow the kernels.

How far a layer's weights lie from zero differs from kernel to kernel, mostly as a product of what
is usual for the output channel and for the input channel. Each of both has a number that rises by
one when that doubles STEPS times; the sum of the two says which table codes the kernel. That saves
some 5 % of the bytes that a table per layer takes. Two streams (rans.py):

    spreads     the numbers: rows of all such parts, then columns of all
    codes       all symbols, part after part; what is no int8 matrix has a table for the whole part

and the document {"spreads": [rows' table, columns' table], "kernels": [table of each sum of
numbers], "parts": [table of each other part]}. Numbers follow from whole numbers and comparisons,
so that every machine decides alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from offcut import coding, rans
from offcut.errors import ModelFormatError

__all__ = ["Layout", "decode", "encode", "sizes"]

STEPS = 3  # numbers per power of two
ROOTS = (1.0, 1.2599210498948732, 1.5874010519681994)  # 2^(i / STEPS)
LEAST = -4  # powers of two: what is nearer to zero than 1/16, of all or of a step, counts alike
ROWS = np.array([ROOTS[i % 3] * 2.0 ** (i // 3 + LEAST) for i in range(11 * STEPS + 1)])
COLUMNS = ROWS[: 8 * STEPS + 1]  # relative to the mean of all columns: up to 16 times
Columns = Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Layout:
    """A part as it is stored: uint8 or int8; inputs: channels of an int8 matrix (o, k), else 0."""

    dtype: str
    shape: tuple[int, ...]
    inputs: int = 0

    @property
    def count(self) -> int:
        """Symbols of the part."""
        count = 1
        for extent in self.shape:
            count *= extent
        return count


def encode(
    parts: Sequence[np.ndarray], layouts: Sequence[Layout]
) -> tuple[dict[str, np.ndarray], dict[str, list[int]]]:
    """Return the columns of the file and the document."""
    if not parts:
        return {}, {"spreads": [], "kernels": [], "parts": []}
    numbers = _numbers(parts, layouts)
    tables, kernels, others = _tables(parts, layouts, numbers)
    lengths, used = _pieces(layouts, numbers, kernels, others)
    symbols = np.concatenate([coding.symbols(part) for part in parts])
    columns = _named("codes", rans.encode(symbols, lengths, tables, used))
    sides = [np.concatenate(side) for side in zip(*numbers, strict=True)]
    side_tables, side_used = coding.choose_tables(sides) if sides else ([], [])
    if sides:
        side_lengths = [len(side) for side in sides]
        stream = rans.encode(np.concatenate(sides), side_lengths, side_tables, side_used)
        columns |= _named("spreads", stream)
    return columns, {"spreads": side_used, "kernels": kernels, "parts": others}


def decode(
    columns: dict[str, np.ndarray], document: Mapping[str, Any], layouts: Sequence[Layout]
) -> list[np.ndarray]:
    """Return the parts; their columns are removed. Raises ModelFormatError unless all is exact."""
    kernels, others, sides = (_whole(document[key]) for key in ("kernels", "parts", "spreads"))
    total = sum(layout.count for layout in layouts)
    if total > rans.MAX_SYMBOLS:
        raise ModelFormatError(f"coded weights: {total} symbols, at most {rans.MAX_SYMBOLS}")
    if not layouts:
        return []
    numbers: list[tuple[np.ndarray, np.ndarray]] = []
    matrices = [layout for layout in layouts if layout.inputs]
    if matrices:
        heights = [layout.shape[0] for layout in matrices]
        widths = [layout.inputs for layout in matrices]
        flat = rans.decode(_taken("spreads", columns), [sum(heights), sum(widths)], sides)
        cuts = np.cumsum([*heights, *widths])[:-1]
        split = np.split(flat, cuts)
        numbers = list(zip(split[: len(heights)], split[len(heights) :], strict=True))
    lengths, used = _pieces(layouts, numbers, kernels, others)
    symbols = rans.decode(_taken("codes", columns), lengths, used)
    flat_parts = np.split(symbols, np.cumsum([layout.count for layout in layouts])[:-1])
    rows = zip(flat_parts, layouts, strict=True)
    return [coding.from_symbols(part, row.dtype).reshape(row.shape) for part, row in rows]


def sizes(parts: Sequence[np.ndarray], layouts: Sequence[Layout]) -> list[float]:
    """Return what each part takes in the stream of codes, in bytes, about."""
    numbers = _numbers(parts, layouts)
    tables, kernels, others = _tables(parts, layouts, numbers)
    lengths, used = _pieces(layouts, numbers, kernels, others)
    table_of = np.repeat(used, lengths)
    found, at = [], 0
    for part in parts:
        mine, symbols = table_of[at : at + part.size], coding.symbols(part)
        at += part.size
        bits = 0
        for number in np.unique(mine):
            counts = np.bincount(symbols[mine == number], minlength=256)
            bits += coding.coded_bits(counts, tables[number])
        found.append(bits / 8 / (1 << coding.FRACTION))
    return found


def _numbers(
    parts: Sequence[np.ndarray], layouts: Sequence[Layout]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the numbers of rows (o,) and columns (c,) of each matrix, uint8."""
    pairs = []
    for part, layout in zip(parts, layouts, strict=True):
        if not layout.inputs:
            continue
        distance = np.abs(part.astype(np.int64)).reshape(len(part), layout.inputs, -1)
        kernels = distance.sum(axis=2)  # (o, c)
        taps, everything = distance.shape[2], max(int(kernels.sum()), 1)
        by_row = kernels.sum(axis=1) / (layout.inputs * taps)
        by_column = (kernels.sum(axis=0) * layout.inputs) / everything
        rows = np.searchsorted(ROWS, by_row, side="right").astype(np.uint8)
        columns = np.searchsorted(COLUMNS, by_column, side="right").astype(np.uint8)
        pairs.append((rows, columns))
    return pairs


def _tables(
    parts: Sequence[np.ndarray],
    layouts: Sequence[Layout],
    numbers: Sequence[tuple[np.ndarray, np.ndarray]],
) -> tuple[list[np.ndarray], list[int], list[int]]:
    """Return the tables, that of each sum of numbers, and that of each part that is no matrix."""
    rows = list(zip(parts, layouts, strict=True))
    matrices = [part for part, layout in rows if layout.inputs]
    others = [coding.symbols(part) for part, layout in rows if not layout.inputs]
    groups, sums = [], np.empty(0, np.int64)
    if matrices:
        per_kernel = [_sums(*pair) for pair in numbers]
        taps = [part.size // len(own) for part, own in zip(matrices, per_kernel, strict=True)]
        spread = [np.repeat(own, n) for own, n in zip(per_kernel, taps, strict=True)]
        everything = np.concatenate(spread)
        symbols = np.concatenate([coding.symbols(part) for part in matrices])
        sums = np.unique(everything)
        groups = [symbols[everything == number] for number in sums]
    tables, used = coding.choose_tables([*groups, *others])
    kernels = [0] * (int(sums.max(initial=-1)) + 1)
    for number, table in zip(sums.tolist(), used, strict=False):
        kernels[number] = table
    return tables, kernels, used[len(groups) :]


def _pieces(
    layouts: Sequence[Layout],
    numbers: Sequence[tuple[np.ndarray, np.ndarray]],
    kernels: Sequence[int],
    others: Sequence[int],
) -> tuple[np.ndarray, np.ndarray]:
    """Return how many symbols each piece has that one table codes, and which, int64 (n,) each."""
    lengths, used = [], []
    if len(others) != sum(not layout.inputs for layout in layouts):
        raise ModelFormatError(f"coded weights: tables of {len(others)} parts, there are others")
    pairs, rest, table = iter(numbers), iter(others), np.array(kernels, np.int64)
    for layout in layouts:
        if layout.inputs:
            sums = _sums(*next(pairs))  # (o * c,)
            lengths.append(np.full(len(sums), layout.count // len(sums), np.int64))
            used.append(table[sums])
        else:
            lengths.append(np.array([layout.count], np.int64))
            used.append(np.array([next(rest)], np.int64))
    return np.concatenate(lengths), np.concatenate(used)


def _sums(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return the sum of numbers of each kernel, int64 (o * c,)."""
    return (rows.astype(np.int64)[:, None] + columns).reshape(-1)


def _named(prefix: str, stream: rans.Stream) -> dict[str, np.ndarray]:
    columns = {"words": stream.words, "states": stream.states, "tables": stream.tables}
    return {f"{prefix}.{key}": column for key, column in columns.items()}


def _taken(prefix: str, columns: dict[str, np.ndarray]) -> rans.Stream:
    """Return the stream of columns, which are removed. Raises ModelFormatError."""
    words, states, tables = (
        columns.pop(f"{prefix}.{key}") for key in ("words", "states", "tables")
    )
    kinds = (words.dtype.name, states.dtype.name, tables.dtype.name)
    if kinds != ("uint16", "uint32", "uint8") or {words.ndim, states.ndim, tables.ndim} != {1}:
        raise ModelFormatError(f"coded weights: columns are {kinds}, of one axis each")
    return rans.Stream(words, states, tables)


def _whole(value: Any) -> list[int]:
    if not isinstance(value, list) or not all(type(n) is int and n >= 0 for n in value):
        raise ModelFormatError("metadata: expected a list of whole numbers from 0")
    return value
