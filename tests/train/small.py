"""A U-shaped network with every operator that training knows, random weights from a seed."""

from __future__ import annotations

import numpy as np
import torch

from offcut.backends.reference import run_node
from offcut.convert.draft import Draft
from offcut.graph import Graph, Node

SIZE = 32
PADS = {"pads": (1, 1, 1, 1)}
RELU = {**PADS, "activation": "Relu"}


def draft(*, seed: int = 0, channels: int = 16) -> Draft:
    """Return the network: encoder, decoder, an Add, two side maps and their fusion."""
    c, random = channels, np.random.default_rng(seed)
    weights: dict[str, np.ndarray] = {}
    shapes: dict[str, tuple[int, ...]] = {"image": (1, 3, SIZE, SIZE)}
    nodes: list[Node] = []

    def conv(x: str, name: str, o: int, kernel: int = 3, **attributes: object) -> str:
        n, channels_in, h, w = shapes[x]
        shape = (o, channels_in, kernel, kernel)
        spread = (2 / np.prod(shape[1:])) ** 0.5
        weights[f"{name}.w"] = random.normal(0, spread, shape)
        weights[f"{name}.b"] = random.normal(0, 0.1, o)
        shapes[name] = (n, o, h, w)
        nodes.append(Node("Conv", (x, f"{name}.w", f"{name}.b"), (name,), attributes))
        return name

    def other(op: str, inputs: tuple[str, ...], name: str, channels: int, **a: object) -> str:
        extent = SIZE // 2 if op == "MaxPool" else SIZE
        shapes[name] = (1, channels, extent, extent)
        nodes.append(Node(op, inputs, (name,), a))
        return name

    first = conv("image", "first", c, **RELU)
    pooled = other("MaxPool", (first,), "pooled", c, kernel_shape=(2, 2), strides=(2, 2))
    low = conv(pooled, "low", c, **RELU | {"pads": (2, 2, 2, 2), "dilations": (2, 2)})
    up = other("Resize", (low,), "up", c, size=(SIZE, SIZE), mode="linear")
    joined = other("Concat", (up, first), "joined", 2 * c, axis=1)
    decoded = conv(joined, "decoded", c, **RELU)
    total = other("Add", (decoded, first), "total", c)
    side = conv(total, "side", 1, **PADS)
    coarse = conv(low, "coarse", 1, **PADS)
    large = other("Resize", (coarse,), "large", 1, size=(SIZE, SIZE), mode="linear")
    both = other("Concat", (side, large), "both", 2, axis=1)
    conv(both, "alpha", 1, kernel=1, activation="Sigmoid")
    shapes |= {name: array.shape for name, array in weights.items()}
    return Draft(Graph(tuple(nodes), ("image",), ("alpha",), shapes), weights)


def photos(count: int, *, seed: int = 1) -> list[torch.Tensor]:
    """Return smooth random inputs, (1, 3, SIZE, SIZE) each."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(count, 3, 5, 5, generator=generator)
    fine = torch.nn.functional.interpolate(coarse, (SIZE, SIZE), mode="bilinear")
    return list(fine.split(1))


def reference(made: Draft, x: np.ndarray) -> np.ndarray:
    """Return what our own operators make of x."""
    values = {name: array.astype(np.float32) for name, array in made.weights.items()}
    values[made.graph.inputs[0]] = x
    for node in made.graph.nodes:
        values[node.name] = run_node(node, [values[name] for name in node.inputs])
    return values[made.graph.outputs[0]]
