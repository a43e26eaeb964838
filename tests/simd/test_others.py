"""Pooling, resizing, adding and converting give the bytes that their arithmetic says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from offcut.backends.simd import LOWERING
from offcut.backends.simd.draft import Instruction
from offcut.backends.simd.lower import lower
from offcut.backends.simd.values import quantization
from offcut.container import Model
from offcut.graph import Node
from offcut.ops import OPS
from offcut.ops.resize import linear_taps, source_positions
from tests.simd.arithmetic import dequantize, quantize
from tests.simd.machines import Machine, run
from tests.simd.networks import network, one_node

SEEDS = range(10)


def image(rng: np.random.Generator, c: int | None = None) -> np.ndarray:
    """Return random values (1, c, h, w) of random sizes."""
    c = c or int(rng.integers(8, 50))
    h, w = (int(size) for size in rng.integers(3, 40, 2))
    return rng.standard_normal((1, c, h, w)).astype(np.float32)


def steps_of(model: Model, name: str) -> tuple[float, int]:
    q = quantization(*model.ranges[name])
    return q.scale, q.zero


def args_of(model: Model, kernel: str) -> dict[str, Any]:
    """Return the arguments of the kernel's only instruction; there must be one."""
    draft = lower(model, LOWERING, quantize=True)
    (step,) = (s for s in draft.steps if isinstance(s, Instruction) and s.kernel == kernel)
    return dict(step.args)


@pytest.mark.parametrize("seed", SEEDS)
def test_max_pool_of_u8_is_exact(native: Machine, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = image(rng)
    kernel = tuple(int(k) for k in rng.integers(1, 4, 2))
    attributes = {
        "kernel_shape": kernel,
        "strides": tuple(int(s) for s in rng.integers(1, 4, 2)),
        "pads": tuple(int(rng.integers(0, kernel[axis % 2])) for axis in range(4)),
        "ceil_mode": int(rng.integers(0, 2)),
    }
    model = one_node("MaxPool", {"x": x}, {}, **attributes)
    assert args_of(model, "max_pool")

    (got,) = run(native, model, {"x": x}).values()

    q = quantize(x, *steps_of(model, "x"))
    want = OPS["MaxPool"](q.astype(np.float32), **attributes)
    assert np.array_equal(got, dequantize(want, *steps_of(model, "x")))


@pytest.mark.parametrize("seed", SEEDS)
def test_average_pool_of_u8_rounds_once(native: Machine, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = image(rng)
    kernel = tuple(int(k) for k in rng.integers(1, 5, 2))
    attributes = {
        "kernel_shape": kernel,
        "strides": tuple(int(s) for s in rng.integers(1, 4, 2)),
        "pads": tuple(int(rng.integers(0, kernel[axis % 2])) for axis in range(4)),
        "ceil_mode": int(rng.integers(0, 2)),
        "count_include_pad": int(rng.integers(0, 2)),
    }
    kernel_sizes = attributes["kernel_shape"]
    assert all(isinstance(size, int) for size in kernel_sizes)
    if any(size < k for size, k in zip(x.shape[2:], kernel, strict=True)):
        x = np.pad(x, ((0, 0), (0, 0), (2, 2), (2, 2)))
    model = one_node("AveragePool", {"x": x}, {}, **attributes)
    assert args_of(model, "average_pool")

    (got,) = run(native, model, {"x": x}).values()

    scale, zero = steps_of(model, "x")
    centred = quantize(x, scale, zero).astype(np.float64) - zero  # padding is real 0
    exact = np.asarray(OPS["AveragePool"](centred.astype(np.float32), **attributes))
    steps = got / np.float32(scale)
    # Rounded to a step; a tie may go either way, since 1 / count is rounded too.
    assert abs(steps - exact).max() <= 0.5 + 1e-3


@pytest.mark.parametrize("seed", SEEDS)
def test_linear_resizing_of_u8_is_exact(native: Machine, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = image(rng)
    h, w = x.shape[2:]
    size = (2 * h, 2 * w) if seed < 4 else tuple(int(s) for s in rng.integers(2, 60, 2))
    transformation = str(rng.choice(["half_pixel", "align_corners"])) if seed >= 4 else "half_pixel"
    attributes = {"size": size, "coordinate_transformation_mode": transformation, "mode": "linear"}
    model = one_node("Resize", {"x": x}, {}, **attributes)
    assert args_of(model, "resize_linear")["doubling"] == int(seed < 4)

    (got,) = run(native, model, {"x": x}).values()

    scale, zero = steps_of(model, "x")
    q = quantize(x, scale, zero).astype(np.int64)
    for axis, shift, half in ((3, 7, 0), (2, 21, 1 << 20)):
        at = source_positions(q.shape[axis], size[axis - 2], transformation)
        low, high, weight = linear_taps(at, q.shape[axis])
        parts = np.rint(weight * np.float32(1 << 14)).astype(np.int64)
        parts = parts.reshape(-1, *[1] * (3 - axis))
        q = np.take(q, low, axis) * ((1 << 14) - parts) + np.take(q, high, axis) * parts
        q = (q + half) >> shift
    assert np.array_equal(got, dequantize(q, scale, zero))


@pytest.mark.parametrize("seed", SEEDS)
def test_nearest_resizing_only_moves_bytes(native: Machine, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = image(rng)
    attributes = {"size": tuple(int(s) for s in rng.integers(2, 60, 2)), "mode": "nearest"}
    model = one_node("Resize", {"x": x}, {}, **attributes)
    assert args_of(model, "resize_nearest")

    (got,) = run(native, model, {"x": x}).values()

    steps = steps_of(model, "x")
    moved = OPS["Resize"](quantize(x, *steps).astype(np.float32), **attributes)
    assert np.array_equal(got, dequantize(moved, *steps))


@pytest.mark.parametrize("seed", SEEDS)
def test_adding_u8_is_exact_fixed_point(native: Machine, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a = image(rng)
    b = rng.standard_normal(a.shape).astype(np.float32) * np.float32(rng.uniform(0.1, 9))
    activation = str(rng.choice(["", "Relu"]))
    model = one_node("Add", {"a": a, "b": b}, {}, activation=activation)
    args = args_of(model, "add_u8")

    (got,) = run(native, model, {"a": a, "b": b}).values()

    qa, qb = (
        quantize(value, *steps_of(model, name)).astype(np.int64)
        for name, value in (("a", a), ("b", b))
    )
    total = (qa * args["scale_a"] + qb * args["scale_b"] + args["offset"]) >> args["shift"]
    out = quantization(*model.ranges["y"], activation)
    want = np.maximum(np.clip(total, 0, 255), args["least"])
    assert np.array_equal(got, dequantize(want, out.scale, out.zero))
    # Each operand and the result are rounded to half a step.
    exact = np.maximum(a + b, 0) if activation else a + b
    slack = sum(quantization(*model.ranges[name]).scale for name in ("a", "b", "y")) * 0.5
    assert abs(got - exact).max() <= slack * 1.01


@pytest.mark.parametrize("seed", SEEDS)
def test_values_joined_from_partly_filled_planes_stay_apart(native: Machine, seed: int) -> None:
    """Concat of 8..40 and 8..40 channels, then a convolution and a pooling of the joined value."""
    rng = np.random.default_rng(seed)
    a = image(rng)
    b = rng.standard_normal((1, int(rng.integers(8, 40)), *a.shape[2:])).astype(np.float32) * 3
    c = a.shape[1] + b.shape[1]
    nodes = [
        Node("Concat", ("a", "b"), ("both",), {"axis": 1}),
        Node("MaxPool", ("both",), ("pooled",), {"kernel_shape": (2, 2)}),
        Node("Conv", ("pooled", "w"), ("y",), {"pads": (1, 1, 1, 1)}),
    ]
    w = rng.standard_normal((9, c, 3, 3)).astype(np.float32)
    model = network(nodes, {"a": a, "b": b}, {"w": w}, ["y", "pooled"])
    got = run(native, model, {"a": a, "b": b})
    both = np.concatenate([a, b], axis=1)
    pooled = OPS["MaxPool"](both, kernel_shape=(2, 2))
    want = OPS["Conv"](pooled, w, pads=(1, 1, 1, 1))
    scale = max(quantization(*model.ranges[name]).scale for name in ("a", "b"))
    assert abs(got["pooled"] - pooled).max() <= scale * 0.51
    assert abs(got["y"] - want).max() <= abs(want).max() * 0.02
