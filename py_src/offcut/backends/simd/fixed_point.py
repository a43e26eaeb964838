"""Whether a Winograd convolution can give its results in fixed point, and with which numbers.

conv_winograd writes a plain result without floats: 32-bit sums lose FINE_BITS, and a fraction for
each channel makes u8 steps of what is left, 16 bits. kernels/pack.c chooses each channel's units in
a step so that no sum overflows; here it is proved, from the same bounds, that there are enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from offcut.backends.simd.values import Quantization

__all__ = ["NO_FLOOR", "FixedPoint", "fixed_point", "residual_factors", "residual_floor"]

FINE_BITS, PARTS, OTHER_BITS = 13, 8, 6  # as in kernels/winograd.h; 2^PART_BITS parts of a step
ROUNDING = 6300  # as in kernels/pack.c
NO_FLOOR = -(1 << 15)  # of sums without a Relu
LEAST_STEPS = 512.0  # that 16 bits hold of any result: more than a u8 stands for


@dataclass(frozen=True, slots=True)
class FixedPoint:
    """parts: of a u8 step, that results have; most_units: of a step, that sums may have."""

    parts: int
    most_units: float


def fixed_point(
    weights: np.ndarray,
    bias: np.ndarray,
    steps: Quantization,
    inputs: Sequence[Quantization],
    *,
    limit: int,
    middle: float,
    lanes: int,
    added: float | None = None,
) -> FixedPoint | None:
    """Return the numbers with which no channel overflows or is coarse, None if there are none.

    weights: (o, c, 3, 3), bias: (o, runs), inputs: of each channel. limit: as for packing.
    middle: the u8 that stands for 0.0. lanes: of inputs, with padding. added: steps that a residual
    adds at most to results of any sign, 0 to those after a Relu, None if there is no residual.
    """
    room = 2.0**31 / limit - ROUNDING * lanes
    if room <= 0:
        return None
    sizes = np.abs(weights) * np.array([q.scale for q in inputs])[:, None, None]
    each = sizes.sum(axis=(2, 3))  # of a kernel's nine weights, (o, c)
    sums = each.sum(axis=1)
    # Of G g G^T: a corner of g counts a 16th, and sums of several weights no more than a 24th.
    most = np.maximum(sizes.max(axis=(1, 2, 3)) / 16, each.max(axis=1) / 24)
    constant = np.abs(bias).max(axis=1) + (abs(middle) + 2) * steps.scale
    constant = constant + sums * max(q.zero for q in inputs)
    units = steps.scale / np.maximum((sums + constant / limit) / room, most / 32767.0)
    # What is below the least that a residual can bring back to a u8 may be cut off.
    held = max(LEAST_STEPS, 1.05 * (added or 0.0) + 16)
    most_units = 2.0 ** (15 + FINE_BITS) / held
    parts = 1 if added is None else PARTS
    enough = min(float(units.min(initial=np.inf)), most_units) * 0.99 > parts << FINE_BITS
    return FixedPoint(parts, most_units) if enough else None


def residual_factors(ratios: np.ndarray) -> np.ndarray | None:
    """Return i16 factors of a residual, None where one is too large.

    ratios: for each channel, how many steps of the result one of its steps is.
    """
    factors = np.rint(ratios * PARTS * 2 ** (15 - OTHER_BITS))
    return factors.astype("<i2") if factors.max(initial=0) < 1 << 15 else None


def residual_floor(steps: float) -> int:
    """Return what stands for `steps`, in parts of a step with what rounds them; see pack.c."""
    return max(min(round(steps * PARTS + PARTS / 2 - 0.5), (1 << 15) - 1), NO_FLOOR)
