"""Read an ONNX file without the onnx package: ModelProto as plain dataclasses.

Only what inference needs is read: nodes, initializers, inputs, outputs and the opset. Field numbers
are those of onnx/onnx.proto. Sparse tensors and model-local functions are refused by name; weights
in another file are read where the caller allows it. What a node needs that nobody supports, such as
a subgraph, is kept as a mark, so that `trace` can name all such nodes at once. Sizes are checked
against the file before anything is allocated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from offcut.convert.onnx_tensor import Beside, none_beside, read_tensor
from offcut.convert.protobuf import (
    MAX_NUMBERS,
    Fields,
    Value,
    fixed,
    message,
    numbers,
    one_message,
    one_number,
    one_text,
    text,
)
from offcut.errors import ModelFormatError, UnsupportedOperatorError

__all__ = ["SUBGRAPH", "OnnxModel", "RawNode", "ValueInfo", "read_onnx"]

MAX_NODES = 50_000
MAX_BYTES = (1 << 31) - 1  # protobuf's own limit
SUBGRAPH = "(a subgraph)"  # stands for an attribute that holds one
# Operators that ONNX Runtime's quantizer takes from its own domain, with ONNX's meaning.
TAKEN = {("com.microsoft", "QuantizeLinear"), ("com.microsoft", "DequantizeLinear")}
OLDEST_OPSET, NEWEST_OPSET = 7, 23

MODEL_GRAPH, MODEL_OPSETS, MODEL_FUNCTIONS = 7, 8, 25
GRAPH_NODES, GRAPH_INITIALIZERS, GRAPH_INPUTS, GRAPH_OUTPUTS, GRAPH_SPARSE = 1, 5, 11, 12, 15
NODE_INPUTS, NODE_OUTPUTS, NODE_NAME, NODE_OP, NODE_ATTRIBUTES, NODE_DOMAIN = 1, 2, 3, 4, 5, 7


@dataclass(frozen=True, slots=True)
class RawNode:
    """A node as the file has it; attribute values are int, float, str, arrays or lists of them.

    op: with its domain in front, "com.microsoft:FusedConv", unless that is ONNX's own.
    """

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    def __str__(self) -> str:
        return f"node {self.name or self.outputs[0]} ({self.op})"


@dataclass(frozen=True, slots=True)
class ValueInfo:
    """A graph input or output; a size that the file leaves open is None."""

    name: str
    data_type: int
    shape: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class OnnxModel:
    """The parts of a ModelProto that inference needs; `inputs` leaves initializers out."""

    opset: int
    nodes: tuple[RawNode, ...]
    initializers: Mapping[str, np.ndarray]
    inputs: tuple[ValueInfo, ...]
    outputs: tuple[ValueInfo, ...]


def read_onnx(data: bytes | memoryview, where: str, beside: Beside = none_beside) -> OnnxModel:
    """Read an ONNX file; `where` names it in errors. Weights are views into `data`.

    beside: reads a file beside the model, for weights that lie there. Raises ModelFormatError when
    it is damaged, UnsupportedOperatorError for what cannot be read.
    """
    if len(data) > MAX_BYTES:
        raise ModelFormatError(f"{where}: {len(data)} bytes, an ONNX file has at most {MAX_BYTES}")
    model = message(memoryview(data).cast("B"), where)
    graph = one_message(model, MODEL_GRAPH, where)
    if not graph.get(GRAPH_NODES):
        raise ModelFormatError(
            f"{where}: holds no graph: not an ONNX model, or cut", remedy="download it again"
        )
    if MODEL_FUNCTIONS in model or GRAPH_SPARSE in graph:
        kind = "functions of its own" if MODEL_FUNCTIONS in model else "sparse tensors"
        raise UnsupportedOperatorError(f"{where}: has {kind}, which are not supported")
    if len(graph[GRAPH_NODES]) > MAX_NODES:
        raise ModelFormatError(f"{where}: {len(graph[GRAPH_NODES])} nodes, at most {MAX_NODES}")
    stored = graph.get(GRAPH_INITIALIZERS, [])
    initializers = dict(read_tensor(message(t, where), where, beside) for t in stored)
    inputs = [_value_info(value, where) for value in graph.get(GRAPH_INPUTS, [])]
    return OnnxModel(
        opset=_opset(model, where),
        nodes=tuple(_node(value, where) for value in graph[GRAPH_NODES]),
        initializers=initializers,
        inputs=tuple(info for info in inputs if info.name not in initializers),
        outputs=tuple(_value_info(value, where) for value in graph.get(GRAPH_OUTPUTS, [])),
    )


def _opset(model: Fields, where: str) -> int:
    """Return the version of ONNX's own operators."""
    versions: dict[str, int] = {}
    for value in model.get(MODEL_OPSETS, []):
        entry = message(value, where)
        versions[one_text(entry, 1, where)] = one_number(entry, 2, where)
    opset = versions.get("", versions.get("ai.onnx", 0))
    if not OLDEST_OPSET <= opset <= NEWEST_OPSET:
        raise UnsupportedOperatorError(
            f"{where}: opset is {opset}, known are {OLDEST_OPSET} to {NEWEST_OPSET}",
            remedy="convert it with onnx.version_converter, or export it again",
        )
    return opset


def _node(value: Value, where: str) -> RawNode:
    fields = message(value, where)
    inputs = tuple(text(name, where) for name in fields.get(NODE_INPUTS, []))
    outputs = tuple(text(name, where) for name in fields.get(NODE_OUTPUTS, []))
    name, op = one_text(fields, NODE_NAME, where), one_text(fields, NODE_OP, where)
    if not outputs:
        raise ModelFormatError(f"{where}: node {name or op} has no output")
    node = f"{where}: node {name or outputs[0]}"
    domain = one_text(fields, NODE_DOMAIN, node)
    if domain not in ("", "ai.onnx") and (domain, op) not in TAKEN:
        op = f"{domain}:{op}"
    attributes = dict(_attribute(entry, node) for entry in fields.get(NODE_ATTRIBUTES, []))
    return RawNode(op, name, inputs, outputs, attributes)


def _attribute(value: Value, where: str) -> tuple[str, Any]:
    """Return an attribute's name and value. Its type is told by its number (AttributeProto.20)."""
    fields = message(value, where)
    name = one_text(fields, 1, where)
    where = f"{where}: attribute {name}"
    kind = one_number(fields, 20, where) or _guess_kind(fields)
    if kind == 1:
        stored = fixed(fields.get(2, [])[-1:], "<f4", where)
        return name, float(stored[0]) if stored.size else 0.0
    if kind == 2:
        return name, one_number(fields, 3, where)
    if kind == 3:
        return name, one_text(fields, 4, where)
    if kind == 4:
        return name, read_tensor(one_message(fields, 5, where), where)[1]
    if kind == 6:
        listed = fixed(fields.get(7, []), "<f4", where)
        if listed.size > MAX_NUMBERS:
            raise ModelFormatError(f"{where}: a list of more than {MAX_NUMBERS} numbers")
        return name, tuple(listed.tolist())
    if kind == 7:
        return name, tuple(numbers(fields.get(8, []), where))
    if kind == 8:
        return name, tuple(text(entry, where) for entry in fields.get(9, []))
    if kind in (5, 9, 10, 11, 12, 13, 14):
        return name, SUBGRAPH
    raise ModelFormatError(f"{where}: type {kind} is unknown")


def _guess_kind(fields: Fields) -> int:
    """Return the type of an attribute that does not state it, as files before IR version 3."""
    for number, kind in ((2, 1), (3, 2), (4, 3), (5, 4), (7, 6), (8, 7), (9, 8)):
        if number in fields:
            return kind
    return 0


def _value_info(value: Value, where: str) -> ValueInfo:
    fields = message(value, where)
    name = one_text(fields, 1, where)
    where = f"{where}: value {name}"
    tensor = one_message(one_message(fields, 2, where), 1, where)
    shape: list[int | None] = []
    for entry in one_message(tensor, 2, where).get(1, []):
        extent = one_number(message(entry, where), 1, where)
        shape.append(extent if extent > 0 else None)
    return ValueInfo(name, one_number(tensor, 1, where), tuple(shape))
