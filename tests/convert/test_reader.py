"""The ONNX reader reads what the onnx package writes, and refuses everything else by name."""

from __future__ import annotations

import tracemalloc

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from offcut.convert import protobuf
from offcut.convert.onnx_reader import read_onnx
from offcut.convert.onnx_tensor import read_tensor
from offcut.convert.protobuf import message
from offcut.convert.trace import trace
from offcut.errors import ModelFormatError, OffcutError, UnsupportedOperatorError
from tests.convert.builder import INPUT


def read_one(tensor: TensorProto) -> np.ndarray:
    return read_tensor(message(memoryview(tensor.SerializeToString()), "t"), "t")[1]


TYPES = [
    TensorProto.FLOAT,
    TensorProto.DOUBLE,
    TensorProto.FLOAT16,
    TensorProto.BFLOAT16,
    TensorProto.INT8,
    TensorProto.UINT8,
    TensorProto.INT16,
    TensorProto.UINT16,
    TensorProto.INT32,
    TensorProto.UINT32,
    TensorProto.INT64,
    TensorProto.UINT64,
    TensorProto.BOOL,
    TensorProto.INT4,
    TensorProto.UINT4,
]


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("kind", TYPES, ids=TensorProto.DataType.Name)
def test_every_type_and_encoding_is_read(kind: int, raw: bool) -> None:
    signed = kind not in (TensorProto.UINT8, TensorProto.UINT16, TensorProto.UINT32)
    signed &= kind not in (TensorProto.UINT64, TensorProto.UINT4, TensorProto.BOOL)
    values = [-3, 5, 0, 7, -8] if signed else [1, 0, 1, 1, 0]
    tensor = helper.make_tensor("t", kind, (5,), values)
    if raw:
        array = numpy_helper.to_array(tensor)
        tensor = numpy_helper.from_array(array, "t")
    want = numpy_helper.to_array(tensor).astype(np.float64)
    assert np.array_equal(read_one(tensor).astype(np.float64), want)


def test_long_lists_of_varints_are_read_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protobuf, "PIECE", 16)
    rng = np.random.default_rng(1)
    values = rng.integers(-(1 << 62), 1 << 62, 99) >> rng.integers(0, 62, 99)
    tensor = helper.make_tensor("t", TensorProto.INT64, (99,), values)
    assert np.array_equal(read_one(tensor), values)


def graph(*nodes: onnx.NodeProto, weights: dict[str, np.ndarray] | None = None) -> bytes:
    stored = [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()]
    made = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, (1, 3, 8, 8))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        stored,
    )
    opset = helper.make_opsetid("", 17)
    return helper.make_model(made, opset_imports=[opset], ir_version=8).SerializeToString()


def converting(data: bytes) -> None:
    trace(read_onnx(data, "net.onnx"))


N = helper.make_node
RELU = N("Relu", [INPUT], ["y"])
ADD = N("Add", [INPUT, "e"], ["y"])  # a constant e to the image
QUANTIZE = N("QuantizeLinear", [INPUT, "c"], ["q"]), N("DequantizeLinear", ["q", "c"], ["y"])
BIG = np.full(4, 1 << 20)
ONE = np.ones((1, 1, 1, 1), np.float32)
ROW, COLUMN = np.ones((1, 1 << 14), np.float32), np.ones((1 << 14, 1), np.float32)
FIVE = np.ones((2, 5, 3, 3), np.float32)
HUGE = np.array([1, 1, 9e4, 9e4], np.float32)
MALFORMED = {
    "a missing value": ([N("Relu", ["nowhere"], ["y"])], {}, "nothing before it makes"),
    "a value twice": ([RELU, N("Abs", [INPUT], ["y"])], {}, "second time"),
    "other channels": ([N("Conv", [INPUT, "c"], ["y"])], {"c": FIVE}, "fit"),
    "no stride": ([N("Conv", [INPUT, "c"], ["y"], strides=[0, 0])], {"c": FIVE[:, :3]}, "fit"),
    "no permutation": ([N("Transpose", [INPUT], ["y"], perm=[0, 0, 1, 9])], {}, "fit"),
    "no such axis": ([N("Concat", [INPUT, INPUT], ["y"], axis=7)], {}, "axis 7"),
    "another size": ([N("Reshape", [INPUT, "s"], ["y"])], {"s": np.array([5, 5])}, "reshape"),
    "no broadcast": ([N("Expand", [INPUT, "s"], ["y"])], {"s": BIG}, "fit"),
    "Expand": ([N("Expand", ["c", "s"], ["e"]), ADD], {"c": ONE, "s": BIG}, "too large"),
    "ConstantOfShape": ([N("ConstantOfShape", ["s"], ["e"]), ADD], {"s": BIG}, "too large"),
    "Tile": ([N("Tile", ["c", "s"], ["e"]), ADD], {"c": ONE, "s": BIG}, "too large"),
    "Add": ([N("Add", ["c", "d"], ["e"]), ADD], {"c": ROW, "d": COLUMN}, "too large"),
    "Resize": ([N("Resize", [INPUT, "", "s"], ["y"])], {"s": HUGE}, "too large"),
    "a constant": ([N("Identity", ["c"], ["y"])], {"c": ONE}, "from the image"),
    "no such index": ([N("Gather", ["c", "i"], ["e"]), ADD], {"c": ONE, "i": BIG}, "fit"),
    "a scale below zero": (QUANTIZE, {"c": np.array(-1, np.float32)}, "scale"),
}


@pytest.mark.parametrize("what", MALFORMED)
def test_malformed_graph_is_refused(what: str) -> None:
    nodes, weights, says = MALFORMED[what]
    with pytest.raises(ModelFormatError, match=says):
        converting(graph(*nodes, weights=weights))


@pytest.mark.parametrize(
    ("data", "says"),
    [(b"", "no graph"), (b"\xff" * 11, "10 bytes"), (graph(RELU)[:-3], "bytes, . are left")],
)
def test_damaged_file_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(ModelFormatError, match=says):
        converting(data)


def doubling() -> bytes:
    """Return a graph whose constants double with every node."""
    nodes = [N("Concat", [f"c{at}", f"c{at}"], [f"c{at + 1}"], axis=0) for at in range(60)]
    return graph(*nodes, N("Add", [INPUT, "c60"], ["y"]), weights={"c0": np.ones(1024, "f4")})


def many_fields() -> bytes:
    """Return a message of very many fields of two bytes."""
    return b"\x08\x01" * (protobuf.MAX_FIELDS + 1)


@pytest.mark.parametrize("data", [doubling(), many_fields()], ids=["doubling", "fields"])
def test_a_small_file_cannot_take_much_memory(data: bytes) -> None:
    tracemalloc.start()
    with pytest.raises(ModelFormatError):
        converting(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 600 << 20


@pytest.mark.parametrize("where", ["initializer", "dims", "name"])
def test_lies_about_sizes_are_refused(where: str) -> None:
    model = onnx.load_from_string(
        graph(N("Conv", [INPUT, "w"], ["y"]), weights={"w": np.ones((1, 3, 1, 1), "f4")})
    )
    weight = model.graph.initializer[0]
    if where == "initializer":
        weight.raw_data = weight.raw_data[:-1]
    elif where == "dims":
        weight.dims[0] = 1 << 40
    else:
        weight.name = "w" * (protobuf.MAX_TEXT + 1)
    with pytest.raises(ModelFormatError):
        converting(model.SerializeToString())


@pytest.mark.parametrize("opset", [6, 99])
def test_an_opset_that_is_unknown_is_named(opset: int) -> None:
    model = onnx.load_from_string(graph(RELU))
    model.opset_import[0].version = opset
    with pytest.raises(UnsupportedOperatorError, match=f"opset is {opset}"):
        converting(model.SerializeToString())


def test_a_subgraph_is_named_as_the_operator_that_has_it() -> None:
    inner = helper.make_graph([N("Relu", [INPUT], ["z"])], "g", [], [])
    data = graph(
        N("If", ["c"], ["y"], name="/if", then_branch=inner, else_branch=inner),
        weights={"c": np.array(True)},
    )
    with pytest.raises(UnsupportedOperatorError, match="If, opset 17, at node /if"):
        converting(data)


def test_damage_anywhere_ends_in_our_errors() -> None:
    weights = {"w": np.ones((2, 3, 3, 3), "f4"), "s": np.array([1, 2, 36])}
    whole = graph(N("Conv", [INPUT, "w"], ["a"]), N("Reshape", ["a", "s"], ["y"]), weights=weights)
    rng = np.random.default_rng(7)
    for _ in range(3000):
        data = bytearray(whole)
        for at in rng.integers(0, len(whole), rng.integers(1, 4)):
            data[at] = rng.integers(0, 256)
        size = rng.integers(1, len(data) + 1) if rng.random() < 0.3 else len(data)
        try:
            converting(bytes(data[:size]))
        except OffcutError:
            pass
