"""On random shapes and attributes every definition gives what onnxruntime gives."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from offcut.errors import ModelFormatError
from offcut.graph import Node
from offcut.ops import OPS
from offcut.ops.shapes import result_shape
from tests.conformance import Case
from tests.ops.test_examples import in_onnxruntime

# Float32 sums in another order, and positions that onnxruntime computes in float32.
ROUNDING = 1e-5
often = settings(max_examples=40, deadline=None, derandomize=True)
few = st.integers(1, 4)
size = st.integers(1, 17)


def array(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed + sum(shape)).standard_normal(shape).astype(np.float32)


def fits(case: Case) -> bool:
    node = Node(case.op, tuple(f"v{at}" for at in range(len(case.inputs))), ("y",), case.attributes)
    try:
        shape = result_shape(node, [x.shape for x in case.inputs])
    except ModelFormatError:
        return False
    return shape == OPS[case.op](*case.inputs, **case.attributes).shape


def check(case: Case) -> None:
    got = OPS[case.op](*case.inputs, **case.attributes)
    want = in_onnxruntime(case)
    assert got.shape == want.shape and got.dtype == np.float32
    assert abs(got - want).max() <= ROUNDING * max(abs(want).max(), 1e-3), case


def window(draw: Any, *, dilated: bool = True) -> dict[str, Any]:
    pair = st.tuples(few, few)
    kernel = draw(pair)
    pads = tuple(draw(st.integers(0, kernel[at % 2] - 1)) for at in range(4))
    made = {"strides": draw(pair), "pads": pads, "kernel": kernel}
    return made | ({"dilations": draw(pair)} if dilated else {})


@st.composite
def convolutions(draw: Any) -> Case:
    op = draw(st.sampled_from(["Conv", "ConvTranspose"]))
    group, per_in, per_out = draw(few), draw(few), draw(few)
    attributes = window(draw) | {"group": group}
    kernel = attributes.pop("kernel")
    x = array(draw(st.integers(1, 2)), group * per_in, draw(size), draw(size))
    channels = (group * per_out, per_in) if op == "Conv" else (group * per_in, per_out)
    inputs = [x, array(*channels, *kernel, seed=1)]
    if draw(st.booleans()):
        inputs.append(array(group * per_out, seed=2))
    if op == "ConvTranspose":
        extra = tuple(draw(st.integers(0, stride - 1)) for stride in attributes["strides"])
        attributes["output_padding"] = extra
    return Case(op, tuple(inputs), attributes)


@often
@given(convolutions().filter(fits))
def test_convolutions(case: Case) -> None:
    check(case)


@st.composite
def pools(draw: Any) -> Case:
    op = draw(st.sampled_from(["MaxPool", "AveragePool"]))
    attributes = window(draw, dilated=op == "MaxPool")
    attributes |= {"kernel_shape": attributes.pop("kernel"), "ceil_mode": draw(st.integers(0, 1))}
    if op == "AveragePool":
        attributes["count_include_pad"] = draw(st.integers(0, 1))
    return Case(op, (array(1, draw(few), draw(size), draw(size)),), attributes)


@often
@given(pools().filter(fits))
def test_pools(case: Case) -> None:
    check(case)


@st.composite
def resizings(draw: Any) -> Case:
    h, w = draw(size), draw(size)
    attributes = {
        "mode": draw(st.sampled_from(["linear", "cubic"])),
        "coordinate_transformation_mode": draw(
            st.sampled_from(["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"])
        ),
    }
    if draw(st.booleans()):
        scales = tuple(draw(st.floats(0.25, 3, width=32)) for _ in range(2))
        wanted = tuple(
            int(np.float32(s) * np.float32(n)) for s, n in zip(scales, (h, w), strict=True)
        )
        if attributes["coordinate_transformation_mode"] != "align_corners":
            attributes["scales"] = scales
    else:
        wanted = (draw(size), draw(size))
    return Case("Resize", (array(1, draw(few), h, w),), attributes | {"size": wanted})


@often
@given(resizings().filter(fits))
def test_resizings(case: Case) -> None:
    check(case)


@st.composite
def broadcasts(draw: Any) -> Case:
    op = draw(st.sampled_from(["Add", "Sub", "Mul", "Div", "Max", "Min", "PRelu"]))
    shape = draw(st.lists(few, min_size=1, max_size=4))
    other = [draw(st.sampled_from([1, n])) for n in shape][draw(st.integers(0, len(shape))) :]
    return Case(op, (array(*shape), array(*other, seed=3)), {}, data=2)


@often
@given(broadcasts())
def test_broadcasts(case: Case) -> None:
    check(case)


@st.composite
def reductions(draw: Any) -> Case:
    shape = draw(st.lists(few, min_size=3, max_size=4))
    op = draw(st.sampled_from(["ReduceMean", "ReduceSum", "ReduceMax", "InstanceNormalization"]))
    if op == "InstanceNormalization":
        shape[2] += 1  # one value alone has no spread: only rounding would be compared
        c = shape[1]
        return Case(op, (array(*shape), array(c, seed=1), array(c, seed=2)), {"epsilon": 0.1})
    axes = draw(st.sets(st.integers(0, len(shape) - 1), min_size=1))
    attributes = {"axes": tuple(sorted(axes)), "keepdims": draw(st.integers(0, 1))}
    return Case(op, (array(*shape),), attributes)


@often
@given(reductions())
def test_reductions(case: Case) -> None:
    check(case)


@st.composite
def movements(draw: Any) -> Case:
    shape = draw(st.lists(few, min_size=2, max_size=4))
    op = draw(st.sampled_from(["Concat", "Transpose", "Slice", "Pad"]))
    axis = draw(st.integers(0, len(shape) - 1))
    x = array(*shape)
    if op == "Concat":
        return Case(op, (x, x[:, :1] if axis == 1 else x), {"axis": axis}, data=2)
    if op == "Transpose":
        return Case(op, (x,), {"perm": tuple(draw(st.permutations(range(len(shape)))))})
    if op == "Pad":
        mode = draw(st.sampled_from(["constant", "edge", "reflect"]))
        most = [n - 1 if mode == "reflect" else 3 for n in shape] * 2
        pads = tuple(draw(st.integers(0, n)) for n in most)
        return Case(op, (x,), {"pads": pads, "mode": mode})
    start = draw(st.integers(0, shape[axis] - 1))
    end = draw(st.integers(start + 1, shape[axis]))
    ranges = {"starts": (start,), "ends": (end,), "axes": (axis,), "steps": (draw(few),)}
    return Case(op, (x,), ranges)


@often
@given(movements().filter(fits))
def test_movements(case: Case) -> None:
    check(case)
