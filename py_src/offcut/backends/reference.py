"""The reference backend: numpy, node by node, each layer's weights decoded just before its use.

It runs everywhere and defines what is right. Convolutions that Winograd's method suits go through
ops/winograd.py, which tests hold to the definition; everything else is the definition itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from offcut.backends import Checkpoint
from offcut.container import Model
from offcut.errors import BackendError
from offcut.graph import Graph, Node
from offcut.ops import OPS, winograd

__all__ = ["ReferenceProgram", "compile", "compile_unrounded", "unavailable", "unsupported"]


def unavailable() -> str:
    """Return "": numpy is always there."""
    return ""


def unsupported(graph: Graph) -> list[str]:
    """Return one line for each node whose operator has no definition."""
    nodes = (node for node in graph.nodes if node.op not in OPS)
    return [f"{node.op} {node.name}: no such operator" for node in nodes]


async def compile(model: Model, *, threads: int | None = None) -> ReferenceProgram:
    """Make `model` ready. Raises BackendError for more than one thread: numpy has none here."""
    if threads not in (None, 1):
        raise BackendError(
            f"backend reference runs on one thread, {threads} were asked for",
            remedy="leave out the number of threads, or choose backend simd",
        )
    missing = unsupported(model.graph)
    if missing:
        raise BackendError(f"backend reference cannot run {missing[0]}")
    return ReferenceProgram(model)


async def compile_unrounded(model: Model, *, threads: int | None = None) -> ReferenceProgram | None:
    """Return None: `compile` rounds no values."""
    return None


@dataclass(slots=True)
class ReferenceProgram:
    """A model and the values' lifetimes; weights stay as they are stored."""

    model: Model
    threads: int = 1

    async def run(
        self, inputs: Mapping[str, np.ndarray], checkpoint: Checkpoint
    ) -> dict[str, np.ndarray]:
        """Return the graph's outputs. Values are dropped after their last use."""
        graph = self.model.graph
        last_uses = graph.last_uses()
        values = {name: np.asarray(inputs[name], np.float32) for name in graph.inputs}
        for at, node in enumerate(graph.nodes):
            await checkpoint(at, len(graph.nodes))
            operands = [self._operand(name, values) for name in node.inputs]
            # A value's memory is given back before the node runs, unless the node reads it last
            # of all: then `operands` alone keeps it.
            for name in node.inputs:
                if name in values and last_uses[name] == at:
                    del values[name]
            values[node.name] = run_node(node, operands)
        await checkpoint(len(graph.nodes), len(graph.nodes))
        return {name: values[name] for name in graph.outputs}

    def forget(self) -> None:
        """Nothing is left: values are Python's own."""

    def close(self) -> None:
        """Nothing to give back: memory goes with the program."""

    def _operand(self, name: str, values: Mapping[str, np.ndarray]) -> np.ndarray | None:
        if not name:
            return None
        value = values.get(name)
        return self.model.weights[name].decode() if value is None else value


def run_node(node: Node, operands: list[np.ndarray | None]) -> np.ndarray:
    """Run one node on its operands, through Winograd's method where that is exact and faster."""
    function = OPS[node.op]
    if node.op == "Conv" and winograd.suits(operands, node.attributes):
        function = winograd.conv
    result: np.ndarray = function(*operands, **node.attributes)
    return result
