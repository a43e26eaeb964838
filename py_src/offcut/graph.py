"""The intermediate representation: a graph of ONNX operators with static shapes.

Semantics are ONNX's, values are float32 NCHW. Two extensions: on Conv and Add, `activation` names
an elementwise operator that is applied to the result; and a Conv's bias may have the shape
(o, rows, columns), one value for each run of output rows and columns that see the same kernel taps
(see ops/conv.py: that is how a constant is added to a zero-padded input exactly).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from offcut.errors import ModelFormatError

__all__ = ["Attribute", "Graph", "Node", "Shape"]

Shape = tuple[int, ...]
Attribute = int | float | str | tuple[int, ...] | tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """One operator: `inputs` and `outputs` are value names; an absent optional input is ""."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The node is known by its first output, which is unique in a graph."""
        return self.outputs[0]


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes in execution order; `shapes` knows every value, weights included.

    A value is an input, a node's output, or (any other name) a weight of the model.
    """

    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    shapes: Mapping[str, Shape]

    @property
    def weight_names(self) -> tuple[str, ...]:
        """Return the names that no node and no input produces, in order of first use."""
        made = set(self.inputs)
        for node in self.nodes:
            made.update(node.outputs)
        used = (name for node in self.nodes for name in node.inputs)
        return tuple(dict.fromkeys(name for name in used if name and name not in made))

    def last_uses(self) -> dict[str, int]:
        """Map each value to the index of the last node that reads it; outputs live on."""
        last = {name: at for at, node in enumerate(self.nodes) for name in node.inputs if name}
        return last | {name: len(self.nodes) for name in self.outputs}

    def users(self) -> dict[str, list[Node]]:
        """Map each value that is read to the nodes that read it, in order."""
        found: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in node.inputs:
                found.setdefault(name, []).append(node)
        return found

    def multiply_accumulates(self) -> int:
        """Count the multiply-accumulates of the convolutions, as a direct convolution does them."""
        total = 0
        for node in self.nodes:
            if node.op == "Conv":
                _, per_group, *kernel = self.shapes[node.inputs[1]]
                n, o, *size = self.shapes[node.outputs[0]]
                macs = n * o * per_group
                for extent in (*kernel, *size):
                    macs *= extent
                total += macs
        return total

    def check(self) -> None:
        """Raise ModelFormatError unless order, names and shapes fit together."""
        weights = set(self.weight_names)
        known = set(self.inputs) | weights
        for node in self.nodes:
            late = [name for name in node.inputs if name and name not in known]
            if late:
                raise ModelFormatError(f"{node.op} {node.name}: reads {late[0]} before it is made")
            twice = [name for name in node.outputs if name in known]
            if twice:
                raise ModelFormatError(f"{node.op} {node.name}: makes {twice[0]} a second time")
            known.update(node.outputs)
        for name in (*self.outputs, *known):
            if name not in known:
                raise ModelFormatError(f"output {name}: no node makes it")
            shape = self.shapes.get(name)
            if shape is None or any(extent < 1 for extent in shape):
                raise ModelFormatError(f"{name}: shape is {shape}, expected positive static sizes")
