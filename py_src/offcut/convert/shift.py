"""SHIFT: take large constants out of activations, exactly.

BatchNorm folding leaves channels that hardly vary about a huge mean, such as 226 +- 0.2. The next
convolution subtracts that constant with its bias, so that a small relative error of one weight
moves the result by more than the signal. Where a channel's minimum over the calibration photos
exceeds its range, m = minimum - range / 2 is subtracted in the producer's bias, and what m
contributes is added to the consumers' biases. With zero padding that contribution differs along the
border, hence biases of shape (o, rows, columns): see ops/conv.py.

Exact as long as the channel stays above m; ReLU clamps it there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from offcut.convert.channels import families, is_plain_add, propagate
from offcut.convert.draft import Draft, rebuilt
from offcut.graph import Graph, Node
from offcut.ops.conv import border_runs

__all__ = ["constant_response", "shift"]


def shift(draft: Draft) -> Draft:
    """Subtract m from every channel that needs it, and make the consumers' biases exact."""
    graph, weights = draft.graph, dict(draft.weights)
    made = _constants(draft)
    missing = propagate(graph, made)
    for node in graph.nodes:
        if node.op != "Conv":
            continue
        x, w, b = node.inputs
        bias = weights[b]
        if missing[x].any():
            response = constant_response(node, graph, weights[w], missing[x])
            bias = _plus(bias, response)
        if node.name in made:
            bias = bias - made[node.name].reshape(-1, *[1] * (bias.ndim - 1))
        weights[b] = bias
    statistics = {
        name: row.shifted(missing[name]) if name in missing else row
        for name, row in draft.statistics.items()
    }
    draft = rebuilt(replace(draft, statistics=statistics), graph.nodes, weights)
    moved = [f"{name}:{c}" for name, m in made.items() for c in np.flatnonzero(m)]
    bordered = sum(array.ndim == 3 for array in weights.values())
    return draft.note(
        f"shift: {len(moved)} channels ({', '.join(moved)}), {bordered} biases with borders"
    )


def _constants(draft: Draft) -> dict[str, np.ndarray]:
    """Return m for the convolutions that have channels to shift, float64 (o,)."""
    graph, groups = draft.graph, families(draft.graph)
    movable = ~groups.fixed
    for node in graph.nodes:  # an Add with an activation cannot pass a constant on
        if is_plain_add(node, graph) and node.attributes.get("activation", ""):
            movable[groups.numbers[node.name]] = False
    made: dict[str, np.ndarray] = {}
    for node in graph.nodes:
        if node.op != "Conv" or node.name not in draft.statistics:
            continue
        row = draft.statistics[node.name]
        spread = row.maximum - row.minimum
        needs = (row.minimum > spread) & (spread > 0) & movable[groups.numbers[node.name]]
        if needs.any():
            made[node.name] = np.where(needs, row.minimum - spread / 2, 0.0)
    return made


def constant_response(node: Node, graph: Graph, w: np.ndarray, m: np.ndarray) -> np.ndarray:
    """Return what an input of m in every pixel adds to the convolution, as a bias.

    w: (o, c/group, kh, kw); m: (c,). The result is (o,) without padding, else (o, rows, columns)
    with one value for each run of outputs that see the same taps. Sums run in a fixed order.
    """
    o, per_group = w.shape[:2]
    group = int(node.attributes.get("group", 1))  # type: ignore[arg-type]  # an int by its op
    constant = np.repeat(m.reshape(group, per_group), o // group, axis=0)  # (o, c/group)
    taps = np.zeros((o, *w.shape[2:]))
    for c in np.flatnonzero(constant.any(axis=0)):
        taps += w[:, c] * constant[:, c, None, None]
    seen = [_taps_seen(node, graph, axis, w.shape[2 + axis]) for axis in (0, 1)]
    result = np.zeros((o, len(seen[0]), len(seen[1])))
    for i in range(w.shape[2]):
        for j in range(w.shape[3]):
            result += taps[:, i, j, None, None] * (seen[0][:, i, None] * seen[1][None, :, j])
    return result[:, 0, 0] if result.shape[1:] == (1, 1) else result


def _taps_seen(node: Node, graph: Graph, axis: int, kernel: int) -> np.ndarray:
    """Return which taps lie inside the input for each run along an axis, float64 (runs, kernel)."""
    size = graph.shapes[node.inputs[0]][2 + axis]
    stride, dilation, begin, end = _geometry(node.attributes, axis)
    runs = border_runs(size, kernel, stride, dilation, begin, end)
    first = np.searchsorted(runs, np.arange(runs[-1] + 1))  # where each run begins
    taps = first[:, None] * stride - begin + np.arange(kernel) * dilation
    return ((taps >= 0) & (taps < size)).astype(np.float64)


def _geometry(attributes: Mapping[str, object], axis: int) -> tuple[int, int, int, int]:
    """Return stride, dilation, and the padding before and after, along an axis."""
    strides, dilations = attributes.get("strides", (1, 1)), attributes.get("dilations", (1, 1))
    pads = attributes.get("pads", (0, 0, 0, 0))
    return strides[axis], dilations[axis], pads[axis], pads[2 + axis]  # type: ignore[index]


def _plus(bias: np.ndarray, response: np.ndarray) -> np.ndarray:
    """Return the sum of two biases, each (o,) or (o, rows, columns)."""
    if bias.ndim < response.ndim:
        bias = bias[:, None, None]
    elif response.ndim < bias.ndim:
        response = response[:, None, None]
    return bias + response
