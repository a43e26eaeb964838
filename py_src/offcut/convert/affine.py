"""Fold products and sums with constants per channel into the convolutions before them.

This is what BatchNormalization has become in the IR.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from offcut.convert.draft import Draft, rebuilt
from offcut.graph import Graph, Node

__all__ = ["fold_affine"]

CONVOLUTIONS = ("Conv", "ConvTranspose")


def fold_affine(draft: Draft) -> Draft:
    """Fold each product or sum into the convolution before it, also through a choice of channels.

    A convolution may only change when nothing else reads it; when its channels are split, when
    nothing else reads those.
    """
    graph = draft.graph
    state = _State(graph, dict(draft.weights), graph.users())
    for node in graph.nodes:
        affine = _affine(node, graph, state.weights)
        if affine is None or not (state.fold(node, *affine) or state.fold_part(node, *affine)):
            state.nodes[node.name] = state.made[node.name] = node
    return rebuilt(draft, state.nodes.values(), state.weights)


@dataclass(slots=True)
class _State:
    graph: Graph
    weights: dict[str, np.ndarray]
    users: Mapping[str, list[Node]]
    nodes: dict[str, Node] = field(default_factory=dict)  # by output, in order
    made: dict[str, Node] = field(default_factory=dict)  # and what was folded into others

    def fold(self, node: Node, x: str, factor: np.ndarray, shift: np.ndarray) -> bool:
        """Let the convolution that makes x make node's result instead, if it can."""
        before = self.made.get(x)
        if before is None or before.op not in CONVOLUTIONS or not self._read_once(x):
            return False
        del self.nodes[before.name]
        folded = _fold_into(before, node.name, factor, shift, self.weights)
        self.nodes[node.name] = self.made[node.name] = folded
        return True

    def fold_part(self, node: Node, x: str, factor: np.ndarray, shift: np.ndarray) -> bool:
        """Do the same where x is a range of a convolution's channels."""
        part = self.made.get(x)
        source = self.made.get(part.inputs[0]) if part is not None else None
        if part is None or source is None or source.op not in CONVOLUTIONS:
            return False
        mine = _channel_range(part)
        if mine is None or not self._read_once(x) or source.name in self.graph.outputs:
            return False
        taken = [_channel_range(user) for user in self.users[source.name]]
        if any(its is None or (its != mine and not set(mine).isdisjoint(its)) for its in taken):
            return False
        if taken.count(mine) != 1:
            return False
        channels = self.graph.shapes[source.name][1]
        factors, shifts = np.ones(channels), np.zeros(channels)
        factors[mine.start : mine.stop], shifts[mine.start : mine.stop] = factor, shift
        folded = _fold_into(source, source.name, factors, shifts, self.weights)
        self.nodes[source.name] = self.made[source.name] = folded
        del self.nodes[part.name]
        part = replace(part, outputs=node.outputs)
        self.nodes[node.name] = self.made[node.name] = part
        return True

    def _read_once(self, name: str) -> bool:
        return len(self.users[name]) == 1 and name not in self.graph.outputs


def _channel_range(node: Node) -> range | None:
    """Return the channels that a Slice takes, all other axes whole; None for any other node."""
    a = node.attributes
    if node.op != "Slice" or a["axes"] != (1,) or a["steps"] != (1,):
        return None
    return range(a["starts"][0], a["ends"][0])  # type: ignore[index,arg-type]  # tuples by its op


def _affine(
    node: Node, graph: Graph, weights: Mapping[str, np.ndarray]
) -> tuple[str, np.ndarray, np.ndarray] | None:
    """Return (value, factor, shift) if the node is value * factor + shift, each (c,) or ()."""
    if node.op not in ("Add", "Sub", "Mul", "Div") or "activation" in node.attributes:
        return None
    left, right = node.inputs
    if left in weights and node.op in ("Add", "Mul"):
        left, right = right, left
    if left in weights or right not in weights or len(graph.shapes[left]) != 4:
        return None
    constant, channels = weights[right], graph.shapes[left][1]
    padded = (1,) * (4 - constant.ndim) + constant.shape
    if padded not in ((1, 1, 1, 1), (1, channels, 1, 1)):
        return None
    per_channel = np.broadcast_to(constant.reshape(-1), (channels,))
    one, zero = np.ones(channels), np.zeros(channels)
    if node.op == "Div":
        return (left, 1 / per_channel, zero) if per_channel.all() else None
    factor = per_channel if node.op == "Mul" else one
    shift = {"Add": per_channel, "Sub": -per_channel}.get(node.op, zero)
    return left, factor, shift


def _fold_into(
    node: Node,
    output: str,
    factor: np.ndarray,
    shift: np.ndarray,
    weights: dict[str, np.ndarray],
) -> Node:
    """Return the convolution `node` with its result times factor plus shift, under a new name."""
    x, w, *b = node.inputs
    old = weights[b[0]] if b else np.zeros(len(factor))
    if node.op == "Conv":
        scaled = weights[w] * factor.reshape(-1, 1, 1, 1)
    else:  # ConvTranspose: w is (c, o/group, kh, kw), its outputs grouped along c
        group = int(node.attributes.get("group", 1))  # type: ignore[arg-type]  # an int by its op
        c, per_group = weights[w].shape[:2]
        rows = np.repeat(factor.reshape(group, per_group), c // group, axis=0)  # (c, o/group)
        scaled = weights[w] * rows[:, :, None, None]
    weights[f"{output}/w"] = scaled.astype(weights[w].dtype, copy=False)
    weights[f"{output}/b"] = old * factor + shift
    return replace(node, inputs=(x, f"{output}/w", f"{output}/b"), outputs=(output,))
