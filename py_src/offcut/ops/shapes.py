"""The shape of an operator's result, without computing it, and whether the operands fit at all.

The converter walks a graph by this, and a model file's graph is held to it before anything is
allocated. Operands and attributes are checked against the signature of the op function; what
follows for the shape stands in shape_rules.py.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Mapping, Sequence

from offcut.errors import ModelFormatError
from offcut.graph import Attribute, Graph, Node, Shape
from offcut.ops.elementwise import ACTIVATIONS
from offcut.ops.registry import OPS
from offcut.ops.shape_rules import MAX_ELEMENTS, SHAPES

__all__ = ["MAX_RANK", "check_shapes", "result_shape"]

MAX_RANK = 8
COUNTS = {"Pair": 2, "Pads": 4, "tuple[int, int]": 2}  # items of an attribute by its annotation


def check_shapes(graph: Graph) -> None:
    """Raise ModelFormatError unless every node is known, fits, and makes the shape stated."""
    for node in graph.nodes:
        got = result_shape(node, [graph.shapes[name] if name else None for name in node.inputs])
        if got != graph.shapes[node.name]:
            stated = graph.shapes[node.name]
            raise ModelFormatError(f"{node.op} {node.name}: makes {got}, the graph says {stated}")


def result_shape(node: Node, shapes: Sequence[Shape | None]) -> Shape:
    """Return the shape of what `node` makes of operands of these shapes.

    Raises ModelFormatError when the operands or attributes do not fit the operator, or when the
    result would be larger than MAX_ELEMENTS.
    """
    if node.op not in SHAPES or len(node.outputs) != 1:
        raise ModelFormatError(f"{node.op} {node.name}: no such operator with one result")
    try:
        present = _operands(node, shapes)
        _check_attributes(node)
        shape = tuple(SHAPES[node.op](present, node.attributes))
    except (ValueError, TypeError, IndexError, KeyError, OverflowError) as error:
        listed = " ".join("x".join(map(str, shape or ())) or "-" for shape in shapes)
        message = f"{node.op} {node.name}: operands {listed} and attributes do not fit: {error}"
        raise ModelFormatError(message) from error
    if len(shape) > MAX_RANK or any(extent < 1 for extent in shape):
        raise ModelFormatError(f"{node.op} {node.name}: its result would have the shape {shape}")
    if math.prod(shape) > MAX_ELEMENTS:
        raise ModelFormatError(f"{node.op} {node.name}: a result of {shape} is too large")
    return shape


@functools.cache
def _parameters(op: str) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(OPS[op]).parameters


def _operands(node: Node, shapes: Sequence[Shape | None]) -> list[Shape]:
    """Return the shapes of the operands that are there; an optional one stands at the end."""
    parameters = _parameters(node.op).values()
    slots = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    most = len(shapes) if variadic else len(slots)
    least = max(1, len(shapes)) if variadic else sum(p.default is p.empty for p in slots)
    present = [shape for shape in shapes if shape is not None]
    if not least <= len(shapes) <= most or None in shapes[: max(least, len(present))]:
        raise ValueError(f"it takes {least} to {most} operands")
    if any(len(shape) > MAX_RANK for shape in present):
        raise ValueError(f"at most {MAX_RANK} axes")
    return present


def _check_attributes(node: Node) -> None:
    """Raise ValueError for an attribute that is unknown, of another type, or absent."""
    slots = _parameters(node.op)
    named = {key: p for key, p in slots.items() if p.kind is p.KEYWORD_ONLY}
    for key, value in node.attributes.items():
        if key not in named:
            raise ValueError(f"attribute {key!r} is unknown")
        if not _is_kind(value, str(named[key].annotation)):
            raise ValueError(f"attribute {key} is {value!r}")
    absent = [
        key for key, p in named.items() if p.default is p.empty and key not in node.attributes
    ]
    if absent:
        raise ValueError(f"attribute {absent[0]!r} is missing")
    if node.attributes.get("activation", "") not in ACTIVATIONS:
        raise ValueError(f"activation is {node.attributes['activation']!r}")


def _is_kind(value: Attribute, annotation: str) -> bool:
    """Return whether an attribute is what an op function's annotation says."""
    if annotation in ("int", "str"):
        return type(value).__name__ == annotation
    if annotation == "float":
        return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]
    kinds = (int, float) if annotation == "Scales" else (int,)
    if not isinstance(value, tuple) or not all(type(item) in kinds for item in value):
        return False
    return len(value) == COUNTS.get(annotation, len(value))
