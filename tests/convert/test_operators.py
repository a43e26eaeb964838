"""Each ONNX operator, in each opset's spelling, gives what onnxruntime gives."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from offcut.convert.fold import FOLDS
from offcut.convert.translate import TRANSLATIONS
from tests.convert.builder import INPUT
from tests.convert.test_networks import converted, in_onnxruntime, run

CLOSE = 1e-5  # of the largest value: sums in another order, and positions in float32 there


@dataclass(frozen=True)
class Spelling:
    """One node: its constant inputs after the image (None: absent), attributes, opset."""

    op: str
    constants: list[Any] = field(default_factory=list)
    attributes: dict[str, Any] = field(default_factory=dict)
    opset: int = 17
    shape: tuple[int, ...] = (1, 3, 7, 10)
    positive: bool = False  # the image's values
    outputs: int = 1

    def __str__(self) -> str:
        return f"{self.op}-{self.opset} {self.attributes} {len(self.constants)}"

    @property
    def image(self) -> tuple[int, ...]:
        """The shape of an image of as many values."""
        return (1, 3, 1, int(np.prod(self.shape)) // 3)

    def model(self) -> onnx.ModelProto:
        """Return a graph of this node alone; with several outputs the last one is read."""
        # The importer takes images only; other shapes are made of one.
        names, weights = ["x"], [numpy_helper.from_array(np.array(self.shape), "shape")]
        for at, values in enumerate(self.constants):
            names.append("" if values is None else f"c{at}")
            if values is not None:
                weights.append(numpy_helper.from_array(np.asarray(values), f"c{at}"))
        made = [f"y{at}" for at in range(self.outputs)]
        node = helper.make_node(self.op, names, made, name="/node", **self.attributes)
        graph = helper.make_graph(
            [helper.make_node("Reshape", [INPUT, "shape"], ["x"]), node],
            "one",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, self.image)],
            [helper.make_tensor_value_info(made[-1], TensorProto.FLOAT, None)],
            weights,
        )
        opset = helper.make_opsetid("", self.opset)
        return helper.make_model(graph, opset_imports=[opset], ir_version=10)


def floats(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def kernel(*shape: int) -> np.ndarray:
    return np.random.default_rng(2).standard_normal(shape).astype(np.float32)


S = Spelling
SCALES = floats(1, 1, 1.7, 2.6)
SMALLER = floats(1, 1, 0.6, 0.45)
LINEAR = {"mode": "linear"}
SPELLINGS = [
    *(S(op) for op in ("Relu", "Sigmoid", "Tanh", "Softplus", "Exp", "Abs", "Neg", "HardSwish")),
    *(S(op, positive=True) for op in ("Sqrt", "Log", "Reciprocal")),
    S("Elu", [], {"alpha": 0.7}),
    S("LeakyRelu", [], {"alpha": 0.2}),
    S("HardSigmoid", [], {"alpha": 1 / 6, "beta": 0.5}),
    S("PRelu", [kernel(3, 1, 1)]),
    S("PRelu", [floats(0.1)]),
    S("Clip", [], {"min": -0.5, "max": 0.5}, 9),
    S("Clip", [floats(-0.5)[0]], {}, 11),
    S("Clip", [None, floats(0.5)[0]], {}, 13),
    S("Clip", [floats(0)[0], floats(6)[0]]),
    *(S(op, [kernel(3, 1, 1)]) for op in ("Add", "Sub", "Mul", "Div", "Max", "Min")),
    S("Pow", [floats(2)[0]]),
    S("Pow", [floats(0.5)[0]], positive=True),
    S("Pow", [floats(1.3)[0]], positive=True),
    S("Sum", [kernel(7, 10), kernel(1, 3, 1, 1)]),
    S("Softmax", [], {"axis": 1}),
    S("Softmax", [], {"axis": 3}, 11),
    S("Identity"),
    S("Dropout"),
    S("Cast", [], {"to": TensorProto.FLOAT}),
    S("Concat", [kernel(1, 3, 7, 10)], {"axis": -3}),
    S("Transpose", [], {"perm": [0, 3, 1, 2]}),
    S("Transpose"),
    S("Flatten", [], {"axis": 2}),
    S("Reshape", [ints(0, -1, 35)]),
    S("Squeeze", [], {"axes": [0]}, 11),
    S("Squeeze", [ints(0)]),
    S("Unsqueeze", [], {"axes": [0, 3]}, 11),
    S("Unsqueeze", [ints(0, -1)]),
    S("Expand", [ints(2, 1, 3, 1, 10)], shape=(1, 3, 1, 10)),
    S("DepthToSpace", [], {"blocksize": 2}, shape=(1, 8, 3, 5)),
    S("DepthToSpace", [], {"blocksize": 2, "mode": "CRD"}, shape=(1, 8, 3, 5)),
    S("SpaceToDepth", [], {"blocksize": 2}, shape=(1, 3, 6, 4)),
    S("Gather", [np.int64(-1)], {"axis": 1}),
    S("Gather", [ints(1)], {"axis": 2}),
    S("Slice", [], {"starts": [1, -3], "ends": [2, 99], "axes": [1, 3]}, 9),
    S("Slice", [ints(1, -3), ints(2, 99), ints(1, 3), ints(1, 2)]),
    S("Split", [], {"axis": 2, "split": [3, 4]}, 11, outputs=2),
    S("Split", [ints(3, 4)], {"axis": 2}, outputs=2),
    S("Split", [], {"axis": 3, "num_outputs": 3}, 18, outputs=3),
    S("Pad", [], {"pads": [0, 0, 1, 2, 0, 0, 0, 3], "value": 0.3}, 9),
    S("Pad", [ints(0, 0, 1, 2, 0, 0, 0, 3), floats(0.3)[0]]),
    S("Pad", [ints(2, 1, 0, 3), None, ints(3, 2)], {"mode": "reflect"}, 18),
    S("Pad", [ints(0, 0, 1, 2, 0, 0, 0, 3)], {"mode": "edge"}),
    S("Conv", [kernel(4, 3, 3, 3), kernel(4)], {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    S("Conv", [kernel(4, 3, 2, 2)], {"auto_pad": "SAME_LOWER"}),
    S("Conv", [kernel(6, 1, 3, 3)], {"group": 3, "pads": [2, 1, 0, 1], "dilations": [1, 2]}),
    S("ConvTranspose", [kernel(3, 4, 2, 2), kernel(4)], {"strides": [2, 2]}),
    S(
        "ConvTranspose",
        [kernel(3, 4, 3, 3)],
        {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]},
    ),
    S("ConvTranspose", [kernel(3, 2, 3, 3)], {"group": 3, "dilations": [2, 1]}),
    S("ConvTranspose", [kernel(3, 4, 3, 3)], {"strides": [2, 2], "auto_pad": "SAME_UPPER"}),
    S("ConvTranspose", [kernel(3, 4, 3, 3)], {"strides": [2, 2], "output_shape": [14, 20]}),
    S("MaxPool", [], {"kernel_shape": [3, 2], "strides": [2, 3], "ceil_mode": 1}),
    S("MaxPool", [], {"kernel_shape": [3, 3], "auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    S("AveragePool", [], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2]}),
    S("AveragePool", [], {"kernel_shape": [3, 3], "pads": [1] * 4, "count_include_pad": 1}),
    S("GlobalAveragePool"),
    S("GlobalMaxPool"),
    *(S(op, [], {"axes": [1, -1]}, 12) for op in ("ReduceMean", "ReduceSum", "ReduceMax")),
    *(S(op, [ints(2, 3)], {"keepdims": 0}, 18) for op in ("ReduceMean", "ReduceSum", "ReduceMax")),
    S("ReduceMean", [], {}, 18),
    S("BatchNormalization", [kernel(3), kernel(3), kernel(3), kernel(3) ** 2]),
    S("InstanceNormalization", [kernel(3), kernel(3)], {"epsilon": 1e-3}),
    S("InstanceNormalization", [kernel(3), kernel(3)], shape=(1, 3, 12)),
    S("MatMul", [kernel(10, 4)]),
    S("Gemm", [kernel(5, 9), kernel(5)], {"transB": 1, "alpha": 0.5, "beta": 2.0}, shape=(1, 9)),
    S("Upsample", [floats(1, 1, 2, 3)], {"mode": "nearest"}, 9),
    S("Upsample", [SCALES], LINEAR, 9),
    S("Upsample", [], {"mode": "linear", "scales": [1.0, 1.0, 2.0, 2.0]}, 7),
    S("Resize", [SCALES], LINEAR, 10),
    S("Resize", [SMALLER], LINEAR, 10),
    S("Resize", [floats(1, 1, 0.5, 0.5)], {"mode": "nearest"}, 10),
    S("Resize", [floats(), SCALES], LINEAR, 11),
    S("Resize", [floats(), floats(), ints(1, 3, 9, 4)], LINEAR, 11),
    S("Resize", [None, None, ints(5, 13)], {"mode": "linear", "axes": [2, 3]}, 18),
    S("Resize", [None, floats(1.5, 2)], {"mode": "linear", "axes": [2, 3]}, 18),
    S(
        "Resize",
        [None, SCALES],
        {"mode": "linear", "coordinate_transformation_mode": "half_pixel_symmetric"},
        19,
    ),
    *(
        S("Resize", [None, scales], {"mode": mode, "coordinate_transformation_mode": where}, 13)
        for scales in (SCALES, SMALLER)
        for mode in ("linear", "cubic")
        for where in ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")
    ),
    S("Resize", [None, SCALES], {"mode": "cubic", "cubic_coeff_a": -0.5, "exclude_outside": 1}, 13),
    S(
        "Resize",
        [None, None, ints(1, 3, 1, 4)],
        {"mode": "linear", "coordinate_transformation_mode": "pytorch_half_pixel"},
    ),
    *(
        S(
            "Resize",
            [None, None, ints(1, 3, *size)],
            {"mode": "nearest", "coordinate_transformation_mode": where, "nearest_mode": rounding},
            13,
        )
        # Sizes at which no position lies on the border between two cells in float32 only.
        for size in ((14, 30), (5, 7))
        for where in ("half_pixel", "asymmetric", "tf_half_pixel_for_nn")
        for rounding in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
    ),
]  # fmt: skip


@pytest.mark.parametrize("spelling", SPELLINGS, ids=str)
def test_operator_gives_what_onnxruntime_gives(spelling: Spelling) -> None:
    x = np.random.default_rng(5).standard_normal(spelling.image).astype(np.float32)
    x = abs(x) + 0.1 if spelling.positive else x
    model = spelling.model()

    got = run(converted(model), x)

    want = in_onnxruntime(model, x)
    assert got.shape == want.shape
    assert abs(got - want).max() <= CLOSE * abs(want).max()


def test_every_translation_is_tried_here_or_beside() -> None:
    quantized = {"QuantizeLinear", "DequantizeLinear"}  # in test_qdq.py
    assert set(TRANSLATIONS) - quantized <= {spelling.op for spelling in SPELLINGS}


def test_every_operator_is_in_the_docs() -> None:
    page = Path(__file__).parents[2] / "docs" / "models-of-your-own.md"
    listed = set(re.findall(r"`([A-Z]\w+)`", page.read_text()))
    assert set(TRANSLATIONS) | set(FOLDS) <= listed
