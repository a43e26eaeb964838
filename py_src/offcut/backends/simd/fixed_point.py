"""Whether a Winograd convolution can give its results in fixed point, and with which numbers.

conv_winograd writes a plain result without floats: 32-bit sums lose FINE_BITS, and a fraction for
each channel makes u8 steps of what is left, 16 bits. kernels/pack.c chooses each channel's units in
a step so that no sum overflows; here it is proved, from the same bounds, that there are enough.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from offcut.backends.simd.values import Quantization

__all__ = ["NO_FLOOR", "PARTS", "fits", "residual_factor", "residual_floor"]

FINE_BITS, PARTS, OTHER_BITS = 13, 8, 6  # as in kernels/winograd.h; 2^PART_BITS parts of a step
ROUNDING = 6300  # as in kernels/pack.c
NO_FLOOR = -(1 << 15)  # of sums without a Relu


def fits(
    weights: np.ndarray,
    bias: np.ndarray,
    steps: Quantization,
    inputs: Sequence[Quantization],
    *,
    middle: float,
    lanes: int,
    parts: int,
) -> bool:
    """Return whether every channel has `parts` units in a step of what is left of its sums.

    weights: (o, c, 3, 3), bias: (o, runs), inputs: of each channel. middle: the u8 that stands for
    0.0. lanes: of inputs, with padding. parts: of a step, that a result is to have.
    """
    limit = max(q.most for q in inputs)
    room = 2.0**31 / limit - ROUNDING * lanes
    if room <= 0:
        return False
    sizes = np.abs(weights) * np.array([q.scale for q in inputs])[:, None, None]
    each = sizes.sum(axis=(2, 3))  # of a kernel's nine weights, (o, c)
    sums = each.sum(axis=1)
    # Of G g G^T: a corner of g counts a 16th, and sums of several weights no more than a 24th.
    most = np.maximum(sizes.max(axis=(1, 2, 3)) / 16, each.max(axis=1) / 24)
    added = np.abs(bias).max(axis=1) + (abs(middle) + 2) * steps.scale
    added = added + sums * max(q.zero for q in inputs)
    units = steps.scale / np.maximum((sums + added / limit) / room, most / 32767.0)
    return bool(units.min(initial=np.inf) * 0.99 > parts << FINE_BITS)


def residual_factor(ratio: float) -> int:
    """Return the i16 factor of a residual whose steps are `ratio` times the result's, or 0."""
    factor = round(ratio * PARTS * 2 ** (15 - OTHER_BITS))
    return factor if factor < 1 << 15 else 0


def residual_floor(steps: float) -> int:
    """Return what stands for `steps`, in parts of a step with what rounds them; see pack.c."""
    return max(min(round(steps * PARTS + PARTS / 2 - 0.5), (1 << 15) - 1), NO_FLOOR)
