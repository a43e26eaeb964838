"""Small models for the simd tests: one convolution, one operator, or a random network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from offcut.backends.simd import LOWERING
from offcut.backends.simd.draft import Instruction
from offcut.backends.simd.lower import lower
from offcut.backends.simd.values import quantization
from offcut.card import from_document
from offcut.container import Model
from offcut.graph import Graph, Node
from offcut.ops import OPS
from offcut.quant import float_tensor
from offcut.spans import spanned_values, spans_for

Arrays = Mapping[str, np.ndarray]


def evaluate(nodes: Sequence[Node], arrays: Arrays) -> dict[str, np.ndarray]:
    """Return every value of the nodes by their definitions; arrays: inputs and weights."""
    values = dict(arrays)
    for node in nodes:
        operands = [values[name] for name in node.inputs]
        values[node.name] = OPS[node.op](*operands, **node.attributes)
    return values


def network(
    nodes: Sequence[Node], inputs: Arrays, weights: Arrays, outputs: Sequence[str]
) -> Model:
    """Return a model whose ranges and spans are those that its values take on `inputs`."""
    values = evaluate(nodes, {**inputs, **weights})
    shapes = {name: value.shape for name, value in values.items()}
    graph = Graph(tuple(nodes), tuple(inputs), tuple(outputs), shapes)
    ranges = {
        name: (float(value.min()), float(value.max()))
        for name, value in values.items()
        if name not in weights
    }
    document = {"name": "test", "input": {"size": (1, 1)}, "output": {"name": outputs[0]}}
    model = Model(
        graph=graph,
        weights={name: float_tensor(value) for name, value in weights.items()},
        card=from_document(document, "test"),
        ranges=ranges,
        spans={
            name: spans_for(values[name].max(axis=(0, 2, 3)), ranges[name][1])
            for name in spanned_values(graph, ranges)
        },
    )
    model.check()
    return model


def one_node(op: str, inputs: Arrays, weights: Arrays, **attributes: Any) -> Model:
    """Return a model of one node with the output "y"."""
    node = Node(op, (*inputs, *weights), ("y",), attributes)
    return network([node], inputs, weights, ["y"])


def random_network(seed: int) -> tuple[Model, dict[str, np.ndarray]]:
    """Return a network like the saliency networks, with random sizes, and its input."""
    rng = np.random.default_rng(seed)
    height, width = (int(size) for size in rng.integers(9, 40, 2))
    nodes: list[Node] = []
    weights: dict[str, np.ndarray] = {}
    shapes = {"x": (1, 3, height, width)}

    def conv(source: str, name: str, o: int, activation: str = "Relu", dilation: int = 1) -> str:
        c = shapes[source][1]
        scale = np.float32(1.4 / np.sqrt(9 * c))
        weights[f"{name}.w"] = rng.standard_normal((o, c, 3, 3)).astype(np.float32) * scale
        weights[f"{name}.b"] = rng.standard_normal(o).astype(np.float32) * np.float32(0.1)
        attributes = {"pads": (dilation,) * 4, "dilations": (dilation, dilation)}
        inputs = (source, f"{name}.w", f"{name}.b")
        nodes.append(Node("Conv", inputs, (name,), attributes | {"activation": activation}))
        shapes[name] = (1, o, *shapes[source][2:])
        return name

    channels = int(rng.integers(8, 40))
    first = conv("x", "first", channels)
    pool = {"kernel_shape": (2, 2), "strides": (2, 2), "ceil_mode": 1}
    nodes.append(Node("MaxPool", (first,), ("pooled",), pool))
    shapes["pooled"] = (1, channels, -(-height // 2), -(-width // 2))
    inner = conv("pooled", "inner", int(rng.integers(8, 40)))
    wide = conv(inner, "wide", shapes[inner][1], dilation=2)
    nodes.append(Node("Add", (wide, inner), ("sum",), {}))
    shapes["sum"] = shapes[inner]
    signed = conv("sum", "signed", int(rng.integers(8, 30)), activation="")
    linear = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    size = (height, width)
    nodes.append(Node("Resize", (signed,), ("large",), linear | {"size": size}))
    shapes["large"] = (1, shapes[signed][1], *size)
    nodes.append(Node("Concat", ("large", first), ("both",), {"axis": 1}))
    shapes["both"] = (1, shapes["large"][1] + channels, *size)
    side = conv("both", "side", 1, activation="")
    other = conv("sum", "other", 1, activation="")
    nodes.append(Node("Resize", (other,), ("other.large",), linear | {"size": size}))
    nodes.append(Node("Concat", (side, "other.large"), ("maps",), {"axis": 1}))
    weights["fuse.w"] = rng.standard_normal((1, 2, 1, 1)).astype(np.float32)
    weights["fuse.b"] = rng.standard_normal(1).astype(np.float32)
    nodes.append(Node("Conv", ("maps", "fuse.w", "fuse.b"), ("fused",), {}))
    nodes.append(Node("Sigmoid", ("fused",), ("y",), {}))
    x = rng.standard_normal(shapes["x"]).astype(np.float32)
    return network(nodes, {"x": x}, weights, ["y", "sum"]), {"x": x}


def image(rng: np.random.Generator, c: int | None = None) -> np.ndarray:
    """Return random values (1, c, h, w) of random sizes."""
    c = c or int(rng.integers(8, 50))
    h, w = (int(size) for size in rng.integers(3, 40, 2))
    return rng.standard_normal((1, c, h, w)).astype(np.float32)


def steps_of(model: Model, name: str) -> tuple[float, int]:
    """Return scale and zero point of a value in u8."""
    q = quantization(*model.ranges[name])
    return q.scale, q.zero


def args_of(model: Model, kernel: str) -> dict[str, Any]:
    """Return the arguments of the kernel's only instruction; there must be one."""
    draft = lower(model, LOWERING, quantize=True)
    (step,) = (s for s in draft.steps if isinstance(s, Instruction) and s.kernel == kernel)
    return dict(step.args)
