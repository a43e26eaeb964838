"""What the kernels do besides networks: decoding a model's symbols, and all work on pictures.

Each job is a program of an op or two, laid out anew in a small memory of its own, on one thread:

    control block, op table | inputs | outputs | what is between the ops | scratch

rans.py and imaging/ define the results; here they come some times sooner.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from offcut import rans
from offcut.backends.simd.program import Library
from offcut.backends.simd.table import CONTROL_BYTES, OP_BYTES, pack_control, pack_op
from offcut.imaging import foreground, guided, png, preview, refine, resample, unmix

__all__ = ["Workbench"]

ALIGNMENT = 64
GAP = 0  # bytes at least after each array
DECODING = 256 * 2 + (1 << rans.BITS)  # bytes of kernels/rans.c's `decoding`
DEFLATE_STATE = 32 + 2 * 32768  # bytes of kernels/deflate.c's `state`
DEFLATING = 24_000  # bytes of its scratch
REFUSED = (1 << 32) - 1  # of what it writes: zlib has to
ZLIB_HEADER = b"\x78\x01"
LANES = 8  # the narrowest rows that kernels/image.c takes
LINE = 16  # rows that are one piece of its work
SMALL = 20_000  # products: below, a job takes longer to lay out than to do
SAMPLES = 1024  # that are one piece of the work of kernels/guided.c, in all planes
GUIDE_PLANES = 13  # that the guided filter works with
MOST_GUIDED = 32 << 20  # bytes of them: larger maps than 800x800 are rare
MOST = 8 << 20  # bytes of planes in one job, so that large pictures need little memory


@dataclass(frozen=True, slots=True)
class Op:
    """A row of the table; arrays: the op's fields that are places -> the names of what is there."""

    kernel: str
    units: int  # of work
    numbers: Mapping[str, float]
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
        rans.decode_words.use(self.decode)
        resample.filtered.use(self.filter)
        resample.block_sums.use(self.sum_blocks)
        guided.coefficients.use(self.coefficients)
        refine.enlarged.use(self.enlarged)
        unmix.unmix.use(self.unmix)
        png.filter_rows.use(self.filter_png)
        png.deflated.use(self.deflate_png)
        foreground.spread.use(self.spread)
        preview.shrink_blocks.use(self.shrink_blocks)

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
        """Return what rans.decode_words does."""
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
            return resample.filtered.definition(planes, rows, columns)
        out = np.empty((count, high, wide), np.float32)
        step = max(1, MOST // (max(height, high) * max(width, wide) * 4))
        for first in range(0, count, step):
            some = planes[first : first + step]
            shape = (len(some), height, width)
            ops = _both("in", "between", "out", shape, rows, columns)
            inputs = {"in": some} | _kernels(rows, columns)
            outputs = {"out": out[first : first + step]}
            room = {"between": len(some) * width * high * 4}
            self._do(ops, inputs, outputs, scratch=LINE * max(width, high) * 4, room=room)
        return out

    def sum_blocks(self, band: np.ndarray, high: int, wide: int) -> np.ndarray:
        """Return what resample.block_sums does."""
        rows, width = band.shape[:2]
        out = np.empty((-(-rows // high), -(-width // wide), 4), np.uint16)
        numbers = {"rows": rows, "width": width, "high": high, "wide": wide}
        op = Op("sum_blocks", len(out), numbers, {"in": "in", "out": "out"})
        self._do([op], {"in": band}, {"out": out}, scratch=width * 8)
        return out

    def coefficients(self, alpha: np.ndarray, colours: np.ndarray) -> np.ndarray:
        """Return what guided.coefficients does."""
        height, width = alpha.shape
        planes = GUIDE_PLANES * alpha.nbytes  # bytes
        if min(height, width) < LANES or planes > MOST_GUIDED:
            return guided.coefficients.definition(alpha, colours)
        rows, columns = guided.window(height), guided.window(width)
        size, epsilon = alpha.size, float(np.float32(guided.EPSILON))
        pieces, numbers = -(-size // SAMPLES), {"size": size, "epsilon": epsilon}
        ops = [Op("multiply_pairs", pieces, {"size": size}, {"in": "planes"})]
        ops += _both("planes", "between", "planes", (GUIDE_PLANES, height, width), rows, columns)
        ops += [Op("fit_lines", pieces, numbers, {"in": "planes", "out": "between"})]
        ops += _both("between", "planes", "out", (4, height, width), rows, columns)
        out = np.empty((4, height, width), np.float32)
        inputs = {"planes": np.concatenate([colours, alpha[None]])} | _kernels(rows, columns)
        room = {"planes": planes, "between": planes}
        self._do(ops, inputs, {"out": out}, scratch=LINE * max(width, height) * 4, room=room)
        return out

    def enlarged(
        self, lines: np.ndarray, pixels: np.ndarray, rows: resample.Taps, columns: resample.Taps
    ) -> np.ndarray:
        """Return what refine.enlarged does."""
        high, width = pixels.shape[:2]
        if width < LANES:
            return refine.enlarged.definition(lines, pixels, rows, columns)
        numbers = {"high": lines.shape[1], "wide": lines.shape[2], "width": width}
        inputs = {"in": lines, "pixels": pixels} | _taps(rows, columns)
        out = np.empty((high, width), np.float32)
        op = Op("apply_lines", high, numbers, {name: name for name in (*inputs, "out")})
        self._do([op], inputs, {"out": out}, scratch=(lines.shape[2] + 1) * 16)
        return out

    def unmix(
        self,
        pixels: np.ndarray,
        matte: np.ndarray,
        cells: np.ndarray,
        rows: resample.Taps,
        columns: resample.Taps,
    ) -> None:
        """Do what unmix.unmix does."""
        numbers = {"high": cells.shape[0], "wide": cells.shape[1], "width": matte.shape[1]}
        inputs = {"in": cells, "out": pixels, "pixels": matte} | _taps(rows, columns)
        op = Op("unmix", len(matte), numbers, {name: name for name in inputs})
        self._do([op], inputs, {"out": pixels}, scratch=0)

    def filter_png(self, rows: np.ndarray, above: np.ndarray, channels: int) -> np.ndarray:
        """Return what png.filter_rows does."""
        out = np.empty((rows.shape[0], 1 + rows.shape[1]), np.uint8)
        numbers = {"bytes": rows.shape[1], "channels": channels}
        op = Op("filter_png", len(rows), numbers, {"in": "in", "out": "out"})
        self._do([op], {"in": np.concatenate([above[None], rows])}, {"out": out}, scratch=0)
        return out

    def deflate_png(self, pixels: np.ndarray) -> Iterator[tuple[int, bytes]]:
        """Do what png.deflated does; in other parts, together the same."""
        height, done, given, checksum = pixels.shape[0], 0, 0, 1
        state, rest = np.zeros(DEFLATE_STATE, np.uint8), np.empty(0, np.uint8)
        for band in png.filtered(pixels):
            done += band.shape[0]
            checksum = zlib.adler32(band.data, checksum)
            data = np.concatenate([rest, band.reshape(-1)])
            part, used = self._deflate(data, state, last=done == height)
            if part is None:
                break
            rest = data[max(used - 1, 0) :]  # with the byte before what is left
            part = (b"" if given else ZLIB_HEADER) + part
            given += len(part)
            yield done, part
        else:
            yield done, checksum.to_bytes(4, "big")
            return
        for done, part in png.deflated.definition(pixels):
            yield done, part[given:]
            given = max(0, given - len(part))

    def _deflate(
        self, data: np.ndarray, state: np.ndarray, *, last: bool
    ) -> tuple[bytes | None, int]:
        """Return the deflate stream of the bytes `data`, None where zlib has to, and how many of
        them are done. state: what kernels/deflate.c keeps from call to call, u8."""
        out = np.empty(data.size * 9 // 8 + DEFLATE_STATE * 9 // 8, np.uint8)  # 9 bits a symbol
        op = Op(
            "deflate_rle",
            1,
            {"bytes": data.size, "last": last},
            {"in": "in", "states": "states", "out": "out"},
        )
        self._do([op], {"in": data, "states": state}, {"out": out}, scratch=DEFLATING)
        used, written = (int(n) for n in state[12:20].view("<u4"))
        return (out[:written].tobytes() if written != REFUSED else None), used

    def spread(self, small: np.ndarray) -> np.ndarray:
        """Return what foreground.spread does."""
        high, wide = small.shape[1:]
        out = np.empty((high, wide, 8), np.float32)
        cells, h, w = wide, high, wide  # a row, and the coarser levels
        while max(h, w) > foreground.COARSEST:
            h, w = (h + 1) // 2, (w + 1) // 2
            cells += h * w
        op = Op("spread_colours", 1, {"high": high, "wide": wide}, {"in": "in", "out": "out"})
        self._do([op], {"in": small}, {"out": out}, scratch=cells * 32)
        return out

    def shrink_blocks(self, pixels: np.ndarray, block: int) -> np.ndarray:
        """Return what preview.shrink_blocks does."""
        high, wide = (extent // block for extent in pixels.shape[:2])
        out = np.empty((high, wide, 4), np.uint8)
        numbers = {"width": pixels.shape[1], "block": block}
        op = Op("shrink_blocks", high, numbers, {"in": "in", "out": "out"})
        self._do([op], {"in": pixels}, {"out": out}, scratch=0)
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
        at, spans = CONTROL_BYTES + OP_BYTES * len(ops), dict[str, slice]()
        sizes = {name: array.nbytes for name, array in {**inputs, **outputs}.items()}
        for name, size in {**sizes, **room}.items():
            spans[name] = slice(at, at + size)
            at += -(-(size + GAP) // ALIGNMENT) * ALIGNMENT
        spans["scratch"] = slice(at, at + scratch)
        library = self._with_memory(at + scratch)
        table = pack_control(threads=1, ops=CONTROL_BYTES, scratch=at, scratch_size=scratch)
        for op in ops:
            arrays = {field: spans[name].start for field, name in op.arrays.items()}
            table += pack_op(op.kernel, op.units, {**op.numbers, **arrays})
        library.write(0, table)
        for name, array in inputs.items():
            library.write(spans[name].start, np.ascontiguousarray(array).reshape(-1).view(np.uint8))
        self._run(library, ops, spans)
        for name, array in outputs.items():
            library.read(spans[name].start, array)
        if "states" in inputs:
            library.read(spans["states"].start, inputs["states"])

    def _run(self, library: Library, ops: Sequence[Op], spans: Mapping[str, slice]) -> None:
        """Run ops; spans: which bytes of the memory each array has, and the scratch."""
        library.run(0, len(ops))

    def _with_memory(self, size: int) -> Library:
        if self._library is None or size > self._size:
            if self._library is not None:
                self._library.close()
            self._library, self._size = self._open(size), size
        return self._library


def _both(
    taken: str,
    between: str,
    given: str,
    shape: tuple[int, int, int],
    rows: resample.Kernel,
    columns: resample.Kernel,
) -> list[Op]:
    """Return the ops that filter planes of `shape` along both axes; the names are of arrays."""
    count, height, width = shape
    high = rows[0].shape[1]
    return [
        _filter(taken, between, "rows", rows, (count, height, width)),
        _filter(between, given, "columns", columns, (count, width, high)),
    ]


def _filter(
    taken: str, given: str, name: str, kernel: resample.Kernel, shape: tuple[int, int, int]
) -> Op:
    """Return the op that filters planes along their rows, and turns them; name: of the kernel."""
    count, height, width = shape
    taps, high = kernel[0].shape
    numbers = {"rows_in": height, "rows_out": high, "width": width, "count": taps}
    arrays = {"in": taken, "out": given, "taps": name, "weights": f"{name}'"}
    return Op("filter_rows", count * -(-high // LINE), numbers, arrays)


def _taps(rows: resample.Taps, columns: resample.Taps) -> dict[str, np.ndarray]:
    """Return taps under the names of the fields of `lines_args`."""
    arrays = {"rows": rows[0].astype("<u4"), "row_parts": rows[1]}
    return arrays | {"columns": columns[0].astype("<u4"), "column_parts": columns[1]}


def _kernels(rows: resample.Kernel, columns: resample.Kernel) -> dict[str, np.ndarray]:
    """Return the arrays that the ops of `_both` read."""
    arrays = {"rows": rows[0].astype("<u4"), "rows'": rows[1]}
    return arrays | {"columns": columns[0].astype("<u4"), "columns'": columns[1]}
