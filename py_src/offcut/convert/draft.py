"""A model in the making: what every step of the conversion takes and returns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from offcut.convert.grids import Grid
from offcut.convert.statistics import ChannelStatistics
from offcut.graph import Graph, Node, Shape
from offcut.quant import QuantizedTensor

__all__ = ["Draft", "rebuilt"]


@dataclass(frozen=True, slots=True)
class Draft:
    """A graph with float64 weights, so that no step's rounding hides in the next one's.

    A model that is imported and not quantized gets by with float32: `trace` says which.

    statistics: per value, over the calibration photos; kept true by every step that changes a
    value. photos: those photos as network inputs (1, 3, h, w), when they are at hand. grids: what
    weights will be rounded to, a grid or the name of a scheme of floats; rounded: the weights as
    they will be stored, once a rounding step has run, which keeps all weights from before as exact.
    decided: the weights of a file that was made before, for steps that need photos when there are
    none at hand. sensitivity: of each weight's rows, (o,), where steps are to follow it; it is that
    of the graph as it is when grids are chosen. spans: of values, as they will be stored.
    """

    graph: Graph
    weights: Mapping[str, np.ndarray]
    statistics: Mapping[str, ChannelStatistics] = field(default_factory=dict)
    photos: Sequence[np.ndarray] = ()
    decided: Mapping[str, QuantizedTensor] = field(default_factory=dict)
    sensitivity: Mapping[str, np.ndarray] = field(default_factory=dict)
    grids: Mapping[str, Grid | str] = field(default_factory=dict)
    rounded: Mapping[str, QuantizedTensor] = field(default_factory=dict)
    exact: Mapping[str, np.ndarray] = field(default_factory=dict)
    spans: Mapping[str, np.ndarray] = field(default_factory=dict)
    record: tuple[str, ...] = ()  # what each step did, for people

    def note(self, line: str) -> Draft:
        """Return the draft with a line added to its record."""
        return replace(self, record=(*self.record, line))


def rebuilt(
    draft: Draft,
    nodes: Iterable[Node],
    weights: Mapping[str, np.ndarray],
    *,
    shapes: Mapping[str, Shape] | None = None,
) -> Draft:
    """Return the draft with other nodes and weights: unused nodes, weights and shapes fall away.

    shapes: of the values; those of the weights are the arrays' own.
    """
    graph = draft.graph
    used, kept = set(graph.outputs), []
    for node in reversed(tuple(nodes)):
        if used.intersection(node.outputs):
            kept.append(node)
            used.update(node.inputs)
    known = graph.shapes if shapes is None else shapes
    values = (*graph.inputs, *(name for node in kept[::-1] for name in node.outputs))
    left = {name: array for name, array in weights.items() if name in used}
    sizes = {name: known[name] for name in values}
    sizes |= {name: array.shape for name, array in left.items()}
    statistics = {name: row for name, row in draft.statistics.items() if name in sizes}
    return replace(
        draft,
        graph=replace(graph, nodes=tuple(kept[::-1]), shapes=sizes),
        weights=left,
        statistics=statistics,
    )
