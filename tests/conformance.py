"""Operator cases as data, with numpy alone: run natively, inside Pyodide, and on every backend.

EXAMPLES are worked out by hand and hold the definitions in offcut.ops to ONNX's meaning.
`cases` are random arrays over shapes and attributes, on which a backend must agree with them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from offcut import backends
from offcut.backends import no_checkpoint
from offcut.card import from_document
from offcut.container import Model
from offcut.graph import Graph, Node
from offcut.ops import OPS
from offcut.quant import float_tensor


@dataclass(frozen=True)
class Example:
    """An operator on small inputs, and the result worked out by hand."""

    op: str
    inputs: list[Any]
    expected: Any
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """An operator on random inputs: the first `data` of them are values, the others weights."""

    op: str
    inputs: tuple[np.ndarray, ...]
    attributes: Mapping[str, Any]
    data: int = 1

    def __str__(self) -> str:
        shapes = " ".join("x".join(map(str, array.shape)) for array in self.inputs)
        return f"{self.op} {shapes} {dict(self.attributes)}"


# A 3x3 picture that many examples share.
NINE = [[[[1, 2, 3], [4, 5, 6], [7, 8, 9]]]]

EXAMPLES = [
    Example("Conv", [NINE, [[[[1, 1], [1, 1]]]]], [[[[12, 16], [24, 28]]]]),
    Example("Conv", [NINE, [[[[2]]]], [1]], [[[[3, 5, 7], [9, 11, 13], [15, 17, 19]]]]),
    Example("Conv", [NINE, [[[[1]]]]], [[[[1, 3], [7, 9]]]], {"strides": (2, 2)}),
    Example("Conv", [NINE, [[[[1, 1], [1, 1]]]]], [[[[20]]]], {"dilations": (2, 2)}),
    Example(
        "Conv",
        [NINE, [[[[1, 1, 1]] * 3]]],
        [[[[12, 21, 16], [27, 45, 33], [24, 39, 28]]]],
        {"pads": (1, 1, 1, 1)},
    ),
    Example(
        "Conv",
        [[[[[1]], [[2]], [[3]], [[4]]]], [[[[1]], [[10]]], [[[1]], [[-10]]]], [0, 5]],
        [[[[21]], [[0]]]],
        {"group": 2, "activation": "Relu"},
    ),
    # The bias counts the kernel taps inside the image, as a constant added to the input would.
    Example(
        "Conv",
        [[[[[0, 0, 0]] * 3]], [[[[1, 1, 1]] * 3]], [[[4, 6, 4], [6, 9, 6], [4, 6, 4]]]],
        [[[[4, 6, 4], [6, 9, 6], [4, 6, 4]]]],
        {"pads": (1, 1, 1, 1)},
    ),
    Example(
        "ConvTranspose",
        [[[[[1, 2]]]], [[[[1, 10]]]]],
        [[[[1, 10, 2, 20]]]],
        {"strides": (1, 2)},
    ),
    Example("ConvTranspose", [[[[[1, 2]]]], [[[[1, 10, 100]]]], [1]], [[[[2, 13, 121, 201]]]]),
    Example("MaxPool", [NINE], [[[[5, 6], [8, 9]]]], {"kernel_shape": (2, 2)}),
    Example(
        "MaxPool",
        [NINE],
        [[[[5, 6], [8, 9]]]],
        {"kernel_shape": (2, 2), "strides": (2, 2), "ceil_mode": 1},
    ),
    Example("MaxPool", [NINE], [[[[5]]]], {"kernel_shape": (2, 2), "strides": (2, 2)}),
    Example(
        "AveragePool",
        [NINE],
        [[[[3, 4.5], [7.5, 9]]]],
        {"kernel_shape": (2, 2), "strides": (2, 2), "ceil_mode": 1},
    ),
    Example(
        "AveragePool",
        [[[[[2, 4]]]]],
        [[[[1, 3, 2]]]],
        {"kernel_shape": (1, 2), "pads": (0, 1, 0, 1), "count_include_pad": 1},
    ),
    Example("Resize", [[[[[1, 3]]]]], [[[[1, 1.5, 2.5, 3]]]], {"size": (1, 4), "mode": "linear"}),
    Example(
        "Resize",
        [[[[[1, 3]]]]],
        [[[[1, 2, 3]]]],
        {"size": (1, 3), "mode": "linear", "coordinate_transformation_mode": "align_corners"},
    ),
    Example(
        "Resize",
        [[[[[1, 2]]]]],
        [[[[1, 1, 2, 2]]]],
        {"size": (1, 4), "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
    ),
    Example(
        "Resize",
        [[[[[1, 2, 3]]]]],
        [[[[1, 1, 2, 2, 3]]]],
        {
            "size": (1, 5),
            "coordinate_transformation_mode": "asymmetric",
            "nearest_mode": "floor",
            "scales": (1.0, 1.75),
        },
    ),
    # Halfway between two cells, Keys' kernel with a = -0.75 weighs -3/32, 19/32, 19/32, -3/32.
    Example(
        "Resize",
        [[[[[0, 8, 0, 0]]]]],
        [[[[0, 4.75, 0]]]],
        {"size": (1, 3), "mode": "cubic", "coordinate_transformation_mode": "align_corners"},
    ),
    Example("Relu", [[-1, 0, 2]], [0, 0, 2]),
    Example(
        "PRelu", [[[[-2]], [[-4]], [[3]]], [[[0.5]], [[0.25]], [[9]]]], [[[-1]], [[-1]], [[3]]]
    ),
    Example("Elu", [[-200, 0, 2]], [-2, 0, 2], {"alpha": 2.0}),
    Example("Softplus", [[-200, 200]], [0, 200]),
    Example("LeakyRelu", [[-10, 2]], [-1, 2], {"alpha": 0.1}),
    Example("Sigmoid", [[0, 200, -200]], [0.5, 1, 0]),
    Example("Tanh", [[0, 100]], [0, 1]),
    Example("HardSigmoid", [[-5, 0, 1, 5]], [0, 0.5, 0.7, 1]),
    Example("HardSwish", [[-4, 0, 3, 6]], [0, 0, 3, 6]),
    Example("Clip", [[-1, 3, 9]], [0, 3, 6], {"min": 0, "max": 6}),
    Example("Add", [[1, 2], [[10], [20]]], [[11, 12], [21, 22]]),
    Example("Add", [[-3, 2], [1, 1]], [0, 3], {"activation": "Relu"}),
    Example("Sub", [[3, 2], [1]], [2, 1]),
    Example("Mul", [[3, 2], [4, 5]], [12, 10]),
    Example("Div", [[3, 2], [4, 5]], [0.75, 0.4]),
    Example("Pow", [[3, 2], [2, 3]], [9, 8]),
    Example("Max", [[3, 2], [4, 1], [0]], [4, 2]),
    Example("Min", [[3, 2], [4, 1], [2.5]], [2.5, 1]),
    Example("Sqrt", [[9, 2.25]], [3, 1.5]),
    Example("Exp", [[0]], [1]),
    Example("Log", [[1]], [0]),
    Example("Abs", [[-3, 2]], [3, 2]),
    Example("Identity", [[3, 2]], [3, 2]),
    Example("Concat", [[[1]], [[2]]], [[1, 2]], {"axis": 1}),
    Example("Reshape", [[1, 2, 3, 4]], [[1, 2], [3, 4]], {"shape": (2, -1)}),
    Example("Expand", [[[1], [2]]], [[1, 1], [2, 2]], {"shape": (2, 2)}),
    Example("Transpose", [[[1, 2], [3, 4]]], [[1, 3], [2, 4]], {"perm": (1, 0)}),
    Example(
        "Slice",
        [[[1, 2, 3, 4]]],
        [[2, 4]],
        {"starts": (1,), "ends": (4,), "axes": (1,), "steps": (2,)},
    ),
    Example("Pad", [[1, 2]], [7, 1, 2, 7, 7], {"pads": (1, 2), "value": 7}),
    Example("Pad", [[1, 2, 3]], [2, 1, 2, 3], {"pads": (1, 0), "mode": "reflect"}),
    Example("MatMul", [[[1, 2]], [[3], [4]]], [[11]]),
    Example("Gemm", [[[1], [2]], [[3], [4]], [1]], [[12]], {"transA": 1}),
    Example("GlobalAveragePool", [NINE], [[[[5]]]]),
    Example("ReduceMean", [[[1, 3], [5, 7]]], [2, 6], {"axes": (1,), "keepdims": 0}),
    Example("ReduceSum", [[[1, 3], [5, 7]]], [[4], [12]], {"axes": (1,)}),
    Example("ReduceMax", [[[1, 3], [5, 7]]], [5, 7], {"axes": (0,), "keepdims": 0}),
    Example("InstanceNormalization", [[[[1, 3]]], [2], [1]], [[[-1, 3]]], {"epsilon": 0.0}),
    Example("InstanceNormalization", [[[[[1, 3]]]], [2], [1]], [[[[-1, 3]]]], {"epsilon": 0.0}),
    Example("Softmax", [[[0, 0]]], [[0.5, 0.5]]),
]


def check_examples() -> list[str]:
    """Return one line for each example that its definition gets wrong, or op that has none."""
    wrong = [f"{name}: has no example" for name in sorted(set(OPS) - {e.op for e in EXAMPLES})]
    for example in EXAMPLES:
        inputs = [np.array(value, np.float32) for value in example.inputs]
        got = OPS[example.op](*inputs, **example.attributes)
        want = np.array(example.expected, np.float32)
        # Every value here is a short decimal; only the last float32 digits may differ.
        if got.dtype != np.float32 or got.shape != want.shape or abs(got - want).max() > 1e-5:
            wrong.append(f"{example.op} {dict(example.attributes)}: {got.tolist()}")
    return wrong


def cases() -> list[Case]:
    """Return the random cases, always the same."""
    return list(_cases())


def _cases() -> Iterator[Case]:
    rng = np.random.default_rng(20)

    def array(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    same = {"pads": (1, 1, 1, 1)}
    for c, o, h, w in ((3, 8, 20, 20), (16, 16, 24, 20), (8, 4, 33, 18), (32, 16, 12, 40)):
        yield Case("Conv", (array(1, c, h, w), array(o, c, 3, 3), array(o)), same)
    relu = same | {"activation": "Relu"}
    yield Case("Conv", (array(1, 16, 20, 20), array(16, 16, 3, 3), array(16, 3, 3)), relu)
    for dilation, h in ((2, 10), (4, 10), (8, 10), (2, 21)):
        attributes = {"pads": (dilation,) * 4, "dilations": (dilation, dilation)}
        yield Case("Conv", (array(1, 16, h, h), array(16, 16, 3, 3), array(16, 3, 3)), attributes)
    yield Case("Conv", (array(1, 16, 17, 23), array(1, 16, 3, 3), array(1)), same)
    yield Case("Conv", (array(1, 6, 9, 11), array(5, 6, 1, 1), array(5)), {})
    yield Case("Conv", (array(1, 6, 15, 11), array(7, 6, 5, 5)), {"pads": (2, 2, 2, 2)})
    yield Case("Conv", (array(1, 8, 15, 12), array(8, 1, 3, 3), array(8)), same | {"group": 8})
    halving = {"strides": (2, 2), "pads": (1, 1, 1, 1), "activation": "Relu"}
    yield Case("Conv", (array(1, 8, 15, 12), array(12, 8, 3, 3), array(12)), halving)
    yield from _more_convolutions(array)
    twice = {"strides": (2, 2)}
    yield Case("ConvTranspose", (array(1, 6, 5, 7), array(6, 4, 2, 2), array(4)), twice)
    for ceil_mode in (0, 1):
        window = {"kernel_shape": (2, 2), "strides": (2, 2), "ceil_mode": ceil_mode}
        yield Case("MaxPool", (array(1, 16, 15, 20),), window)
        yield Case("AveragePool", (array(1, 5, 15, 20),), window)
    yield from _resize_cases(array)
    for name in ("Relu", "Sigmoid", "HardSwish", "HardSigmoid", "LeakyRelu", "Tanh", "Elu"):
        yield Case(name, (array(1, 16, 9, 11) * 4,), {})
    for name in ("Softplus", "Exp", "Abs"):
        yield Case(name, (array(1, 16, 9, 11),), {})
    for name in ("Sqrt", "Log"):
        yield Case(name, (abs(array(1, 16, 9, 11)) + 1,), {})
    yield Case("Clip", (array(1, 16, 9, 11) * 4,), {"min": 0.0, "max": 6.0})
    yield Case("PRelu", (array(1, 16, 9, 11), array(16, 1, 1)), {})
    yield Case("Add", (array(1, 16, 9, 11), array(1, 16, 9, 11)), {"activation": "Relu"}, data=2)
    for name in ("Mul", "Sub", "Max", "Min"):
        yield Case(name, (array(1, 16, 9, 11), array(1, 16, 1, 1)), {}, data=2)
        yield Case(name, (array(1, 16, 9, 11), array(1, 16, 9, 11)), {}, data=2)
    yield Case("Mul", (array(1, 16, 9, 11), array(16, 1, 1)), {})
    yield Case("Div", (array(1, 16, 9, 11), abs(array(1, 16, 1, 1)) + 1), {}, data=2)
    yield Case("Pow", (array(1, 16, 9, 11), np.array(2, np.float32)), {})
    yield Case("Concat", (array(1, 16, 9, 11), array(1, 32, 9, 11)), {"axis": 1}, data=2)
    yield Case("GlobalAveragePool", (array(1, 16, 9, 11),), {})
    for c in (4, 16):
        yield Case("InstanceNormalization", (array(1, c, 9, 11), array(c), array(c)), {})
    for name in ("ReduceMean", "ReduceSum", "ReduceMax"):
        yield Case(name, (array(1, 16, 9, 11),), {"axes": (2, 3), "keepdims": 0})
    half = {"starts": (8,), "ends": (16,), "axes": (1,), "steps": (1,)}
    yield Case("Slice", (array(1, 16, 9, 11),), half)
    yield Case("Pad", (array(1, 16, 9, 11),), {"pads": (0, 0, 1, 2, 0, 0, 3, 0)})
    yield Case("Transpose", (array(1, 16, 9, 11),), {"perm": (0, 2, 3, 1)})
    yield Case("Reshape", (array(1, 16, 9, 11),), {"shape": (1, 16, 99)})
    yield Case("Expand", (array(1, 16, 1, 1),), {"shape": (1, 16, 9, 11)})
    yield Case("MatMul", (array(1, 16), array(16, 4)), {})
    yield Case("Gemm", (array(1, 16), array(4, 16), array(4)), {"transB": 1})
    yield Case("Softmax", (array(1, 4, 9, 11),), {"axis": 1})


def _resize_cases(array: Callable[..., np.ndarray]) -> Iterator[Case]:
    x = (array(1, 16, 10, 15),)
    linear = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    for size in ((20, 30), (11, 10), (40, 61)):
        yield Case("Resize", x, linear | {"size": size})
    asymmetric = {"mode": "linear", "coordinate_transformation_mode": "asymmetric"}
    yield Case("Resize", x, asymmetric | {"size": (25, 20), "scales": (2.55, 1.39)})
    corners = {"mode": "linear", "coordinate_transformation_mode": "align_corners"}
    yield Case("Resize", (array(1, 3, 10, 15),), corners | {"size": (20, 29)})
    yield Case("Resize", x, {"mode": "nearest", "size": (20, 45)})
    yield Case("Resize", x, {"mode": "cubic", "size": (21, 12)})


def _more_convolutions(array: Callable[..., np.ndarray]) -> Iterator[Case]:
    """Yield convolutions as in MobileNets: depthwise, in groups, of one point, of one pixel."""
    for kernel, stride, pad in ((3, 2, 1), (5, 1, 2), (5, 2, 2), (3, 1, 0)):
        sizes = {"strides": (stride, stride), "pads": (pad,) * 4, "group": 24}
        for activation in ("Relu", "HardSwish"):
            operands = array(1, 24, 17, 22), array(24, 1, kernel, kernel), array(24)
            yield Case("Conv", operands, sizes | {"activation": activation})
    yield Case("Conv", (array(1, 24, 9, 30), array(40, 24, 1, 1), array(40)), {})
    yield Case("Conv", (array(1, 24, 9, 30), array(2, 24, 1, 1), array(2)), {})
    yield Case("Conv", (array(1, 24, 1, 1), array(40, 24, 1, 1), array(40)), {"activation": "Relu"})
    grouped = {"pads": (1, 1, 1, 1), "group": 2}
    yield Case("Conv", (array(1, 24, 11, 10), array(16, 12, 3, 3), array(16)), grouped)
    yield Case("Conv", (array(1, 24, 11, 10), array(48, 3, 3, 3)), grouped | {"group": 8})
    wide = {"pads": (1, 1, 1, 1), "activation": "Sigmoid"}
    yield Case("Conv", (array(1, 24, 19, 50) * 0.1, array(12, 24, 3, 3), array(12)), wide)


def as_model(case: Case) -> Model:
    """Wrap the case as a model of one node, its ranges those of its own values."""
    names = [f"v{at}" for at in range(len(case.inputs))]
    result = OPS[case.op](*case.inputs, **case.attributes)
    shapes = {name: value.shape for name, value in zip(names, case.inputs, strict=True)}
    node = Node(case.op, tuple(names), ("y",), case.attributes)
    values = dict(zip(names[: case.data], case.inputs, strict=False)) | {"y": result}
    document = {"name": "case", "input": {"size": (1, 1)}, "output": {"name": "y"}}
    return Model(
        graph=Graph((node,), tuple(names[: case.data]), ("y",), shapes | {"y": result.shape}),
        weights={
            name: float_tensor(value)
            for name, value in zip(names[case.data :], case.inputs[case.data :], strict=True)
        },
        card=from_document(document, "case"),
        ranges={name: (float(value.min()), float(value.max())) for name, value in values.items()},
    )


async def difference(case: Case, backend: str) -> float:
    """Return the largest difference to the definition, as a share of the largest value."""
    model = as_model(case)
    program = await backends.load(backend).compile(model)
    inputs = dict(zip(model.graph.inputs, case.inputs, strict=False))
    got = (await program.run(inputs, no_checkpoint))["y"]
    program.close()
    want = OPS[case.op](*case.inputs, **case.attributes)
    if got.shape != want.shape or got.dtype != np.float32:
        raise AssertionError(f"{case}: {got.dtype} {got.shape}, expected {want.shape}")
    return float(abs(got - want).max() / abs(want).max())


# How far a backend may stray, as a share of the largest value.
TOLERANCES = {
    "reference": 2e-5,  # Winograd's transforms in float32 lose about four bits against a plain sum
    "simd": 0.015,  # inputs and outputs in 8 bits: half a step of 1/255 of a range, each
}


async def check_cases(backend: str) -> list[str]:
    """Return one line for each case on which `backend` strays from the definition."""
    wrong, tolerance = [], TOLERANCES[backend]
    for case in cases():
        off = await difference(case, backend)
        if not off <= tolerance:
            wrong.append(f"{case}: off by {off:.2g} of the largest value")
    return wrong


def check(backend: str) -> list[str]:
    """Run `check_cases` outside an event loop."""
    return asyncio.run(check_cases(backend))
