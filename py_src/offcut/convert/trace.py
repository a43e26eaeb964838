"""Trace an ONNX model: one run of the reference operators records every shape and folds every
node that does not depend on the image. What is left is our IR, with static shapes.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from offcut.backends.reference import run_node
from offcut.convert import translate_movement, translate_windows  # noqa: F401  # fill the table
from offcut.convert.draft import Draft, rebuilt
from offcut.convert.fold import FOLDS, NEEDS_SHAPE_ONLY
from offcut.convert.onnx_reader import OnnxModel, RawNode
from offcut.convert.translate import TRANSLATIONS, Site
from offcut.errors import ModelFormatError, OffcutError, UnsupportedOperatorError
from offcut.graph import Graph, Node, Shape

__all__ = ["trace"]

MAX_EXTENT = 8192


def trace(model: OnnxModel, *, size: tuple[int, int] | None = None) -> Draft:
    """Return the IR of `model` for one image of `size` (height, width).

    size: needed where the file leaves it open. Raises UnsupportedOperatorError, which names node,
    operator and opset, or ModelFormatError when the graph contradicts itself.
    """
    name, shape = _input(model, size)
    tracer = _Tracer(model, name, shape)
    for at, node in enumerate(model.nodes):
        tracer.step(node)
        tracer.forget(at)
    outputs = tuple(info.name for info in model.outputs)
    for output in outputs:
        if output not in tracer.shapes or output in tracer.constants:
            raise ModelFormatError(f"output {output}: no node computes it from the image")
    graph = Graph(tuple(tracer.nodes), (name,), outputs, tracer.shapes)
    weights = {
        key: np.asarray(tracer.constants[key], np.float64)
        for key in graph.weight_names
        if key in tracer.constants
    }
    return rebuilt(Draft(graph, weights), graph.nodes, weights)


def _input(model: OnnxModel, size: tuple[int, int] | None) -> tuple[str, Shape]:
    """Return the image input's name and its static shape (1, c, h, w)."""
    if len(model.inputs) != 1:
        names = ", ".join(info.name for info in model.inputs) or "none"
        raise UnsupportedOperatorError(f"inputs are {names}; expected one, the image")
    info = model.inputs[0]
    if len(info.shape) != 4:
        raise UnsupportedOperatorError(f"input {info.name}: shape {info.shape}, expected n c h w")
    n, c, *stated = info.shape
    if size is None and None in stated:
        raise ModelFormatError(
            f"input {info.name}: the file leaves its size open", remedy="state the input's size"
        )
    h, w = size or (stated[0] or 0, stated[1] or 0)
    # A batch that the file fixes at another size than one cannot be run on one image.
    shape = (n or 1, c or 3, h, w)
    if n not in (None, 1) or not all(1 <= extent <= MAX_EXTENT for extent in shape):
        raise ModelFormatError(f"input {info.name}: shape {shape}, expected one image")
    return info.name, shape


class _Tracer:
    """What is known while the nodes are run in order: constants, values, shapes, nodes so far."""

    def __init__(self, model: OnnxModel, name: str, shape: Shape) -> None:
        self.model = model
        self.values: dict[str, np.ndarray] = {name: np.zeros(shape, np.float32)}
        self.constants: dict[str, np.ndarray] = dict(model.initializers)
        self.shapes: dict[str, Shape] = {key: x.shape for key, x in self.constants.items()}
        self.shapes[name] = shape
        self.nodes: list[Node] = []
        self.last_uses = {key: at for at, node in enumerate(model.nodes) for key in node.inputs}

    def step(self, node: RawNode) -> None:
        """Fold the node, or translate and run it."""
        late = [n for n in node.inputs if n and n not in self.shapes]
        if late:
            raise ModelFormatError(f"{node}: reads {late[0]}, which nothing before it makes")
        try:
            if node.op in FOLDS and self._is_constant(node):
                self._fold(node)
            else:
                self._translate(node)
        except OffcutError:
            raise
        except (ValueError, TypeError, IndexError, KeyError, OverflowError, MemoryError) as error:
            # numpy and the tables refuse operands that do not fit; the file is to blame.
            raise ModelFormatError(f"{node}: its operands do not fit: {error}") from error

    def forget(self, at: int) -> None:
        """Drop the values that node `at` is the last to use."""
        for name in self.model.nodes[at].inputs:
            if self.last_uses[name] == at:
                self.values.pop(name, None)

    def _is_constant(self, node: RawNode) -> bool:
        if node.op in NEEDS_SHAPE_ONLY:
            return True
        return all(not name or name in self.constants for name in node.inputs)

    def _fold(self, node: RawNode) -> None:
        operands = [self._operand(name) for name in node.inputs]
        self._keep({node.outputs[0]: FOLDS[node.op](node, operands)})

    def _keep(self, constants: Mapping[str, np.ndarray]) -> None:
        self.constants.update(constants)
        self.shapes.update({name: array.shape for name, array in constants.items()})

    def _operand(self, name: str) -> np.ndarray:
        if not name:
            return np.empty(0, np.int64)
        if name in self.constants:
            return self.constants[name]
        return np.broadcast_to(np.float32(0), self.shapes[name])

    def _translate(self, node: RawNode) -> None:
        translation = TRANSLATIONS.get(node.op)
        if translation is None:
            raise UnsupportedOperatorError(
                f"{node}: operator {node.op}, opset {self.model.opset}, is not supported"
            )
        site = Site(node, self.model.opset, self.shapes, self.constants)
        nodes = translation(site)
        self._keep(site.added)
        for made in nodes:
            self._run(made)

    def _run(self, node: Node) -> None:
        operands = [
            self.values[name]
            if name in self.values
            else np.asarray(self.constants[name], np.float32)
            for name in node.inputs
        ]
        result = run_node(node, list(operands))
        if all(name in self.constants for name in node.inputs):
            self._keep({node.name: result})
            return
        self.values[node.name] = result
        self.shapes[node.name] = result.shape
        self.nodes.append(node)
