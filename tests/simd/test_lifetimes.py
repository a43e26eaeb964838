"""An elementwise operator writes over an operand that nothing reads any more, and over no other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from offcut.backends.simd import LOWERING
from offcut.backends.simd.lifetimes import lifetimes
from offcut.backends.simd.lower import lower
from offcut.graph import Node
from tests.simd.machines import Machine, run
from tests.simd.networks import evaluate, network

SHAPE = (1, 3, 5, 7)
RELU = {"activation": "Relu"}


def shared(native: Machine, nodes: Sequence[Node], **shapes: tuple[int, ...]) -> int:
    """Run a network in floats up to its last node; return how many values lie in others' places."""
    rng = np.random.default_rng(0)
    inputs = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    outputs = [nodes[-1].name]
    model = network(nodes, inputs, {}, outputs)
    got = run(native, model, inputs, quantize=False)
    want = evaluate(nodes, inputs)
    assert np.abs(got[outputs[0]] - want[outputs[0]]).max() < 1e-6
    _, owners = lifetimes(lower(model, LOWERING, quantize=False))
    return sum(owner != number for number, owner in enumerate(owners))


def node(op: str, inputs: str, name: str, **attributes: Any) -> Node:
    return Node(op, tuple(inputs.split()), (name,), attributes)


def test_a_chain_lies_in_one_place(native: Machine) -> None:
    nodes = [node("Relu", "x", "a"), node("Sigmoid", "a", "b"), node("Mul", "b b", "c")]
    assert shared(native, nodes, x=SHAPE) == 3


def test_an_operand_that_is_read_later_stays(native: Machine) -> None:
    nodes = [node("Relu", "x", "a"), node("Add", "a x", "b"), node("Mul", "b x", "c")]
    assert shared(native, nodes, x=SHAPE) == 2  # b in a, c in b: x is read to the end


def test_either_operand_will_do(native: Machine) -> None:
    nodes = [node("Sub", "x y", "a"), node("Sub", "x a", "b"), node("Mul", "x b", "c")]
    assert shared(native, nodes, x=SHAPE, y=SHAPE) == 3


@pytest.mark.parametrize("small", [(1, 3, 1, 1), (1, 1, 5, 7), (1, 3, 5, 1), (1, 3, 1, 7)])
def test_what_is_broadcast_is_not_written_over(native: Machine, small: tuple[int, ...]) -> None:
    nodes = [node("Relu", "x", "a"), node("Sub", "y a", "b")]
    assert shared(native, nodes, x=small, y=SHAPE) == 2  # a in x, b in y


def test_a_channel_that_stands_for_all_is_not_written_over(native: Machine) -> None:
    nodes = [
        node("Slice", "x", "first", axes=(1,), starts=(0,), ends=(1,), steps=(1,)),
        node("Sub", "x first", "a"),
    ]
    assert shared(native, nodes, x=SHAPE) == 0


def test_channels_of_another_order_are_not_written_over(native: Machine) -> None:
    nodes = [
        node("Slice", "x", "first", axes=(1,), starts=(0,), ends=(2,), steps=(1,)),
        node("Slice", "x", "last", axes=(1,), starts=(2,), ends=(4,), steps=(1,)),
        node("Concat", "last first", "turned", axis=1),
        node("Sub", "x turned", "a"),
    ]
    assert shared(native, nodes, x=(1, 4, 5, 7)) == 0


def test_what_a_caller_gets_is_not_written_over(native: Machine) -> None:
    rng = np.random.default_rng(0)
    x = {"x": rng.standard_normal(SHAPE).astype(np.float32)}
    nodes = [node("Relu", "x", "a"), node("Sub", "a a", "b")]
    got = run(native, network(nodes, x, {}, ["a", "b"]), x, quantize=False)
    assert np.array_equal(got["a"], np.maximum(x["x"], 0))
    assert not got["b"].any()
