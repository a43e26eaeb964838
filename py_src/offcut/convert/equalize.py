"""EQUALIZE: rescale channels so that activations and weights share the difficulty, exactly.

x = s x' for each channel: the producer's weights are divided by s, the consumers' multiplied. With
s = activation^a / weight^(1 - a), a = 1/2, neither side keeps channels that dwarf the others. Where
the weights' grid has a scale for each input channel (grids.py) they may: a nearer to 1 then levels
the activations.
Channels that meet in an Add share s. Source: cross-layer equalization (Nagel et al. 2019, arXiv
1906.04721) with the exponent of SmoothQuant (Xiao et al. 2022, arXiv 2211.10438).

s is rounded to four significant bits, so that the last bit of a logarithm or a square root on some
machine cannot change a weight.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from offcut.convert.channels import Families, families
from offcut.convert.draft import Draft, rebuilt
from offcut.graph import Node

__all__ = ["equalize"]

SIGNIFICANT = 16  # steps per power of two


def equalize(draft: Draft, *, strength: float = 0.5) -> Draft:
    """Divide each channel by its s. strength: the exponent a; 1 levels the activations alone."""
    graph, weights = draft.graph, dict(draft.weights)
    groups = families(graph)
    s = _factors(draft, groups, strength)
    for node in graph.nodes:
        if node.op != "Conv":
            continue
        x, w, b = node.inputs
        made = s[groups.numbers[node.name]]
        weights[w] = _by_input(node, weights[w], s[groups.numbers[x]]) / made[:, None, None, None]
        weights[b] = weights[b] / made.reshape(-1, *[1] * (weights[b].ndim - 1))
    statistics = {
        name: row.divided(s[groups.numbers[name]]) if name in groups.numbers else row
        for name, row in draft.statistics.items()
    }
    draft = rebuilt(replace(draft, statistics=statistics), graph.nodes, weights)
    changed = s[s != 1]
    span = f" by {changed.min():g} to {changed.max():g}" if changed.size else ""
    return draft.note(f"equalize: {changed.size} families of channels{span}")


def _by_input(node: Node, w: np.ndarray, s: np.ndarray) -> np.ndarray:
    """Return w (o, c/group, kh, kw) times s (c,) along the input channels."""
    group = int(node.attributes.get("group", 1))  # type: ignore[arg-type]  # an int by its op
    o, per_group = w.shape[:2]
    rows = np.repeat(s.reshape(group, per_group), o // group, axis=0)  # (o, c/group)
    return w * rows[:, :, None, None]


def _factors(draft: Draft, groups: Families, strength: float) -> np.ndarray:
    """Return s of each family, float64 (families,); 1 where nothing may or need change."""
    activation, weight = np.zeros(groups.count), np.zeros(groups.count)
    for name, row in groups.numbers.items():
        known = draft.statistics.get(name)
        if known is not None:
            largest = np.maximum(np.abs(known.minimum), np.abs(known.maximum))
            np.maximum.at(activation, row, largest)
    for node in draft.graph.nodes:
        if node.op == "Conv":
            np.maximum.at(weight, groups.numbers[node.inputs[0]], _largest(node, draft))
    usable = ~groups.fixed & (activation > 0) & (weight > 0)
    s = np.ones(groups.count)
    logarithm = strength * np.log2(activation[usable]) - (1 - strength) * np.log2(weight[usable])
    s[usable] = _few_bits(np.exp2(logarithm))
    return s


def _largest(node: Node, draft: Draft) -> np.ndarray:
    """Return the largest weight that reads each input channel, (c,)."""
    w = np.abs(draft.weights[node.inputs[1]])
    group = int(node.attributes.get("group", 1))  # type: ignore[arg-type]  # an int by its op
    o, per_group = w.shape[:2]
    return w.reshape(group, o // group, per_group, -1).max(axis=(1, 3)).reshape(-1)


def _few_bits(s: np.ndarray) -> np.ndarray:
    """Return s rounded to SIGNIFICANT steps per power of two."""
    mantissa, exponent = np.frexp(s)
    return np.ldexp(np.rint(mantissa * 2 * SIGNIFICANT) / (2 * SIGNIFICANT), exponent)
