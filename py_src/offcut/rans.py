"""Entropy coding of 8-bit symbols by rANS, in lanes, so that numpy decodes a whole row at a time.

Static hosts do not compress model files, so the file does it itself. Symbol number i belongs to
lane i % lanes; a lane is a 32-bit state that gives its symbols in order. To decode one symbol, with
a table of frequencies f and starts (their running sum) that add up to 2^12:

    slot = state mod 2^12;  the symbol is the one whose [start, start + f) holds slot
    state = f * (state div 2^12) + slot - start
    if state < 2^16: state = state * 2^16 + the next 16-bit word; lower lanes take theirs first

The encoder runs backwards from states of 2^16, so that a decoder that ends with other states, or
with words left, was given damaged data. A table, as bytes:

    first symbol, count of symbols - 1, then each frequency: f below 128 in one byte,
    others in two: 128 + f div 256, f mod 256

Source: J. Duda 2013, arXiv 1311.2540; lanes after F. Giesen 2014, arXiv 1402.3392.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from offcut.errors import ModelFormatError
from offcut.replaceable import Replaceable

__all__ = [
    "BITS",
    "MAX_SYMBOLS",
    "Decoder",
    "Stream",
    "decode",
    "decode_words",
    "encode",
    "frequencies",
    "lanes_for",
]

BITS = 12
TOTAL = 1 << BITS
LOWEST = 1 << 16  # of a state
MAX_LANES = 512
MAX_TABLES = 1024
MAX_SYMBOLS = 1 << 27  # a table of one symbol costs no bits: bytes alone do not bound the result


@dataclass(frozen=True, slots=True)
class Stream:
    """Coded arrays. words: uint16 (n,); states: uint32 (lanes,); tables: uint8 (m,)."""

    words: np.ndarray
    states: np.ndarray
    tables: np.ndarray


Counts = np.ndarray | Sequence[int]  # whole numbers
# (stream, frequencies (256,) of each table, lengths, used) -> symbols of all pieces, uint8 (n,),
# the lanes' last states, and how many words are left over, or -1 when they end too early
Decoder = Callable[
    [Stream, Sequence[np.ndarray], Counts, Counts],
    tuple[np.ndarray, np.ndarray, int],
]


def lanes_for(symbols: int) -> int:
    """Return how many lanes suit: a state costs four bytes, a row of few lanes wastes time."""
    lanes = 1
    while lanes < MAX_LANES and lanes * 512 < symbols:
        lanes *= 2
    return lanes


def frequencies(counts: np.ndarray) -> np.ndarray:
    """Scale counts (256,), not all zero, to integers that add up to 2^12, none lost; int64."""
    scaled = counts.astype(np.int64) * TOTAL // int(counts.sum())
    scaled[(counts > 0) & (scaled == 0)] = 1
    while (surplus := int(scaled.sum()) - TOTAL) != 0:
        if surplus < 0:
            scaled[int(np.argmax(counts))] -= surplus
        else:  # from the frequent, where one less costs least
            most = int(np.argmax(scaled))
            scaled[most] -= min(surplus, max(1, int(scaled[most]) // 8))
    return scaled


def encode(
    symbols: np.ndarray, lengths: Counts, tables: Sequence[np.ndarray], used: Counts
) -> Stream:
    """Code the symbols, uint8 (n,), which are pieces of so many one after another.

    tables: frequencies (256,) each; used: which table codes which piece.
    """
    starts = [np.cumsum(table) - table for table in tables]
    index = _firsts(lengths, used, 256) + symbols
    f = np.concatenate([np.empty(0, np.int64), *tables]).astype(np.uint64)[index]
    start = np.concatenate([np.empty(0, np.int64), *starts]).astype(np.uint64)[index]
    lanes = lanes_for(len(symbols))
    states = np.full(lanes, LOWEST, np.uint64)
    chunks: list[np.ndarray] = []
    for at in reversed(range(0, len(symbols), lanes)):
        here = slice(at, min(at + lanes, len(symbols)))
        state, width = states[: here.stop - at], f[here]
        full = state >= width << np.uint64(32 - BITS)
        chunks.append((state[full] & np.uint64(0xFFFF)).astype(np.uint16))
        state[full] >>= np.uint64(16)
        quotient, rest = np.divmod(state, width)
        state[:] = (quotient << np.uint64(BITS)) + rest + start[here]
    words = np.concatenate([np.empty(0, np.uint16), *chunks[::-1]])
    written = b"".join(_table_bytes(table) for table in tables)
    return Stream(words, states.astype(np.uint32), np.frombuffer(written, np.uint8))


def decode(stream: Stream, lengths: Counts, used: Counts) -> np.ndarray:
    """Return all symbols, uint8 (n,). Raises ModelFormatError unless all is exact."""
    lengths, used = np.asarray(lengths, np.int64), np.asarray(used, np.int64)
    total = int(lengths.sum())
    if total > MAX_SYMBOLS:
        raise ModelFormatError(f"coded weights: {total} symbols, at most {MAX_SYMBOLS}")
    tables = _read_tables(stream.tables)
    if len(used) != len(lengths) or (used.size and not 0 <= used.min() <= used.max() < len(tables)):
        raise ModelFormatError(f"coded weights: {len(tables)} tables, pieces name others")
    if len(stream.states) != lanes_for(total):
        raise ModelFormatError(f"coded weights: {len(stream.states)} lanes for {total} symbols")
    if not len(lengths):
        return np.empty(0, np.uint8)
    symbols, states, rest = decode_words(stream, tables, lengths, used)
    if rest < 0:
        raise ModelFormatError("coded weights: the words end too early")
    if rest or not (states == LOWEST).all():
        raise ModelFormatError("coded weights: damaged, the lanes do not end where they began")
    return symbols


def _firsts(lengths: Counts, used: Counts, width: int) -> np.ndarray:
    """Return where each symbol's table begins when tables of `width` lie side by side, (n,)."""
    return np.repeat(np.asarray(used, np.uint32) * np.uint32(width), np.asarray(lengths, np.intp))


@Replaceable
def decode_words(
    stream: Stream, tables: Sequence[np.ndarray], lengths: Counts, used: Counts
) -> tuple[np.ndarray, np.ndarray, int]:
    """Return symbols, u8, the lanes' last states, and how many words are left, -1 for too few.

    A row of lanes at a time. tables: u16 (256,) each. lengths, used: of each piece.
    """
    f = np.concatenate([np.repeat(t, t) for t in tables]).astype(np.uint32)
    offset = np.concatenate(
        [np.arange(TOTAL) - np.repeat(np.cumsum(t) - t, t) for t in tables]
    ).astype(np.uint32)  # slot - start
    slots, words = _firsts(lengths, used, TOTAL), stream.words
    states = stream.states.astype(np.uint32)
    lanes, taken = len(states), 0
    for at in range(0, len(slots), lanes):
        slot = slots[at : at + lanes]  # a view: filled in place
        state = states[: len(slot)]
        slot += state & np.uint32(TOTAL - 1)
        state >>= np.uint32(BITS)
        state *= f.take(slot)
        state += offset.take(slot)
        low = (state < LOWEST).nonzero()[0]
        if len(low) > len(words) - taken:
            return np.empty(0, np.uint8), states, -1
        state[low] = state[low] << np.uint32(16) | words[taken : taken + len(low)]
        taken += len(low)
    symbols = np.concatenate([np.repeat(np.arange(256, dtype=np.uint8), t) for t in tables])
    return symbols[slots], states, len(words) - taken


def _table_bytes(table: np.ndarray) -> bytes:
    present = np.flatnonzero(table)
    first, last = int(present[0]), int(present[-1])
    out = bytearray((first, last - first))
    for f in table[first : last + 1].tolist():
        out += bytes((f,)) if f < 128 else bytes((128 + (f >> 8), f & 255))
    return bytes(out)


def _read_tables(data: np.ndarray) -> list[np.ndarray]:
    """Return the frequencies (256,) of each table. Raises ModelFormatError."""
    at, values, tables = 0, data.tolist(), list[np.ndarray]()
    try:
        while at < len(values):
            first, count = values[at], values[at + 1] + 1
            at += 2
            table = np.zeros(256, np.intp)  # what repeat() takes, of 32 bits in the browser
            for symbol in range(first, first + count):
                f = values[at]
                if f >= 128:
                    at += 1
                    f = (f - 128) * 256 + values[at]
                at += 1
                table[symbol] = f
            if int(table.sum()) != TOTAL:
                raise ModelFormatError(f"coded weights: a table adds up to {int(table.sum())}")
            tables.append(table)
            if len(tables) > MAX_TABLES:
                raise ModelFormatError(f"coded weights: more than {MAX_TABLES} tables")
    except IndexError as error:
        raise ModelFormatError("coded weights: the tables are cut or name no symbol") from error
    return tables
