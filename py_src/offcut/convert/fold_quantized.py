"""Fold QuantizeLinear and DequantizeLinear on constants: how QDQ graphs store their weights."""

from __future__ import annotations

import numpy as np

from offcut.convert.fold import Operands, fold
from offcut.convert.onnx_reader import RawNode
from offcut.convert.onnx_tensor import DATA_TYPES
from offcut.errors import UnsupportedOperatorError

__all__ = ["quantization_limits"]


@fold("DequantizeLinear")
def dequantize_linear(node: RawNode, x: Operands) -> np.ndarray:
    """Return the reals that integers stand for, by one scale, or one for each channel or block."""
    scale, zero = _along_axis(node, x)
    return ((x[0].astype(np.float64) - zero) * scale).astype(np.float32)


@fold("QuantizeLinear")
def quantize_linear(node: RawNode, x: Operands) -> np.ndarray:
    """Return the nearest integers (halves to even), within the limits of their type."""
    scale, zero = _along_axis(node, x)
    limits = quantization_limits(node, x[2] if len(x) > 2 and x[2].size else None)
    kind = np.int32 if limits[0] < 0 else np.uint32
    return np.clip(np.rint(x[0].astype(np.float64) / scale) + zero, *limits).astype(kind)


def quantization_limits(node: RawNode, zero_point: np.ndarray | None) -> tuple[int, int]:
    """Return the lowest and the highest integer that a QuantizeLinear makes."""
    kind = DATA_TYPES.get(int(node.attributes.get("output_dtype", 0)) or 2)
    dtype = np.dtype(kind.dtype if kind else "f4") if zero_point is None else zero_point.dtype
    if dtype.kind not in "iu" or (kind is not None and kind.name in ("int4", "uint4")):
        raise UnsupportedOperatorError(f"{node}: quantizes to something else than 8 to 32 bits")
    return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)


def _along_axis(node: RawNode, x: Operands) -> tuple[np.ndarray, np.ndarray]:
    """Return scale and zero point, float64, in shapes that broadcast over x[0]."""
    shape, axis = x[0].shape, int(node.attributes.get("axis", 1))
    block = int(node.attributes.get("block_size", 0))
    zero = x[2] if len(x) > 2 and x[2].size else np.zeros(x[1].shape)
    made = []
    for values in (x[1], zero):
        values = values.astype(np.float64)
        if block > 0:
            values = np.repeat(values, min(block, shape[axis]), axis)
            values = np.take(values, range(shape[axis]), axis)
        elif values.size > 1:
            values = values.reshape(
                [-1 if at == axis % len(shape) else 1 for at in range(len(shape))]
            )
        else:
            values = values.reshape(())
        made.append(values)
    return made[0], made[1]
