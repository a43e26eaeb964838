"""Remove dead channels: those that are zero in every pixel of every calibration photo.

The network trained them away: their weights are tiny and their biases negative, so that ReLU leaves
nothing. Removing them and the weights that read them changes nothing on the calibration photos, and
nothing on others as long as they stay dead there. A dead channel that is added to a living one
cannot be removed; its weights, and those that read it, become zero, which takes few bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from offcut.convert.calibrate import with_concats
from offcut.convert.channels import Families, families
from offcut.convert.draft import Draft, rebuilt
from offcut.graph import Graph

__all__ = ["prune_dead"]


def prune_dead(draft: Draft, *, multiple: int = 1) -> Draft:
    """Remove dead channels, but leave each convolution a multiple of `multiple` of them.

    multiple: kernels work on channels in blocks, so that an odd channel fewer gains them nothing.
    """
    graph, weights = draft.graph, dict(draft.weights)
    groups = families(graph)
    dead = _dead_families(draft, groups)
    dead = _rounded_up(graph, groups, dead, multiple)
    keep = {name: ~dead[row] for name, row in groups.numbers.items()}
    statistics = {
        name: row.chosen(keep[name]) if name in keep else row
        for name, row in draft.statistics.items()
    }
    for node in graph.nodes:
        if node.op == "Conv":
            x, w, b = node.inputs
            grouped = node.attributes.get("group", 1) != 1
            reads = np.ones(weights[w].shape[1], bool) if grouped else keep[x]
            weights[w] = weights[w][keep[node.name]][:, reads]
            weights[b] = weights[b][keep[node.name]]
    shapes = {
        name: (shape[0], int(keep[name].sum()), *shape[2:]) if name in keep else shape
        for name, shape in graph.shapes.items()
    }
    before = graph.multiply_accumulates()
    weights |= _silenced(replace(draft, weights=weights), keep)
    draft = rebuilt(replace(draft, statistics=statistics), graph.nodes, weights, shapes=shapes)
    after = draft.graph.multiply_accumulates()
    removed = sum(int((~keep[n.name]).sum()) for n in graph.nodes if n.op == "Conv")
    return draft.note(
        f"prune: {removed} dead channels removed, {before / 1e9:.2f} GMAC became {after / 1e9:.2f}"
    )


def _silenced(draft: Draft, keep: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the weights, of which `keep` is left, with zeros for channels that are dead."""
    statistics = with_concats(draft.graph, draft.statistics)
    alive = {name: (row.maximum > 0) | (row.minimum < 0) for name, row in statistics.items()}
    weights: dict[str, np.ndarray] = {}
    for node in draft.graph.nodes:
        if node.op != "Conv" or node.attributes.get("group", 1) != 1:
            continue
        x, w, b = node.inputs
        weights[w], weights[b] = draft.weights[w], draft.weights[b]
        if node.name in alive:
            made = alive[node.name][keep[node.name]]
            weights[w] = weights[w] * made[:, None, None, None]
            weights[b] = weights[b] * made.reshape(-1, *[1] * (weights[b].ndim - 1))
        if x in alive:
            weights[w] = weights[w] * alive[x][keep[x]][:, None, None]
    return weights


def _dead_families(draft: Draft, groups: Families) -> np.ndarray:
    """Return which families are zero in all of their values, bool (families,)."""
    graph = draft.graph
    dead = ~groups.fixed
    for name, row in groups.numbers.items():
        known = draft.statistics.get(name)
        if known is not None:
            alive = (known.maximum > 0) | (known.minimum < 0)
            dead[row[alive]] = False
    for node in graph.nodes:
        if node.op == "Conv" and node.attributes.get("group", 1) != 1:
            # A grouped convolution pairs its inputs with its outputs by position.
            dead[groups.numbers[node.inputs[0]]] = False
            dead[groups.numbers[node.name]] = False
    return dead


def _rounded_up(graph: Graph, groups: Families, dead: np.ndarray, multiple: int) -> np.ndarray:
    """Return `dead` with some revived, until every convolution keeps a multiple of channels."""
    dead = dead.copy()
    while True:
        before = int(dead.sum())
        for node in graph.nodes:
            if node.op == "Conv":
                row = groups.numbers[node.name]
                alive = int((~dead[row]).sum())
                wanted = min(max(-(-alive // multiple), 1) * multiple, len(row))
                dead[row[dead[row]][: wanted - alive]] = False
        if int(dead.sum()) == before:  # reviving a family can disturb another convolution
            return dead
