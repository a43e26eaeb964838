"""What a convolution does with its sums: how the result is stored, and with which numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from offcut.backends.simd.conv_shape import PLAIN_LIMIT, Shape, bias_of
from offcut.backends.simd.draft import Argument, Table
from offcut.backends.simd.fixed_point import (
    NO_FLOOR,
    FixedPoint,
    fixed_point,
    residual_factors,
    residual_floor,
)
from offcut.backends.simd.lower import Lowering
from offcut.backends.simd.lower_conv_float import ACTIVATIONS
from offcut.backends.simd.values import BLOCK, Quantization, Value
from offcut.graph import Node
from offcut.spans import FOLLOWING

__all__ = [
    "Target",
    "epilogue",
    "fixed_point_of",
    "folded",
    "is_plain",
    "stored",
    "weights_for",
]

LEAST = -3e38  # of sums without a Relu


@dataclass(frozen=True, slots=True)
class Target:
    """Where a convolution's result goes, and what is done to it on the way."""

    name: str  # the value made
    activation: str
    other: str = ""  # a value to add, and the activation after that
    activation_last: str = ""
    portions: tuple[float, ...] = ()  # of its range, for each channel


def stored(lw: Lowering, target: Target, steps: Quantization) -> tuple[Target, Quantization]:
    """Return how the result is stored: bent, by channel, both or neither."""
    if target.name in lw.bendable:
        steps = steps.bend()
    added = lw.u8[target.other].shared if target.other else None
    if steps.zero or (added and added.zero) or target.activation not in FOLLOWING:
        return target, steps
    return replace(target, portions=lw.portions_of(target.name)), steps


def weights_for(
    lw: Lowering, node: Node, shape: Shape, target: Target
) -> tuple[Callable[[], np.ndarray], np.ndarray, dict[str, Argument]]:
    """Return what makes the weights, bias (o, runs) and the runs' arguments.

    Where channels take portions of the range, their outputs are made that much larger: then all
    of them have the same steps.
    """
    tensor = lw.model.weights[node.inputs[1]]
    bias, args = bias_of(lw, node, shape)
    if not target.portions:
        return lambda: tensor.decode(), bias, args
    portions = np.array(target.portions, np.float32)[:, None]
    return lambda: tensor.decode() / portions[..., None, None], bias / portions, args


def _ratios(lw: Lowering, target: Target, step: float) -> np.ndarray:
    """Return f64 (channels,): how many steps of the result a step of the residual is."""
    scales = np.array([q.scale for q in lw.u8[target.other].quantizations])
    return scales / (step * np.array(target.portions or (1.0,)))


def is_plain(
    weights: np.ndarray,
    target: Target,
    source: Value,
    steps: Quantization | None,
    bias: np.ndarray,
) -> bool:
    """Return whether scale, bias, residual and saturation are all that happens to the sums."""
    first, last = target.activation, target.activation_last
    if target.other:
        linear = first in ("", "Relu") and last in ("", "Relu", "Relu6")
    else:
        linear = first in ("", "Relu", "Relu6")
    if steps is None or not linear:
        return False
    most = max(q.scale * q.most for q in source.quantizations)
    sums = np.abs(weights).reshape(len(weights), -1).sum(axis=1).max(initial=0.0) * most
    return bool(sums + np.abs(bias).max(initial=0.0) < PLAIN_LIMIT * steps.scale)


def fixed_point_of(
    lw: Lowering,
    weights: np.ndarray,
    target: Target,
    inputs: Sequence[Quantization],
    steps: Quantization | None,
    bias: np.ndarray,
    *,
    limit: int,
    lanes: int,
) -> FixedPoint | None:
    """Return how conv_winograd does a plain result, in fixed point, or None if it cannot."""
    assert steps is not None
    added = None
    if target.other:
        q = lw.u8[target.other].shared
        ratios = _ratios(lw, target, steps.scale)
        if q is None or residual_factors(ratios) is None:
            return None
        added = 0.0 if target.activation == "Relu" else q.most * float(ratios.max())
    middle = _middle(lw, target, steps)
    return fixed_point(
        weights, bias, steps, inputs, limit=limit, middle=middle, lanes=lanes, added=added
    )


def folded(
    lw: Lowering, target: Target, steps: Quantization | None, plain: bool
) -> tuple[float, float]:
    """Return what packing multiplies scales and biases with, and what it adds to biases."""
    if not plain or steps is None:
        return 1.0, 0.0
    return 1.0 / steps.scale, _middle(lw, target, steps)


def _middle(lw: Lowering, target: Target, steps: Quantization) -> float:
    """Return the u8 that stands for 0.0 in the result, less what the residual brings along."""
    q = lw.u8[target.other].shared if target.other else None
    return steps.zero - q.zero * q.scale / steps.scale if q else float(steps.zero)


def epilogue(
    lw: Lowering,
    target: Target,
    out: Value,
    steps: Quantization | None,
    plain: bool,
    fixed: FixedPoint | None,
) -> dict[str, Argument]:
    """Return the arguments of a convolution that say what happens to its sums."""
    args: dict[str, Argument] = {
        "out": Table(out.places if out.floats else out.blocks),
        "plain": int(plain),
        "steps": 1.0,
        "border": steps.zero if steps else 0,
        "bent": int(bool(steps and steps.bent)),
        "residual_least": LEAST,
    }
    if not plain:
        args["activation"] = ACTIVATIONS[target.activation]
        args["activation_last"] = ACTIVATIONS[target.activation_last]
        if steps is not None:
            args |= {"steps": 1.0 / steps.scale, "zero": float(steps.zero)}
    if target.other:
        other = lw.u8[target.other]
        q = other.shared
        assert q is not None and steps is not None
        args["residual_knee"] = q.knee
        args |= {"residual": Table(other.blocks), "pitch_residual": other.grid.pitch}
        ratios = _ratios(lw, target, steps.scale if plain else 1.0)
        padded = np.pad(ratios, (0, -len(ratios) % BLOCK))
        scales = padded.astype("<f4") if fixed is None else residual_factors(padded)
        assert scales is not None
        args["residual_scales"] = scales.tobytes()
        if plain:  # in u8 steps
            args["residual_floor"] = NO_FLOOR
            if target.activation == "Relu":
                middle = _middle(lw, target, steps)
                args |= {"residual_least": middle, "residual_floor": residual_floor(middle)}
        else:
            args["residual_offset"] = -q.zero * q.scale
    return args
