"""Pooling, resizing, adding and converting give the bytes that their arithmetic says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from offcut.backends.simd import LOWERING
from offcut.backends.simd.draft import Instruction
from offcut.backends.simd.lower import lower
from offcut.backends.simd.lower_affine import joint_factors
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
def test_adding_u8_is_exact_fixed_point(native: Machine, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a = image(rng)
    b = rng.standard_normal(a.shape).astype(np.float32) * np.float32(rng.uniform(0.1, 9))
    activation = str(rng.choice(["", "Relu"]))
    model = one_node("Add", {"a": a, "b": b}, {}, activation=activation)
    args = args_of(model, "affine_u8")

    (got,) = run(native, model, {"a": a, "b": b}).values()

    qa, qb = (
        quantize(value, *steps_of(model, name)).astype(np.int64)
        for name, value in (("a", a), ("b", b))
    )
    total = sums_of(args, qa, qb)
    out = quantization(*model.ranges["y"], activation)
    want = np.clip(total, 0, 255)
    assert np.array_equal(got, dequantize(want, out.scale, out.zero))
    # Each operand and the result are rounded to half a step; factors miss a sixteenth of one.
    exact = np.maximum(a + b, 0) if activation else a + b
    slack = sum(quantization(*model.ranges[name]).scale for name in ("a", "b", "y")) * 0.5
    assert abs(got - exact).max() <= slack * 1.07


def sums_of(args: dict[str, Any], qa: np.ndarray, qb: np.ndarray) -> np.ndarray:
    """Return what an Add's u8 add up to in steps, with high bytes for the term or the term."""
    if "joint" in args:
        ka, kb = np.frombuffer(args["joint"], "<i2", 2).tolist()
        high, higher = np.frombuffer(args["joint"], "i1", 2, 16).tolist()
        return ((qa + 256 * high) * ka + (qb + 256 * higher) * kb) >> 14
    factors = [np.float32(args[key]) for key in ("scale", "second")]
    bits = 12 if max(factors) < 32767 / 4096 else 6
    ka, kb = (int(factor * (1 << bits) + 0.5) for factor in factors)
    term = (np.float32(args["zero"]) + np.float32(0.5)) * np.float32(1 << bits)
    return (qa * ka + qb * kb + int(term + np.copysign(0.5, term))) >> bits


def test_high_bytes_stand_for_most_terms() -> None:
    rng = np.random.default_rng(7)
    cases = [(*rng.uniform(0.1, 1.1, 2), rng.uniform(-120, 120)) for _ in range(50)]
    assert sum(bool(joint_factors(*case)) for case in cases) > 30


@pytest.mark.parametrize("ratio", [1e-5, 0.02, 1.0, 40.0])
def test_sums_miss_the_real_ones_by_little_whatever_the_ranges(
    native: Machine, ratio: float
) -> None:
    """Where no high bytes stand for the term, it is added in 32 bits."""
    rng = np.random.default_rng(5)
    a = image(rng, 20) + np.float32(1)
    b = rng.standard_normal(a.shape).astype(np.float32) * np.float32(ratio)
    model = one_node("Add", {"a": a, "b": b}, {})
    (got,) = run(native, model, {"a": a, "b": b}).values()
    qa, qb = (
        dequantize(quantize(value, *steps_of(model, name)), *steps_of(model, name))
        for name, value in (("a", a), ("b", b))
    )
    step, middle = steps_of(model, "y")
    want = np.clip(qa + qb, -middle * step, (255 - middle) * step)
    assert abs(got - want).max() <= step * (0.5 + 0.07)


def test_opposite_values_add_up_to_steps_finer_than_their_own(native: Machine) -> None:
    """Factors of 2 or 8 and more leave no room for 14 bits, or 12."""
    a = image(np.random.default_rng(6), 20)
    for share in (0.3, 0.04):
        b = -a + np.float32(share) * a[:, ::-1]
        model = one_node("Add", {"a": a, "b": b}, {})
        assert "joint" not in args_of(model, "affine_u8")
        (got,) = run(native, model, {"a": a, "b": b}).values()
        slack = sum(steps_of(model, name)[0] for name in ("a", "b", "y")) * 0.5
        assert abs(got - (a + b)).max() <= slack * 1.1


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


@pytest.mark.parametrize("op", ["Mul", "Add"])
@pytest.mark.parametrize("seed", SEEDS)
def test_products_and_sums_by_channel_of_u8_are_rounded_once(
    native: Machine, seed: int, op: str
) -> None:
    rng = np.random.default_rng(seed)
    x = image(rng)
    shape = (1, x.shape[1], 1, 1) if seed % 3 else (1, 1, 1, 1)
    other = rng.standard_normal(shape).astype(np.float32)
    inputs, weights = ({"x": x, "f": other}, {}) if seed % 2 else ({"x": x}, {"f": other})
    model = pooled(Node(op, ("p", "f"), ("y",), {}), inputs, weights)
    assert "limits" not in args_of(model, "affine_u8")

    (got,) = run(native, model, inputs).values()

    scale, zero = steps_of(model, "x")
    q = dequantize(quantize(x, scale, zero), scale, zero)
    step, middle = steps_of(model, "y")
    want = np.clip(OPS[op](q, other), -middle * step, (255 - middle) * step)
    # Rounded once; 12 fraction bits in factor and term cost 255 / 2^13 + 1 / 2^6 of a step.
    assert abs(got - want).max() <= step * (0.5 + 0.05)


@pytest.mark.parametrize(("op", "limits"), [("Relu", {}), ("Clip", {"min": -0.3, "max": 0.7})])
def test_limits_of_u8_keep_the_steps(native: Machine, op: str, limits: dict[str, float]) -> None:
    x = image(np.random.default_rng(1))
    model = pooled(Node(op, ("p",), ("y",), limits), {"x": x}, {})
    assert args_of(model, "affine_u8")["limits"] == 1
    (got,) = run(native, model, {"x": x}).values()
    scale, zero = steps_of(model, "x")
    q = dequantize(quantize(x, scale, zero), scale, zero)
    assert abs(got - OPS[op](q, **limits)).max() <= scale * 0.501


def pooled(node: Node, inputs: dict[str, np.ndarray], weights: dict[str, np.ndarray]) -> Model:
    """Return `node` after a pooling of single cells, which leaves its input p in u8."""
    first = Node("MaxPool", ("x",), ("p",), {"kernel_shape": (1, 1)})
    return network([first, node], inputs, weights, ["y"])


@pytest.mark.parametrize("op", ["GlobalAveragePool", "ReduceSum"])
@pytest.mark.parametrize("seed", SEEDS)
def test_sums_of_u8_are_exact(native: Machine, seed: int, op: str) -> None:
    x = image(np.random.default_rng(seed))
    attributes = {} if op == "GlobalAveragePool" else {"axes": (2, 3)}
    model = pooled(Node(op, ("p",), ("y",), attributes), {"x": x}, {})
    assert args_of(model, "reduce_u8")
    (got,) = run(native, model, {"x": x}).values()
    scale, zero = steps_of(model, "x")
    q = quantize(x, scale, zero).astype(np.float64) - zero
    total = q.sum(axis=(2, 3), keepdims=True) * scale
    want = total if op == "ReduceSum" else total / q[0, 0].size
    assert abs(got - want).max() <= 1e-6 * abs(want).max() + 1e-6 * scale * q[0, 0].size


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


@pytest.mark.parametrize("seed", SEEDS)
def test_normalisation_of_u8_knows_exact_means(native: Machine, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = image(rng)
    c = x.shape[1]
    weights = {name: rng.standard_normal(c).astype(np.float32) for name in ("scale", "bias")}
    node = Node("InstanceNormalization", ("p", "scale", "bias"), ("y",), {})
    model = pooled(node, {"x": x}, weights)
    assert args_of(model, "normalize_u8")
    (got,) = run(native, model, {"x": x}).values()
    q = dequantize(quantize(x, *steps_of(model, "x")), *steps_of(model, "x"))
    step, middle = steps_of(model, "y")
    want = OPS[node.op](q, *weights.values())
    want = np.clip(want, -middle * step, (255 - middle) * step)
    assert abs(got - want).max() <= step * (0.5 + 0.05)  # as above
