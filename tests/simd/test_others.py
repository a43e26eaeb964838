"""Pooling, resizing, joining and slicing of u8 give the bytes that their arithmetic says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from offcut.backends.simd import LOWERING
from offcut.backends.simd.draft import Instruction
from offcut.backends.simd.lower import lower
from offcut.backends.simd.values import quantization
from offcut.graph import Node
from offcut.ops import OPS
from offcut.ops.resize import linear_taps, source_positions
from tests.simd.arithmetic import dequantize, quantize
from tests.simd.machines import Machine, run
from tests.simd.networks import args_of, image, network, one_node, steps_of

SEEDS = range(10)


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
    assert args_of(model, "resize_u8")["doubling"] == int(seed < 4)

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
    assert args_of(model, "resize_u8")["doubling"] == 0

    (got,) = run(native, model, {"x": x}).values()

    steps = steps_of(model, "x")
    moved = OPS["Resize"](quantize(x, *steps).astype(np.float32), **attributes)
    assert np.array_equal(got, dequantize(moved, *steps))


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


@pytest.mark.parametrize("seed", SEEDS)
def test_depthwise_convolution_of_u8_is_exact(native: Machine, seed: int) -> None:
    """Sums of whole numbers, then one scale and one term for each channel."""
    rng = np.random.default_rng(seed)
    x = image(rng)
    c = x.shape[1]
    kernel, strides, dilations = (rng.integers(1, high, 2).tolist() for high in (6, 4, 3))
    pads = tuple(rng.integers(0, 4, 4).tolist())
    spread = max(d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True))
    x = np.pad(x, ((0, 0), (0, 0), (0, spread), (0, spread)))
    w, b = rng.standard_normal((c, 1, *kernel)), rng.standard_normal(c)
    weights = {"w": w.astype(np.float32), "b": b.astype(np.float32)}
    attributes = {"strides": tuple(strides), "dilations": tuple(dilations), "pads": pads}
    activation = str(rng.choice(["", "Relu", "HardSwish"]))
    attributes |= {"group": c, "activation": activation}
    model = one_node("Conv", {"x": x}, weights, **attributes)
    args = args_of(model, "conv_depthwise")

    (got,) = run(native, model, {"x": x}).values()

    scale, zero = steps_of(model, "x")
    real = weights["w"].reshape(c, -1).astype(np.float64) * scale
    factor = np.minimum(32767 / abs(real).max(1), (2**31 - 1) / 255 / abs(real).sum(1)) * 0.999
    whole = np.rint(real * factor[:, None]).reshape(c, 1, *kernel)
    centred = quantize(x, scale, zero).astype(np.float64) - zero
    sums = conv_float64(centred, whole, attributes)
    y = OPS[activation or "Identity"](
        (sums / factor[:, None, None] + weights["b"][:, None, None]).astype(np.float32)
    )
    out = quantization(*model.ranges["y"], activation)
    y = np.clip(y, -out.zero * out.scale, (255 - out.zero) * out.scale)
    # A value in the middle between two steps may go either way: floats round on the way.
    assert abs(got[0] - y).max() <= out.scale * (0.5 + 1e-3)
    assert args["activation"] == (3 if activation == "HardSwish" else 0)


def conv_float64(x: np.ndarray, w: np.ndarray, attributes: dict[str, Any]) -> np.ndarray:
    """Return the depthwise convolution of x (1, c, h, w) in double precision, (c, oh, ow)."""
    top, left, bottom, right = attributes["pads"]
    padded = np.pad(x[0], ((0, 0), (top, bottom), (left, right)))
    (sh, sw), (dh, dw) = attributes["strides"], attributes["dilations"]
    kh, kw = w.shape[2:]
    oh = (padded.shape[1] - dh * (kh - 1) - 1) // sh + 1
    ow = (padded.shape[2] - dw * (kw - 1) - 1) // sw + 1
    total = np.zeros((len(w), oh, ow))
    for i in range(kh):
        for j in range(kw):
            rows, columns = slice(i * dh, None, sh), slice(j * dw, None, sw)
            total += padded[:, rows, columns][:, :oh, :ow] * w[:, :, i, j, None]
    return total


@pytest.mark.parametrize(("begin", "end"), [(0, 16), (8, 24), (16, 37), (0, 5), (8, 13)])
def test_slices_of_u8_are_only_other_planes(native: Machine, begin: int, end: int) -> None:
    rng = np.random.default_rng(2)
    x = image(rng, 37)
    part = {"axes": (1,), "starts": (begin,), "ends": (end,), "steps": (1,)}
    nodes = [
        Node("MaxPool", ("x",), ("p",), {"kernel_shape": (1, 1)}),
        Node("Slice", ("p",), ("part",), part),
        Node("Conv", ("part", "w"), ("y",), {"pads": (1, 1, 1, 1)}),
        Node("MaxPool", ("part",), ("pooled",), {"kernel_shape": (2, 2)}),
    ]
    w = rng.standard_normal((9, end - begin, 3, 3)).astype(np.float32)
    model = network(nodes, {"x": x}, {"w": w}, ["y", "pooled"])
    draft = lower(model, LOWERING, quantize=True)
    kernels = [step.kernel for step in draft.steps if isinstance(step, Instruction)]
    assert kernels[:2] == ["quantize", "max_pool"]
    assert len(kernels) == 6  # and two kernels for the part, and two conversions of results

    got = run(native, model, {"x": x})

    kept = x[:, begin:end]
    want = OPS["Conv"](kept, w, pads=(1, 1, 1, 1))
    assert abs(got["y"] - want).max() <= abs(want).max() * 0.02
    assert abs(got["pooled"] - OPS["MaxPool"](kept, kernel_shape=(2, 2))).max() <= (
        quantization(*model.ranges["x"]).scale * 0.51
    )
