"""What the kernels do besides networks: decoding a model's symbols, filtering pictures.

Each job is a program of one op, laid out anew in a small memory of its own, on one thread:

    control block, op table | inputs | outputs | scratch

rans.py and imaging/resample.py define the results; here they come some times sooner.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from offcut import rans
from offcut.backends.simd.program import Library
from offcut.backends.simd.table import CONTROL_BYTES, OP_BYTES, pack_control, pack_op
from offcut.imaging import resample

__all__ = ["Workbench"]

ALIGNMENT = 64
DECODING = 256 * 2 + (1 << rans.BITS)  # bytes of kernels/rans.c's `decoding`
LANES = 4  # the narrowest rows that kernels/image.c takes
SMALL = 20_000  # products: below, a job takes longer to lay out than to do
MOST = 8 << 20  # bytes of planes in one job, so that large pictures need little memory


class Workbench:
    """Kernels with as much memory as the largest job so far."""

    def __init__(self, open_library: Callable[[int], Library]) -> None:
        """open_library: bytes of memory -> kernels on one thread."""
        self._open = open_library
        self._library: Library | None = None
        self._size = 0

    def install(self) -> None:
        """Do what this can from now on."""
        rans.use(self.decode)
        resample.use(self.filter)

    def forget(self) -> None:
        """Zero what the last job has left."""
        if self._library is not None:
            self._library.clear(0, self._size)

    def decode(
        self,
        stream: rans.Stream,
        tables: Sequence[np.ndarray],
        lengths: rans.Counts,
        used: rans.Counts,
    ) -> tuple[np.ndarray, np.ndarray, int]:
        """Return what a rans.Decoder does."""
        inputs = {
            "pieces": np.stack([lengths, used], axis=1).astype("<u4"),
            "tables": np.array(tables, "<u2"),
            "words": stream.words.astype("<u2", copy=False),
        }
        states = stream.states.astype("<u4")
        symbols, rest = np.empty(int(np.sum(lengths)), np.uint8), np.empty(1, "<i4")
        counts = {
            "pieces_in": len(lengths),
            "tables_in": len(tables),
            "words_in": len(stream.words),
            "lanes": len(stream.states),
        }
        outputs, scratch = {"out": symbols, "rest": rest}, len(tables) * DECODING
        self._do("decode_rans", 1, counts, inputs | {"states": states}, outputs, scratch)
        return symbols, states, int(rest[0])

    def filter(
        self, planes: np.ndarray, taps: np.ndarray, weights: np.ndarray, turned: bool
    ) -> np.ndarray:
        """Return what resample.filtered does."""
        count, rows_in, width = planes.shape
        rows_out = taps.shape[1]
        if count * rows_out * width * len(taps) < SMALL or width < LANES:
            return resample.in_numpy(planes, taps, weights, turned)
        shape = (count, width, rows_out) if turned else (count, rows_out, width)
        out = np.empty(shape, np.float32)
        sizes = {"rows_in": rows_in, "rows_out": rows_out, "width": width, "count": len(taps)}
        step = max(1, MOST // (max(rows_in, rows_out) * width * 4))
        for first in range(0, count, step):
            some, result = planes[first : first + step], out[first : first + step]
            inputs = {"in": some, "taps": taps.astype("<u4"), "weights": weights}
            units = len(some) * rows_out
            args = sizes | {"turned": int(turned)}
            self._do("filter_rows", units, args, inputs, {"out": result}, width * 4)
        return out

    def _do(
        self,
        kernel: str,
        units: int,
        numbers: Mapping[str, int],
        inputs: Mapping[str, np.ndarray],
        outputs: Mapping[str, np.ndarray],
        scratch: int,
    ) -> None:
        """Run one op. What it leaves in "states", an input, is read too."""
        at, places = CONTROL_BYTES + OP_BYTES, dict[str, int]()
        for name, array in {**inputs, **outputs}.items():
            places[name] = at
            at += -(-array.nbytes // ALIGNMENT) * ALIGNMENT
        library = self._with_memory(at + scratch)
        control = pack_control(threads=1, ops=CONTROL_BYTES, scratch=at, scratch_size=scratch)
        library.write(0, control + pack_op(kernel, units, {**numbers, **places}))
        for name, array in inputs.items():
            library.write(places[name], np.ascontiguousarray(array).reshape(-1).view(np.uint8))
        library.run(0, 1)
        for name, array in outputs.items():
            library.read(places[name], array)
        if "states" in inputs:
            library.read(places["states"], inputs["states"])

    def _with_memory(self, size: int) -> Library:
        if self._library is None or size > self._size:
            if self._library is not None:
                self._library.close()
            self._library, self._size = self._open(size), size
        return self._library
