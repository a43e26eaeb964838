"""Entropy-coded symbols decoded by the kernels: what rans.py defines, some ten times faster.

The kernels get a small memory of their own for it, since it is done before any model is compiled:

    control block, op table | parts | tables | words | states | symbols | rest | scratch
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from offcut import rans
from offcut.backends.simd.program import Library
from offcut.backends.simd.table import CONTROL_BYTES, OP_BYTES, pack_control, pack_op

__all__ = ["decoder"]

SCRATCH = 256 * 2 + (1 << rans.BITS)  # kernels/rans.c's `decoding`


def decoder(open_library: Callable[[int], Library]) -> rans.Decoder:
    """Return a decoder for rans.use(). open_library: bytes of memory -> kernels on one thread."""

    def decode(
        stream: rans.Stream,
        tables: Sequence[np.ndarray],
        lengths: Sequence[int],
        used: Sequence[int],
    ) -> tuple[np.ndarray, np.ndarray, int]:
        inputs = {
            "parts": np.array([lengths, used], "<u4").T,
            "tables": np.array(tables, "<u2"),
            "words": stream.words.astype("<u2", copy=False),
            "states": stream.states.astype("<u4", copy=False),
        }
        at, places = CONTROL_BYTES + OP_BYTES, dict[str, int]()
        symbols, rest = np.empty(sum(lengths), np.uint8), np.empty(1, "<i4")
        for name, array in (inputs | {"out": symbols, "rest": rest}).items():
            places[name] = at
            at += -(-array.nbytes // 64) * 64
        args = places | {
            "parts_in": len(lengths),
            "words_in": len(stream.words),
            "lanes": len(stream.states),
        }
        library = open_library(at + SCRATCH)
        try:
            control = pack_control(threads=1, ops=CONTROL_BYTES, scratch=at, scratch_size=SCRATCH)
            library.write(0, control + pack_op("decode_rans", 1, 1, args))
            for name, array in inputs.items():
                library.write(places[name], np.ascontiguousarray(array).reshape(-1).view(np.uint8))
            library.run(0, 1)
            states = np.empty_like(inputs["states"])
            for name, array in (("out", symbols), ("states", states), ("rest", rest)):
                library.read(places[name], array)
        finally:
            library.close()
        return symbols, states, int(rest[0])

    return decode
