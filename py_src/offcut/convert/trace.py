"""Trace an ONNX model: walk it once with shapes, fold every node that does not depend on the image.

What is left is our IR, with static shapes. Nothing is computed but constants. Only what the wanted
outputs need is looked at; all that is unsupported there is reported in one error.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from offcut.backends.reference import run_node
from offcut.convert import (  # noqa: F401  # each fills TRANSLATIONS
    translate_elementwise,
    translate_movement,
    translate_products,
    translate_quantized,
    translate_windows,
)
from offcut.convert.draft import Draft, rebuilt
from offcut.convert.fold import FOLDS, NEEDS_SHAPE_ONLY
from offcut.convert.fold_growth import MAX_FOLDED, check_growth
from offcut.convert.onnx_reader import OnnxModel, RawNode
from offcut.convert.translate import TRANSLATIONS, Quantization, Site
from offcut.convert.unsupported import report
from offcut.errors import ModelFormatError, OffcutError, UnsupportedOperatorError
from offcut.graph import Graph, Node, Shape
from offcut.ops.shapes import result_shape

__all__ = ["image_input", "trace"]

MAX_EXTENT = 8192
BAD_OPERANDS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, MemoryError)
MAX_CONSTANTS = 1 << 30  # bytes of all that is folded
MAX_PRODUCTS = 1 << 30  # of one constant matrix product
WINDOWS = ("Conv", "ConvTranspose", "MaxPool", "AveragePool")  # not computed on constants
FLOATS = (1, 10, 11, 16)  # data types of an image
KEEP_QUANTIZATION = "Concat Flatten Identity MaxPool Reshape Slice Split Squeeze Transpose".split()
PRODUCTS = ("MatMul", "Gemm")
SPARE = ("BatchNormalization", "Dropout", "MaxPool")  # outputs after the first may go unused


def trace(
    model: OnnxModel,
    *,
    size: tuple[int, int] | None = None,
    outputs: Sequence[str] = (),
    precision: type[np.floating[Any]] = np.float64,
) -> Draft:
    """Return the IR of `model` for one image of `size` (height, width).

    size: needed where the file leaves it open. outputs: the ones to keep, all when empty.
    precision: of the weights; float32 leaves those of a float32 file where they are. Raises
    UnsupportedOperatorError, which names every node that is not supported with its operator and
    opset, or ModelFormatError when the graph contradicts itself.
    """
    name, shape = image_input(model, size)
    have = tuple(info.name for info in model.outputs)
    wanted = tuple(outputs) or have
    if not wanted or not set(wanted) <= set(have):
        odd = ", ".join(name for name in wanted if name not in have) or "none"
        raise ModelFormatError(f"output {odd}: the model's outputs are {', '.join(have) or 'none'}")
    nodes = _needed(model, wanted)
    state = _State(model, {name: shape})
    for node in nodes:
        state.step(node)
    if state.problems:
        raise report(model.opset, [*state.problems])
    for output in wanted:
        if output not in state.shapes or output in state.constants:
            raise ModelFormatError(f"output {output}: no node computes it from the image")
    graph = Graph(tuple(state.nodes), (name,), wanted, state.shapes)
    weights = {
        key: np.asarray(state.constants[key], precision)
        for key in graph.weight_names
        if key in state.constants
    }
    return rebuilt(Draft(graph, weights), graph.nodes, weights)


def image_input(model: OnnxModel, size: tuple[int, int] | None) -> tuple[str, Shape]:
    """Return the image input's name and its static shape (1, 3, h, w).

    size: (height, width), where the file leaves them open; it must agree where it does not.
    """
    if len(model.inputs) != 1:
        names = ", ".join(info.name for info in model.inputs) or "none"
        raise UnsupportedOperatorError(f"inputs are {names}; expected one, the image")
    info = model.inputs[0]
    if info.data_type not in (0, *FLOATS):
        raise UnsupportedOperatorError(f"input {info.name}: its numbers are not floats")
    if len(info.shape) != 4 or info.shape[1] not in (3, None):
        raise UnsupportedOperatorError(f"input {info.name}: shape {info.shape}, expected 1 3 h w")
    n, _, *stated = info.shape
    if size is None and None in stated:
        raise ModelFormatError(
            f"input {info.name}: the file leaves its size open",
            remedy="say it with --size HEIGHTxWIDTH",
        )
    wanted = tuple(size or stated)
    if any(said not in (None, extent) for said, extent in zip(stated, wanted, strict=True)):
        raise ModelFormatError(
            f"input {info.name}: the file fixes its size at {stated}, {list(wanted)} is asked for",
            remedy="leave the size to the file, or export it again with dynamic axes",
        )
    shape = (1, 3, *(extent or 0 for extent in wanted))
    if n not in (None, 1) or not all(1 <= extent <= MAX_EXTENT for extent in shape):
        raise ModelFormatError(f"input {info.name}: shape {(n, *shape[1:])}, expected one image")
    return info.name, shape


def _needed(model: OnnxModel, outputs: Sequence[str]) -> list[RawNode]:
    """Return the nodes that `outputs` need, in the file's order, without outputs nobody reads."""
    used, kept = set(outputs), list[RawNode]()
    for node in reversed(model.nodes):
        if not used.intersection(node.outputs):
            continue
        if node.op in SPARE and not used.intersection(node.outputs[1:]):
            node = replace(node, outputs=node.outputs[:1])
        kept.append(node)
        used.update(node.inputs)
    return kept[::-1]


@dataclass(slots=True)
class _State:
    """What is known while the nodes are walked in order: constants, shapes, nodes so far."""

    model: OnnxModel
    shapes: dict[str, Shape]
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    quantized: dict[str, Quantization] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)  # values that follow from a problem
    problems: list[UnsupportedOperatorError | RawNode] = field(default_factory=list)
    folded: int = 0  # bytes

    def __post_init__(self) -> None:
        """Know the file's weights."""
        self.constants.update(self.model.initializers)
        self.shapes.update({key: x.shape for key, x in self.constants.items()})

    def step(self, node: RawNode) -> None:
        """Fold the node, or translate it; note what is unsupported and go on."""
        self._check_names(node)
        if node.op not in TRANSLATIONS and node.op not in FOLDS:
            self.problems.append(node)
            self.unknown.update(node.outputs)
        elif not self.unknown.isdisjoint(node.inputs):
            self.unknown.update(node.outputs)
        else:
            try:
                self._fold_or_translate(node)
            except UnsupportedOperatorError as error:
                self.problems.append(error)
                self.unknown.update(node.outputs)

    def _check_names(self, node: RawNode) -> None:
        for name in filter(None, node.inputs):
            if name not in self.shapes and name not in self.unknown:
                raise ModelFormatError(f"{node}: reads {name}, which nothing before it makes")
        for name in filter(None, node.outputs):
            if name in self.shapes or name in self.unknown:
                raise ModelFormatError(f"{node}: makes {name} a second time")

    def _fold_or_translate(self, node: RawNode) -> None:
        try:
            if node.op in FOLDS and self._is_constant(node):
                self._fold(node)
            elif node.op in TRANSLATIONS:
                self._translate(node)
            else:  # one that works on constants only
                self.problems.append(node)
                self.unknown.update(node.outputs)
        except OffcutError:
            raise
        except BAD_OPERANDS as error:
            # numpy and the tables refuse operands that do not fit; the file is to blame.
            raise ModelFormatError(f"{node}: its operands do not fit: {error}") from error

    def _is_constant(self, node: RawNode) -> bool:
        if node.op in NEEDS_SHAPE_ONLY:
            return True
        return all(not name or name in self.constants for name in node.inputs)

    def _fold(self, node: RawNode) -> None:
        operands = [self._operand(name) for name in node.inputs]
        check_growth(node, operands)
        with np.errstate(all="ignore"):  # what comes of it is checked where it is used
            self._keep({node.outputs[0]: FOLDS[node.op](node, operands)})

    def _operand(self, name: str) -> np.ndarray:
        if not name:
            return np.empty(0, np.int64)
        if name in self.constants:
            return self.constants[name]
        return np.broadcast_to(np.float32(0), self.shapes[name])

    def _keep(self, constants: Mapping[str, np.ndarray]) -> None:
        self.folded += sum(array.nbytes for array in constants.values() if array.base is None)
        if self.folded > MAX_CONSTANTS:
            raise ModelFormatError(f"its constants take more than {MAX_CONSTANTS} bytes")
        self.constants.update(constants)
        self.shapes.update({name: array.shape for name, array in constants.items()})

    def _translate(self, node: RawNode) -> None:
        site = Site(node, self.model.opset, self.shapes, self.constants, self.quantized)
        nodes = TRANSLATIONS[node.op](site)
        self._keep(site.added)
        for made in nodes:
            self._add(made)
        self._pass_quantization(node)

    def _pass_quantization(self, node: RawNode) -> None:
        """Know that what only moves or chooses among integers still stands for the same reals."""
        known = [self.quantized.get(name) for name in node.inputs if name not in self.constants]
        first = known[0] if known else None
        if node.op in KEEP_QUANTIZATION and first is not None:
            if all(other is not None and first.same_as(other) for other in known):
                self.quantized.update(dict.fromkeys(node.outputs, first))

    def _add(self, node: Node) -> None:
        shape = result_shape(node, [self.shapes[name] if name else None for name in node.inputs])
        if any(name not in self.constants for name in filter(None, node.inputs)):
            self.shapes[node.name] = shape
            self.nodes.append(node)
            return
        if node.op in WINDOWS:
            raise UnsupportedOperatorError(
                f"{node.op} {node.name}: of a constant, not of the image"
            )
        inner = max(self.shapes[node.inputs[0]], default=1) if node.op in PRODUCTS else 1
        if math.prod(shape) > MAX_FOLDED or math.prod(shape) * inner > MAX_PRODUCTS:
            raise ModelFormatError(f"{node.op} {node.name}: makes a constant of {shape}: too large")
        operands = [
            np.asarray(self.constants[name], np.float32) if name else None for name in node.inputs
        ]
        with np.errstate(all="ignore"):
            self._keep({node.name: run_node(node, operands)})
