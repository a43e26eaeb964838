"""Shapes are known without computing: equal to the definitions' results, strict about the rest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from offcut.errors import ModelFormatError
from offcut.graph import Node, Shape
from offcut.ops import OPS
from offcut.ops.shape_rules import SHAPES
from offcut.ops.shapes import result_shape
from tests import conformance


def shape_of(op: str, *shapes: Shape | None, **attributes: Any) -> Shape:
    names = tuple(f"v{at}" for at in range(len(shapes)))
    return result_shape(Node(op, names, ("y",), attributes), shapes)


def test_every_operator_has_a_rule() -> None:
    assert set(SHAPES) == set(OPS)


@pytest.mark.parametrize("case", conformance.cases(), ids=str)
def test_rule_agrees_with_the_definition(case: conformance.Case) -> None:
    want = OPS[case.op](*case.inputs, **case.attributes).shape
    assert shape_of(case.op, *(x.shape for x in case.inputs), **case.attributes) == want


@pytest.mark.parametrize("example", conformance.EXAMPLES, ids=lambda e: f"{e.op} {e.attributes}")
def test_rule_agrees_with_the_examples(example: conformance.Example) -> None:
    shapes = [np.shape(value) for value in example.inputs]
    want = np.shape(example.expected)
    assert shape_of(example.op, *shapes, **example.attributes) == want


IMAGE, WEIGHT = (1, 4, 8, 8), (6, 4, 3, 3)


@pytest.mark.parametrize(
    ("op", "shapes", "attributes"),
    [
        ("Nonesuch", [IMAGE], {}),
        ("Conv", [IMAGE], {}),
        ("Conv", [IMAGE, None], {}),
        ("Conv", [IMAGE, WEIGHT, (6,), (6,)], {}),
        ("Conv", [IMAGE, (6, 5, 3, 3)], {}),
        ("Conv", [IMAGE, WEIGHT, (5,)], {}),
        ("Conv", [IMAGE, WEIGHT, (6, 1, 1)], {"pads": (1, 1, 1, 1)}),
        ("Conv", [IMAGE, (6, 4, 9, 9)], {}),
        ("Conv", [IMAGE, WEIGHT], {"strides": (0, 1)}),
        ("Conv", [IMAGE, WEIGHT], {"strides": (1,)}),
        ("Conv", [IMAGE, WEIGHT], {"strides": (1.0, 1)}),
        ("Conv", [IMAGE, WEIGHT], {"pads": (-1, 0, 0, 0)}),
        ("Conv", [IMAGE, WEIGHT], {"pads": (1 << 40, 0, 0, 0)}),
        ("Conv", [IMAGE, WEIGHT], {"group": 3}),
        ("Conv", [IMAGE, WEIGHT], {"group": True}),
        ("Conv", [IMAGE, WEIGHT], {"activation": "eval"}),
        ("Conv", [IMAGE, WEIGHT], {"colour": 1}),
        ("ConvTranspose", [IMAGE, WEIGHT], {}),
        ("ConvTranspose", [IMAGE, (4, 6, 3, 3)], {"pads": (9, 9, 9, 9)}),
        ("ConvTranspose", [IMAGE, (4, 6, 3, 3)], {"strides": (1 << 30, 1 << 30)}),
        ("MaxPool", [IMAGE], {}),
        ("MaxPool", [IMAGE], {"kernel_shape": (2, 2), "pads": (2, 0, 0, 0)}),
        ("MaxPool", [IMAGE], {"kernel_shape": (1 << 40, 1), "pads": (1 << 39, 0, 0, 0)}),
        ("Resize", [IMAGE], {"size": (0, 8)}),
        ("Resize", [IMAGE], {"size": (1 << 20, 1 << 20)}),
        ("Resize", [IMAGE], {"size": (8, 8), "mode": "magic"}),
        ("Resize", [IMAGE], {"size": (8, 8), "scales": (2.0, 1.0)}),
        ("Resize", [(4, 8, 8)], {"size": (8, 8)}),
        ("Add", [IMAGE, (1, 3, 8, 8)], {}),
        ("Concat", [IMAGE, (1, 4, 8, 9)], {"axis": 1}),
        ("Concat", [IMAGE, None], {"axis": 1}),
        ("Concat", [], {"axis": 1}),
        ("Concat", [IMAGE], {"axis": 4}),
        ("Reshape", [IMAGE], {"shape": (1, 4, 8, 9)}),
        ("Reshape", [IMAGE], {"shape": (-1, -1)}),
        ("Reshape", [IMAGE], {"shape": (0, 256)}),
        ("Reshape", [IMAGE], {"shape": (1,) * 9 + (256,)}),
        ("Expand", [IMAGE], {"shape": (1, 1, 8, 8)}),
        ("Expand", [(1,)], {"shape": (1 << 30,)}),
        ("Transpose", [IMAGE], {"perm": (0, 1, 1, 2)}),
        ("Slice", [IMAGE], {"starts": (0,), "ends": (0,), "axes": (1,), "steps": (1,)}),
        ("Slice", [IMAGE], {"starts": (0,), "ends": (1,), "axes": (1,), "steps": (0,)}),
        ("Slice", [IMAGE], {"starts": (0,), "ends": (1,), "axes": (9,), "steps": (1,)}),
        ("Pad", [IMAGE], {"pads": (0, 0, 8, 0, 0, 0, 0, 0), "mode": "reflect"}),
        ("Pad", [IMAGE], {"pads": (0, 0, 1 << 40, 0, 0, 0, 0, 0)}),
        ("MatMul", [(2, 3), (4, 5)], {}),
        ("Gemm", [(2, 3), (3, 5), (4,)], {}),
        ("InstanceNormalization", [IMAGE, (4,), (3,)], {}),
        ("InstanceNormalization", [IMAGE, (4,), (4,)], {"epsilon": float("nan")}),
        ("ReduceMean", [IMAGE], {"axes": (4,)}),
        ("Softmax", [IMAGE], {"axis": 4}),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(
    op: str, shapes: list[Shape | None], attributes: dict[str, Any]
) -> None:
    with pytest.raises(ModelFormatError, match=op):
        shape_of(op, *shapes, **attributes)
