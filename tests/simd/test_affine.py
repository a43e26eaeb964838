"""Sums, products, limits and normalisation of u8 give the bytes that their arithmetic says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from offcut.backends.simd.lower_affine import joint_factors
from offcut.backends.simd.values import quantization
from offcut.container import Model
from offcut.graph import Node
from offcut.ops import OPS
from tests.simd.arithmetic import dequantize, quantize
from tests.simd.machines import Machine, run
from tests.simd.networks import args_of, image, network, one_node, steps_of

SEEDS = range(10)


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
