"""What the kernels do besides networks: decoding a model's symbols, filtering pictures.

Each job is a program of an op or two, laid out anew in a small memory of its own, on one thread:

    control block, op table | inputs | outputs | what is between the ops | scratch

rans.py and imaging/resample.py define the results; here they come some times sooner.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from offcut import rans
from offcut.backends.simd.program import Library
from offcut.backends.simd.table import CONTROL_BYTES, OP_BYTES, pack_control, pack_op
from offcut.imaging import resample

__all__ = ["Workbench"]

ALIGNMENT = 64
DECODING = 256 * 2 + (1 << rans.BITS)  # bytes of kernels/rans.c's `decoding`
LANES = 8  # the narrowest rows that kernels/image.c takes
LINE = 16  # rows that are one piece of its work
SMALL = 20_000  # products: below, a job takes longer to lay out than to do
MOST = 8 << 20  # bytes of planes in one job, so that large pictures need little memory


@dataclass(frozen=True, slots=True)
class Op:
    """A row of the table; arrays: the op's fields that are places -> the names of what is there."""

    kernel: str
    units: int  # of work
    numbers: Mapping[str, int]
    arrays: Mapping[str, str]


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
        inputs["states"] = states
        outputs = {"out": symbols, "rest": rest}
        op = Op("decode_rans", 1, counts, {name: name for name in (*inputs, *outputs)})
        self._do([op], inputs, outputs, scratch=len(tables) * DECODING)
        return symbols, states, int(rest[0])

    def filter(
        self, planes: np.ndarray, rows: resample.Kernel, columns: resample.Kernel
    ) -> np.ndarray:
        """Return what resample.filtered does."""
        count, height, width = planes.shape
        high, wide = rows[0].shape[1], columns[0].shape[1]
        products = count * high * (width * len(rows[0]) + wide * len(columns[0]))
        if products < SMALL or min(width, high) < LANES:
            return resample.in_numpy(planes, rows, columns)
        out = np.empty((count, high, wide), np.float32)
        step = max(1, MOST // (max(height, high) * max(width, wide) * 4))
        for first in range(0, count, step):
            some = planes[first : first + step]
            ops = [
                _filter("in", "between", rows, (len(some), height, width), "rows"),
                _filter("between", "out", columns, (len(some), width, high), "columns"),
            ]
            inputs = {"in": some, "rows": rows[0].astype("<u4"), "rows'": rows[1]}
            inputs |= {"columns": columns[0].astype("<u4"), "columns'": columns[1]}
            outputs = {"out": out[first : first + step]}
            room = {"between": len(some) * width * high * 4}
            self._do(ops, inputs, outputs, scratch=LINE * max(width, high) * 4, room=room)
        return out

    def _do(
        self,
        ops: Sequence[Op],
        inputs: Mapping[str, np.ndarray],
        outputs: Mapping[str, np.ndarray],
        *,
        scratch: int,
        room: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """Run ops. What they leave in "states", an input, is read too; room: bytes between them."""
        at, places = CONTROL_BYTES + OP_BYTES * len(ops), dict[str, int]()
        sizes = {name: array.nbytes for name, array in {**inputs, **outputs}.items()}
        for name, size in {**sizes, **room}.items():
            places[name] = at
            at += -(-size // ALIGNMENT) * ALIGNMENT
        library = self._with_memory(at + scratch)
        table = pack_control(threads=1, ops=CONTROL_BYTES, scratch=at, scratch_size=scratch)
        for op in ops:
            arrays = {field: places[name] for field, name in op.arrays.items()}
            table += pack_op(op.kernel, op.units, {**op.numbers, **arrays})
        library.write(0, table)
        for name, array in inputs.items():
            library.write(places[name], np.ascontiguousarray(array).reshape(-1).view(np.uint8))
        library.run(0, len(ops))
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


def _filter(
    taken: str, given: str, kernel: resample.Kernel, shape: tuple[int, int, int], name: str
) -> Op:
    """Return the op that filters planes of `shape` along their rows, and turns them."""
    count, height, width = shape
    taps, high = kernel[0].shape
    numbers = {"rows_in": height, "rows_out": high, "width": width, "count": taps}
    arrays = {"in": taken, "out": given, "taps": name, "weights": f"{name}'"}
    return Op("filter_rows", count * -(-high // LINE), numbers, arrays)
