"""Translations of QuantizeLinear and DequantizeLinear around computed values (QDQ graphs).

The IR computes in floats, so a value that the file rounds to integers is kept as the real that the
integer means, without the rounding. What remains is the limit: integers saturate, and quantizers
rely on that where they leave out a ReLU. Weights are dequantized by `fold`.
"""

from __future__ import annotations

import numpy as np

from offcut.convert.fold_quantized import quantization_limits
from offcut.convert.translate import Quantization, Site, translates
from offcut.errors import ModelFormatError
from offcut.graph import Node

__all__: list[str] = []  # filled into TRANSLATIONS by the decorators


@translates("QuantizeLinear")
def quantize_linear(site: Site) -> list[Node]:
    """Write the saturation as Clip; what the integers mean is noted for DequantizeLinear."""
    how = _quantization(site)
    if how.scale.size != 1:
        raise site.unsupported("quantizes a computed value by channels or blocks")
    lowest, highest = quantization_limits(site.node, site.constant(2) if site.has(2) else None)
    scale, zero = float(how.scale.item()), int(how.zero_point.item())
    if not np.isfinite(scale) or scale <= 0:
        raise ModelFormatError(f"{site.node}: scale is {scale}")
    site.quantized[site.output] = how
    low, high = (lowest - zero) * scale, (highest - zero) * scale
    return [site.make("Clip", site.node.inputs[0], min=low, max=high)]


@translates("DequantizeLinear")
def dequantize_linear(site: Site) -> list[Node]:
    """Write nothing: the value is already the real that its integer means."""
    known = site.quantized.get(site.node.inputs[0])
    if known is None or not known.same_as(_quantization(site)):
        raise site.unsupported("dequantizes a computed value by another scale than quantized it")
    return [site.make("Identity", site.node.inputs[0])]


def _quantization(site: Site) -> Quantization:
    scale = site.constant(1).astype(np.float64)
    zero = site.constant(2).astype(np.int64) if site.has(2) else np.zeros(scale.shape, np.int64)
    if scale.size == zero.size == 1:
        scale, zero = scale.reshape(()), zero.reshape(())
    return Quantization(scale, zero, int(site.get("axis", 1)))
