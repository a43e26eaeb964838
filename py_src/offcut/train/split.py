"""Convolve what is enlarged before it is enlarged: a quarter of the products, nearly the same map.

U-Nets enlarge a map to twice its size, join it with a finer one and convolve both 3x3. The enlarged
part is smooth, so that the convolution and the enlargement can nearly change places:

    before  Conv(Concat(Resize(a), b))
    after   Add(Resize(Conv(a)), Conv(b))

A tap one fine cell away lies half a coarse cell away, so a coarse kernel takes half of each such
tap at its centre and half at its neighbour. That is exact for maps that are linear over the kernel;
elsewhere it errs, and training makes up for it. The bias stays with the convolution of b.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from offcut.convert.draft import Draft, rebuilt
from offcut.graph import Attribute, Graph, Node

__all__ = ["coarse_kernel", "split_enlarged"]

# Rows are the fine taps -1, 0, 1; columns what each gives to the coarse taps -1, 0, 1.
SHARES = np.array([[0.5, 0.5, 0.0], [0.0, 1.0, 0.0], [0.0, 0.5, 0.5]])


def split_enlarged(draft: Draft, *, least: int = 0) -> Draft:
    """Split every convolution that reads a Concat of an enlarged map and another one.

    least: multiply-accumulates that a split must save to be done. Statistics of new values are not
    known: calibrate again.
    """
    graph, weights, shapes = draft.graph, dict(draft.weights), dict(draft.graph.shapes)
    makers = {node.name: node for node in graph.nodes}
    uses = Counter(name for node in graph.nodes for name in node.inputs)
    nodes: list[Node] = []
    done = 0
    for node in graph.nodes:
        concat = makers.get(node.inputs[0])
        if concat is None or not _can_split(node, concat, makers, uses, graph):
            nodes.append(node)
            continue
        coarse = makers[concat.inputs[0]].inputs[0]
        c = graph.shapes[coarse][1]
        _, o, h, w = graph.shapes[node.name]
        if o * c * h * w * 9 * 3 // 4 < least:
            nodes.append(node)
            continue
        done += 1
        nodes += _split(node, concat, coarse, weights, shapes)
    before = graph.multiply_accumulates()
    draft = rebuilt(draft, nodes, weights, shapes=shapes)
    after = draft.graph.multiply_accumulates()
    return draft.note(
        f"split: {done} convolutions, {before / 1e9:.2f} GMAC became {after / 1e9:.2f}"
    )


def _can_split(
    node: Node, concat: Node, makers: dict[str, Node], uses: Counter[str], graph: Graph
) -> bool:
    """Return whether `node` convolves 3x3 what `concat` joins: a map at twice its size, and one."""
    if (
        node.op != "Conv"
        or concat.op != "Concat"
        or len(concat.inputs) != 2
        or len(node.inputs) < 3
    ):
        return False
    resize = makers.get(concat.inputs[0])
    if resize is None or resize.op != "Resize" or resize.attributes.get("mode") != "linear":
        return False
    half_pixel = resize.attributes.get("coordinate_transformation_mode", "half_pixel")
    before, after = graph.shapes[resize.inputs[0]], graph.shapes[resize.name]
    plain = {"strides": (1, 1), "dilations": (1, 1), "group": 1, "pads": (1, 1, 1, 1)}
    return (
        half_pixel in ("half_pixel", "pytorch_half_pixel")
        and after[2:] == (2 * before[2], 2 * before[3])
        and graph.shapes[node.inputs[1]][2:] == (3, 3)
        and all(node.attributes.get(key, value) == value for key, value in plain.items())
        and uses[concat.name] == 1
        and uses[resize.name] == 1
    )


def _split(
    node: Node,
    concat: Node,
    coarse: str,
    weights: dict[str, np.ndarray],
    shapes: dict[str, tuple[int, ...]],
) -> list[Node]:
    """Return the nodes that take the place of `node`; what they need is added to the dicts."""
    _, w, b = node.inputs
    c = shapes[coarse][1]
    out = shapes[node.name]
    low, enlarged, high = (f"{node.name}.{part}" for part in ("coarse", "enlarged", "fine"))
    w_low, w_high, b_low = f"{w}.coarse", f"{w}.fine", f"{b}.coarse"
    weights[w_low] = coarse_kernel(weights[w][:, :c])
    weights[w_high] = weights[w][:, c:]
    weights[b_low] = np.zeros(out[1])
    shapes[low] = (out[0], out[1], *shapes[coarse][2:])
    shapes[enlarged] = shapes[high] = out
    pads: dict[str, Attribute] = {"pads": (1, 1, 1, 1)}
    resize: dict[str, Attribute] = {"size": out[2:], "mode": "linear"}
    activation = {key: v for key, v in node.attributes.items() if key == "activation"}
    return [
        Node("Conv", (coarse, w_low, b_low), (low,), pads),
        Node("Resize", (low,), (enlarged,), resize),
        Node("Conv", (concat.inputs[1], w_high, b), (high,), pads),
        replace(node, op="Add", inputs=(enlarged, high), attributes=activation),
    ]


def coarse_kernel(w: np.ndarray) -> np.ndarray:
    """Return the kernel for the map before it was enlarged; w: (o, c, 3, 3), both."""
    rows = np.einsum("ocij,ik->ockj", w, SHARES)
    result: np.ndarray = np.einsum("ockj,jl->ockl", rows, SHARES)
    return result
