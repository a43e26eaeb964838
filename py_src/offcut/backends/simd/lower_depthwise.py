"""Lowering of depthwise convolutions of u8 planes; the weights are few, so numpy packs them."""

from __future__ import annotations

import numpy as np

from offcut.backends.simd.conv_shape import PLAIN_LIMIT, Shape, bias_of, geometry
from offcut.backends.simd.draft import Table
from offcut.backends.simd.lower import Lowering
from offcut.backends.simd.lower_conv_float import ACTIVATIONS
from offcut.backends.simd.values import BLOCK, Plane, Quantization, Value
from offcut.graph import Node

__all__ = ["emit_depthwise", "suits_depthwise"]

LARGEST = 32767 * 0.999  # of a weight in i16; the kernel's sums stay below 2^31 as well
LARGEST_SUM = (2**31 - 1) / 255 * 0.999
MOST_TAPS = 4096  # rounding adds at most half to each weight: 255 * 4096 / 2 is far below 2^31


def suits_depthwise(shape: Shape, source: Value, steps: Quantization | None) -> bool:
    """Return whether conv_depthwise does it: one input and one output per group, result in u8."""
    single = shape.per_group == 1 and shape.o == shape.groups == source.channels
    if steps is None or source.bent:
        return False
    return single and shape.groups > 1 and shape.taps <= MOST_TAPS


def emit_depthwise(
    lw: Lowering,
    node: Node,
    shape: Shape,
    source: Value,
    steps: Quantization,
    activation: str,
) -> None:
    """Emit the convolution; the output's planes hold the channels of the input's."""
    bias, run_args = bias_of(lw, node, shape)  # (o, runs)
    weights = lw.model.weights[node.inputs[1]].decode().reshape(shape.o, shape.taps)
    scale_in = np.array([q.scale for q in source.quantizations])[:, None]
    zero_in = np.array([q.zero for q in source.quantizations])[:, None]
    real = weights.astype(np.float64) * scale_in  # (o, taps) per step of the input
    with np.errstate(divide="ignore"):
        by_size = LARGEST / abs(real).max(axis=1)
        by_sum = LARGEST_SUM / abs(real).sum(axis=1)
    factor = np.where(real.any(axis=1), np.minimum(by_size, by_sum), 1.0)  # (o,)
    whole = np.rint(real * factor[:, None])
    most = 255.0 * abs(real).sum(axis=1).max() + abs(bias).max()
    linear = activation in ("", "Relu", "Relu6")  # then saturation is all that is left to do
    plain = bool(linear and most < PLAIN_LIMIT * steps.scale)
    unit = steps.scale if plain else 1.0
    terms = bias - (whole * zero_in).sum(axis=1, keepdims=True) / factor[:, None]
    terms = terms / unit + (steps.zero if plain else 0)
    lanes = np.array(source.lanes)
    out = lw.draft.u8_planes([Plane(p.place, p.channels, steps) for p in source.planes], shape.grid)
    args = geometry(shape) | run_args
    args |= {
        "in": Table(source.blocks),
        "out": Table(out.blocks),
        "weights": _packed(whole, lanes).tobytes(),
        "scales": _spread(1.0 / (factor * unit), lanes).astype("<f4").tobytes(),
        "bias": _spread(terms, lanes).T.astype("<f4").tobytes(),
        "blocks_out": len(source.blocks),
        "plain": int(plain),
        "activation": 0 if plain else ACTIVATIONS[activation],
        "steps": 1.0 if plain else 1.0 / steps.scale,
        "zero": 0.0 if plain else float(steps.zero),
        "border": steps.zero,
    }
    scratch = shape.grid.width * BLOCK * 4 + (shape.taps + 2) * 2 * 4
    units = shape.grid.height
    lw.emit(
        "conv_depthwise",
        units,
        args,
        (source, out),
        scratch=scratch,
        macs=shape.macs,
        name=node.name,
    )
    lw.u8[node.name] = out


def _spread(values: np.ndarray, lanes: np.ndarray) -> np.ndarray:
    """Return values (o, ...) in their lanes (lanes, ...), 0 for padding."""
    made = values[lanes]
    made[lanes < 0] = 0
    return made


def _packed(weights: np.ndarray, lanes: np.ndarray) -> np.ndarray:
    """Return i16 [blocks][pairs of taps][8][2] of whole weights (o, taps)."""
    spread = _spread(weights, lanes)
    if spread.shape[1] % 2:
        spread = np.pad(spread, ((0, 0), (0, 1)))
    pairs = spread.reshape(-1, BLOCK, spread.shape[1] // 2, 2)  # (blocks, 8, pairs, 2)
    return np.ascontiguousarray(pairs.swapaxes(1, 2), "<i2")
