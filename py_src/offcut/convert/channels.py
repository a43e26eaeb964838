"""Which channels of a graph's values belong together: a change of one changes the others.

A repair rewrites channels exactly: x = s x' + m. What makes a channel must produce x', and what
reads it must expect x'; operators between them (pools, Resize, Concat, Add) pass the change on.
`families` numbers the channels: equal numbers must share one factor s. A family that meets
anything that cannot take the change (an output, an operator that is not listed here) is fixed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from offcut.graph import Graph, Node
from offcut.spans import FOLLOWING

__all__ = ["Families", "families", "is_plain_add", "propagate"]

PASSING = ("MaxPool", "Resize")  # per channel; commute with x -> s x + m for s > 0


@dataclass(frozen=True, slots=True)
class Families:
    """numbers: per value, the family of each channel, int (c,); fixed: bool (families,)."""

    numbers: Mapping[str, np.ndarray]
    fixed: np.ndarray

    @property
    def count(self) -> int:
        """How many families there are (numbers that were joined to others included)."""
        return len(self.fixed)

    def free(self, value: str) -> np.ndarray:
        """Return which channels of `value` may be changed, bool (c,)."""
        return ~self.fixed[self.numbers[value]]


class _Unions:
    """Families while they are being joined: a forest of numbers."""

    def __init__(self) -> None:
        self.parent: list[int] = []
        self.fixed: list[bool] = []

    def new(self, count: int, *, fixed: bool) -> np.ndarray:
        first = len(self.parent)
        self.parent.extend(range(first, first + count))
        self.fixed.extend([fixed] * count)
        return np.arange(first, first + count)

    def root(self, number: int) -> int:
        while self.parent[number] != number:
            number = self.parent[number]
        return number

    def join(self, a: int, b: int) -> None:
        a, b = sorted((self.root(a), self.root(b)))
        self.parent[b] = a
        self.fixed[a] = self.fixed[a] or self.fixed[b]

    def fix(self, numbers: np.ndarray) -> None:
        for number in numbers.tolist():
            self.fixed[self.root(number)] = True


def families(graph: Graph) -> Families:
    """Number the channels of every value with four axes."""
    unions = _Unions()
    numbers: dict[str, np.ndarray] = {}
    for name in graph.inputs:
        if len(graph.shapes[name]) == 4:
            numbers[name] = unions.new(graph.shapes[name][1], fixed=True)
    for node in graph.nodes:
        made = _through(node, numbers, unions, graph)
        if made is None:
            for name in node.inputs:
                unions.fix(numbers.get(name, np.empty(0, np.intp)))
            shape = graph.shapes[node.name]
            made = unions.new(shape[1], fixed=True) if len(shape) == 4 else None
        if made is not None:
            numbers[node.name] = made
    for name in graph.outputs:
        unions.fix(numbers.get(name, np.empty(0, np.intp)))
    roots = np.array([unions.root(at) for at in range(len(unions.parent))], np.intp)
    fixed = np.array(unions.fixed, bool)[roots] if len(roots) else np.zeros(0, bool)
    return Families({name: roots[row] for name, row in numbers.items()}, fixed)


def _through(
    node: Node, numbers: Mapping[str, np.ndarray], unions: _Unions, graph: Graph
) -> np.ndarray | None:
    """Return the families of a node's output, or None when it cannot take a change."""
    if node.op == "Conv" and node.inputs[0] in numbers:
        free = node.attributes.get("activation", "") in FOLLOWING
        return unions.new(graph.shapes[node.name][1], fixed=not free)
    if node.op in PASSING and node.inputs[0] in numbers:
        return numbers[node.inputs[0]]
    if node.op == "Concat" and node.attributes["axis"] == 1:
        if all(name in numbers for name in node.inputs):
            return np.concatenate([numbers[name] for name in node.inputs])
    if is_plain_add(node, graph) and node.attributes.get("activation", "") in FOLLOWING:
        a, b = (numbers[name] for name in node.inputs)
        for left, right in zip(a.tolist(), b.tolist(), strict=True):
            unions.join(left, right)
        return a
    return None


def is_plain_add(node: Node, graph: Graph) -> bool:
    """Return whether the node adds two computed maps of one shape."""
    if node.op != "Add" or any(name in graph.weight_names for name in node.inputs):
        return False
    a, b = (graph.shapes[name] for name in node.inputs)
    return a == b and len(a) == 4


def propagate(graph: Graph, made: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return, for every value with four axes, the constant that is missing from each channel, (c,).

    made: what was subtracted where a convolution's output is made; zero elsewhere. Pools and Resize
    pass it on, Concat joins, Add adds up.
    """
    missing: dict[str, np.ndarray] = {}
    for name in graph.inputs:
        if len(graph.shapes[name]) == 4:
            missing[name] = np.zeros(graph.shapes[name][1])
    for node in graph.nodes:
        shape = graph.shapes[node.name]
        if len(shape) != 4:
            continue
        if node.op in PASSING:
            missing[node.name] = missing[node.inputs[0]]
        elif node.op == "Concat" and node.attributes["axis"] == 1:
            missing[node.name] = np.concatenate([missing[name] for name in node.inputs])
        elif is_plain_add(node, graph):
            missing[node.name] = missing[node.inputs[0]] + missing[node.inputs[1]]
        else:
            missing[node.name] = made.get(node.name, np.zeros(shape[1]))
    return missing
