"""Packing of convolution weights: what kernels/pack.c is told to make them from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from offcut.backends.simd.conv_shape import Shape, blocks_for
from offcut.backends.simd.draft import Argument, Draft, Pack, Table
from offcut.backends.simd.fixed_point import FixedPoint
from offcut.backends.simd.values import BLOCK, Value

__all__ = [
    "FINE_CHANNELS",
    "FINE_LIMIT",
    "FINE_LIMIT_WINOGRAD",
    "TAPS",
    "Packing",
    "limit_of",
    "pack_direct",
    "pack_fine",
    "pack_fine_winograd",
    "pack_narrow",
    "pack_winograd",
]

TAPS = 36
FINE_CHANNELS = 4  # of quantize_finely, at most
# Its largest |input|: for conv_direct 13 bits, for conv_winograd what its transform has room for.
FINE_LIMIT, FINE_LIMIT_WINOGRAD = 8159, 327


@dataclass(frozen=True, slots=True)
class Packing:
    """What all packing ops of one convolution share; its output is real * steps + zero."""

    draft: Draft
    bias: np.ndarray  # f32 (o, runs)
    steps: float
    zero: float
    source: Callable[[], np.ndarray]

    def add(
        self,
        blocks: int,
        lanes: np.ndarray,
        factors: np.ndarray,
        *,
        row: int,
        limit: int = 255,
        steps: tuple[int, int] = (2, 16),
        winograd: bool = False,
        fixed: FixedPoint | None = None,
    ) -> dict[str, Argument]:
        """Add one op for all outputs; return the arguments that tell where its results are.

        steps: i16 from an output to the next, and from a pair of inputs. fixed: see fixed_point.py.
        """
        draft, runs = self.draft, self.bias.shape[1]
        taps = TAPS if winograd else 1
        outputs = np.full(blocks * BLOCK, -1, "<i4")
        outputs[: len(self.bias)] = np.arange(len(self.bias))
        packed: dict[str, Argument] = {
            "weights": draft.region(blocks * taps * len(lanes) * BLOCK * 2),
            "scales": draft.region(blocks * BLOCK * 4),
        }
        bias = draft.region(runs * blocks * BLOCK * 4)
        args: dict[str, Argument] = {
            "row": row,
            "lanes": lanes.astype("<i4").tobytes(),
            "factors": factors.astype("<f4").tobytes(),
            "lanes_in": len(lanes),
            "outputs": outputs.tobytes(),
            "blocks_out": blocks,
            "runs": runs,
            "bias": np.ascontiguousarray(self.bias, "<f4").tobytes(),
            "bias_stride": blocks * BLOCK,
            "limit": limit,
            "parts": fixed.parts if fixed else 0,
            "most_units": fixed.most_units if fixed else 0.0,
            "winograd": int(winograd),
            "lane_step": steps[0],
            "pair_step": steps[1],
            "steps": self.steps,
            "zero": self.zero,
            "bias_packed": bias,
        }
        args |= packed
        scratch = len(lanes) * 4 * (9 + TAPS if winograd else 1)
        draft.packs.append(
            Pack("pack_weights", blocks, args, self.source, row * len(self.bias), scratch)
        )
        return packed | {"bias": bias, "blocks_out": blocks}


def _lane_factors(source: Value) -> np.ndarray:
    """Return f32 (lanes, 2): each input lane's scale, and what its zero point stands for."""
    channels = [(q.scale, -q.zero * q.scale) for q in source.quantizations]
    return np.array([channels[i] if i >= 0 else (0.0, 0.0) for i in source.lanes], np.float64)


def limit_of(source: Value) -> int:
    """Return the largest number of steps of an input."""
    return max(plane.quantization.most for plane in source.planes)


def pack_winograd(
    pack: Packing, shape: Shape, source: Value, fixed: FixedPoint | None
) -> dict[str, Argument]:
    """Pack for conv_winograd, which reads the block with the fewest channels first."""
    lanes = np.array(source.lanes).reshape(-1, BLOCK)
    emptiest = int((lanes >= 0).sum(axis=1).argmin())
    order = [emptiest, *(i for i in range(len(lanes)) if i != emptiest)]
    factors = _lane_factors(source).reshape(-1, BLOCK, 2)[order].reshape(-1, 2)
    args = _winograd(pack, shape, lanes[order].reshape(-1), factors, fixed, limit_of(source))
    if source.bent:
        args["knees"] = np.frombuffer(source.knees, "<u4")[order].tobytes()
    return args | {"in": Table(tuple(source.blocks[i] for i in order))}


def pack_fine_winograd(
    pack: Packing, shape: Shape, in_scale: float, fixed: FixedPoint | None
) -> dict[str, Argument]:
    """Pack for conv_winograd after quantize_finely, whose values have both signs.

    No result is larger than with inputs of one sign up to twice the limit.
    """
    lanes = np.arange(BLOCK)
    lanes[shape.per_group :] = -1
    factors = np.array([(in_scale, 0.0)] * BLOCK)
    return _winograd(pack, shape, lanes, factors, fixed, 2 * FINE_LIMIT_WINOGRAD)


def _winograd(
    pack: Packing,
    shape: Shape,
    lanes: np.ndarray,
    factors: np.ndarray,
    fixed: FixedPoint | None,
    limit: int,
) -> dict[str, Argument]:
    blocks, row = blocks_for(shape.o), shape.per_group * 9
    args = pack.add(blocks, lanes, factors, row=row, limit=limit, winograd=True, fixed=fixed)
    first = int((lanes[:BLOCK] >= 0).sum())  # the channels of the first block come before the rest
    return args | {"blocks_in": len(lanes) // BLOCK, "pairs": -(-first // 2)}


def _tap_lanes(shape: Shape, source: Value, order: str) -> tuple[np.ndarray, np.ndarray]:
    """Return lanes (inputs,) and factors (inputs, 2) of all taps of all lanes of `source`.

    order: "taps first" is [taps][blocks][8], "blocks first" is [blocks][taps][8].
    """
    lanes = np.array(source.lanes).reshape(-1, BLOCK)  # (blocks, 8)
    taps = np.arange(shape.taps)
    index = np.where(lanes < 0, -1, lanes * shape.taps)[None] + taps[:, None, None]
    index = np.where(lanes[None] < 0, -1, index)  # (taps, blocks, 8)
    factors = np.broadcast_to(_lane_factors(source).reshape(1, -1, BLOCK, 2), (*index.shape, 2))
    if order == "blocks first":
        index, factors = index.swapaxes(0, 1), factors.swapaxes(0, 1)
    return index.reshape(-1), factors.reshape(-1, 2)


def pack_direct(pack: Packing, shape: Shape, source: Value) -> dict[str, Argument]:
    if shape.groups > 1:
        pack = replace(pack, source=_dense(pack.source, shape))
    lanes, factors = _tap_lanes(shape, source, "taps first")
    row, limit = source.channels * shape.taps, limit_of(source)
    args = pack.add(blocks_for(shape.o), lanes, factors, row=row, limit=limit)
    return args | {"blocks_in": len(source.blocks)}


def pack_narrow(pack: Packing, shape: Shape, source: Value) -> dict[str, Argument]:
    lanes, factors = _tap_lanes(shape, source, "blocks first")
    row = shape.per_group * shape.taps
    args = pack.add(1, lanes, factors, row=row, steps=(len(lanes), 2))
    return args | {"blocks_in": len(source.blocks)}


def _dense(source: Callable[[], np.ndarray], shape: Shape) -> Callable[[], np.ndarray]:
    """Return the weights of a grouped convolution as those of an ungrouped one, with zeros."""

    def expand() -> np.ndarray:
        w = source()
        dense = np.zeros((shape.o, shape.per_group * shape.groups, *shape.kernel), np.float32)
        per = shape.o // shape.groups
        for g in range(shape.groups):
            rows, first = slice(g * per, (g + 1) * per), g * shape.per_group
            dense[rows, first : first + shape.per_group] = w[rows]
        return dense

    return expand


def pack_fine(pack: Packing, shape: Shape, in_scale: float) -> dict[str, Argument]:
    """Pack for conv_direct after quantize_finely: [taps][4], an even number of taps.

    Three channels leave room for the last one of an odd number of taps (kernels/conv_direct.c).
    """
    channels = np.arange(FINE_CHANNELS)
    index = channels * shape.taps + np.arange(shape.taps)[:, None]  # (taps, 4)
    index[:, shape.per_group :] = -1
    if shape.taps % 2 and shape.taps > 3 and shape.per_group < FINE_CHANNELS:
        index[:3, 3] = index[-1, :3]
        index = index[:-1]
    lanes = np.pad(index, ((0, len(index) % 2), (0, 0)), constant_values=-1).reshape(-1)
    factors = np.array([(in_scale, 0.0)] * len(lanes))
    row = shape.per_group * shape.taps
    args = pack.add(blocks_for(shape.o), lanes, factors, row=row, limit=FINE_LIMIT)
    return args | {"blocks_in": len(lanes) // BLOCK}
