"""The benchmark's operators: listed once, and the same for every peer."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from offcut.ops import OPS
from offcut_build.bench.networks import NETWORKS, all_ops
from offcut_build.bench.op import Op
from offcut_build.bench.op_model import onnx_bytes, shape_out, weights

MOST_CELLS = 200_000  # of an operator's input, so that the definitions run in a moment
TOLERANCE = 1e-5  # of the largest value: sums in another order


def test_an_operators_name_tells_it_from_every_other() -> None:
    by_name: dict[str, Op] = {}
    for ops in NETWORKS.values():
        for op in ops():
            assert by_name.setdefault(op.name, op) == op


def test_every_operator_has_a_definition() -> None:
    assert {op.op for op, _ in all_ops().values()} <= OPS.keys()


def one_of_each_kind() -> list[Op]:
    """Return the first small operator of each kind: op, kernel and attributes' names."""
    found: dict[object, Op] = {}
    for op, _ in all_ops().values():
        if sum(np.prod(shape) for shape in (*op.inputs, *op.weights)) <= MOST_CELLS:
            kernel = tuple(shape[2:] for shape in op.weights[:1])
            activation = op.attributes.get("activation")
            found.setdefault((op.op, kernel, tuple(op.attributes), activation), op)
    return list(found.values())


@pytest.mark.parametrize("op", one_of_each_kind(), ids=lambda op: op.name)
def test_the_onnx_file_computes_what_the_definition_says(op: Op) -> None:
    rng = np.random.default_rng(3)
    inputs = [rng.random(shape, np.float32) for shape in op.inputs]

    session = onnxruntime.InferenceSession(onnx_bytes(op), providers=["CPUExecutionProvider"])
    feeds = {f"x{at}": x for at, x in enumerate(inputs)} | {"trips": np.array(2)}
    (got,) = session.run(None, feeds)

    want = OPS[op.op](*inputs, *weights(op), **op.attributes)
    assert got.shape == want.shape == shape_out(op)
    assert abs(got - want).max() <= TOLERANCE * abs(want).max()
