"""A node's attributes with their types, which convert has checked."""

from __future__ import annotations

from offcut.graph import Node

__all__ = ["integer", "pads", "pair", "text"]


def integer(node: Node, name: str, default: int) -> int:
    """Return an integer attribute."""
    value = node.attributes.get(name, default)
    assert isinstance(value, int), (node.name, name)
    return value


def text(node: Node, name: str, default: str) -> str:
    """Return a string attribute."""
    value = node.attributes.get(name, default)
    assert isinstance(value, str), (node.name, name)
    return value


def pair(node: Node, name: str) -> tuple[int, int]:
    """Return an attribute of a value for rows and one for columns, (1, 1) when it is absent."""
    rows, columns = _integers(node, name, (1, 1))
    return rows, columns


def pads(node: Node) -> tuple[int, int, int, int]:
    """Return the padding: top, left, bottom, right."""
    top, left, bottom, right = _integers(node, "pads", (0, 0, 0, 0))
    return top, left, bottom, right


def _integers(node: Node, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
    value = node.attributes.get(name, default)
    assert isinstance(value, tuple), (node.name, name)
    return tuple(int(item) for item in value)
