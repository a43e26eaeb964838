"""The graph as a small JSON document, for the model file.

Values are numbered: inputs, then the nodes' outputs in order, then the weights in order of first
use. Kinds of nodes and shapes are listed once each:

    {"inputs": [name, ...], "outputs": [number, ...],
     "names": {number: name},               those that are not plain (see below)
     "kinds": [[op, attributes, how many outputs], ...],
     "nodes": [[kind, input, ...], ...],    inputs are numbers, -1 where absent
     "shapes": [[...], ...], "sizes": [per value, the number of its shape]}

The i-th output of a node, outputs of the graph not counted, is plainly called "v<i>", the i-th
weight "w<i>".
"""

from __future__ import annotations

import json
from typing import Any

from offcut.errors import ModelFormatError
from offcut.graph import Attribute, Graph, Node, Shape

__all__ = ["from_document", "shape_of", "to_document", "value_names"]


def value_names(graph: Graph) -> list[str]:
    """Return the values that are computed: inputs, then the nodes' outputs in order."""
    return [*graph.inputs, *(name for node in graph.nodes for name in node.outputs)]


def to_document(graph: Graph) -> dict[str, Any]:
    """Return the graph as plain JSON values."""
    made, weights = value_names(graph), list(graph.weight_names)
    numbers = {name: at for at, name in enumerate((*made, *weights))}
    outputs = [numbers[name] for name in graph.outputs]
    plain = _plain_names(len(graph.inputs), len(made), len(weights), outputs)
    kinds: dict[str, int] = {}
    nodes = []
    for node in graph.nodes:
        key = json.dumps([node.op, dict(node.attributes), len(node.outputs)])
        kind = kinds.setdefault(key, len(kinds))
        nodes.append([kind, *(numbers[name] if name else -1 for name in node.inputs)])
    shapes: dict[Shape, int] = {}
    sizes = [shapes.setdefault(graph.shapes[name], len(shapes)) for name in numbers]
    return {
        "inputs": list(graph.inputs),
        "outputs": outputs,
        "names": {
            str(at): name
            for name, at in numbers.items()
            if at >= len(graph.inputs) and plain[at] != name
        },
        "kinds": [json.loads(key) for key in kinds],
        "nodes": nodes,
        "shapes": [list(shape) for shape in shapes],
        "sizes": sizes,
    }


def _plain_names(inputs: int, made: int, weights: int, outputs: list[int]) -> list[str]:
    """Return the names that values have unless the document says otherwise."""
    names = [""] * inputs
    values = 0
    for at in range(inputs, made):
        names.append("" if at in outputs else f"v{values}")
        values += at not in outputs
    return names + [f"w{at}" for at in range(weights)]


def from_document(document: Any) -> Graph:
    """Return the graph. Raises ModelFormatError, or what a wrong type or index raises."""
    kinds = [_kind(row) for row in document["kinds"]]
    inputs = [_text(name) for name in document["inputs"]]
    rows = [(kinds[_number(kind, len(kinds))], operands) for kind, *operands in document["nodes"]]
    made = len(inputs) + sum(outputs for (_, _, outputs), _ in rows)
    count = len(document["sizes"])
    outputs = [_number(at, made) for at in document["outputs"]]
    names = inputs + _plain_names(len(inputs), made, count - made, outputs)[len(inputs) :]
    for at, name in document["names"].items():
        names[_number(int(at), count)] = _text(name)
    if len(names) != count or len(set(names)) != count or "" in names:
        raise ModelFormatError(f"graph: {count} sizes for {len(set(names) - {''})} names")
    nodes: list[Node] = []
    at = len(inputs)
    for (op, attributes, results), operands in rows:
        read = tuple("" if x == -1 else names[_number(x, count)] for x in operands)
        nodes.append(Node(op, read, tuple(names[at : at + results]), attributes))
        at += results
    shapes = [shape_of(shape) for shape in document["shapes"]]
    sizes = [shapes[_number(number, len(shapes))] for number in document["sizes"]]
    known = dict(zip(names, sizes, strict=True))
    graph = Graph(tuple(nodes), tuple(inputs), tuple(names[at] for at in outputs), known)
    if list(graph.weight_names) != names[made:]:
        raise ModelFormatError("graph: its weights are not in order of first use")
    return graph


def _kind(row: Any) -> tuple[str, dict[str, Attribute], int]:
    op, attributes, outputs = row
    named = {_text(key): _attribute(value) for key, value in attributes.items()}
    return _text(op), named, _number(outputs, 1000)


def _number(value: Any, below: int) -> int:
    if type(value) is not int or not 0 <= value < below:
        raise ModelFormatError(f"graph: number {value!r}, expected 0 to {below - 1}")
    return value


def _text(value: Any) -> str:
    if type(value) is not str:
        raise ModelFormatError(f"graph: {value!r}, expected a name")
    return value


def _attribute(value: Any) -> Attribute:
    if isinstance(value, list) and all(type(item) in (int, float) for item in value):
        return tuple(value)
    if type(value) in (int, float, str):
        return value
    raise ModelFormatError(f"attribute {value!r}: expected a number, a string or a list of numbers")


def shape_of(value: Any) -> Shape:
    """Return a JSON list as a shape. Raises ModelFormatError."""
    if not isinstance(value, list) or not all(type(n) is int and n >= 0 for n in value):
        raise ModelFormatError(f"shape {value!r}: expected whole numbers from 0")
    return tuple(value)
