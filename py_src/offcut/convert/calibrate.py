"""Calibrate: run photos through the float graph and keep per-channel statistics of every value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np

from offcut.convert import forward
from offcut.convert.draft import Draft
from offcut.convert.statistics import ChannelStatistics, joined
from offcut.errors import ModelFormatError
from offcut.graph import Graph

__all__ = ["attach", "calibrate", "with_concats"]


def calibrate(
    draft: Draft, inputs: Iterable[np.ndarray], report: Callable[[int], None] = lambda done: None
) -> dict[str, ChannelStatistics]:
    """Return the statistics of every value with channels, over `inputs`, float32 (1, 3, h, w) each.

    The parts of a Concat are known, so the Concat itself is left out. report: called after each
    photo with how many are done. Raises ModelFormatError when there are none.
    """
    graph = draft.graph
    weights = {name: array.astype(np.float32) for name, array in draft.weights.items()}
    rows: dict[str, list[np.ndarray]] = {}
    done = 0
    for done, x in enumerate(inputs, 1):
        for name, row in _observe(graph, weights, x):
            rows.setdefault(name, []).append(row)
        report(done)
    if not done:
        raise ModelFormatError("calibration: there are no photos")
    return {name: _summary(np.stack(row)) for name, row in rows.items()}


def _observe(
    graph: Graph, weights: Mapping[str, np.ndarray], x: np.ndarray
) -> Iterable[tuple[str, np.ndarray]]:
    """Yield name and moments of each value while running the graph on one photo."""
    yield graph.inputs[0], _moments(x)
    for node, y in forward.run(graph, weights.__getitem__, x):
        if y.ndim == 4 and node.op != "Concat":
            yield node.name, _moments(y)


def _moments(x: np.ndarray) -> np.ndarray:
    """Return minimum, maximum, mean and mean square of each channel, float64 (4, c)."""
    flat = x[0].reshape(x.shape[1], -1)
    mean = flat.mean(axis=1, dtype=np.float64)
    square = np.square(flat).mean(axis=1, dtype=np.float64)
    return np.stack([flat.min(axis=1), flat.max(axis=1), mean, square])


def _summary(moments: np.ndarray) -> ChannelStatistics:
    """Return the statistics over all photos; moments: (photos, 4, c)."""
    return ChannelStatistics(
        moments[:, 0].min(axis=0),
        moments[:, 1].max(axis=0),
        moments[:, 2].mean(axis=0),
        moments[:, 3].mean(axis=0),
    )


def attach(draft: Draft, statistics: Mapping[str, ChannelStatistics]) -> Draft:
    """Return the draft with statistics. Raises ModelFormatError when they are another graph's."""
    graph = draft.graph
    made = (*graph.inputs, *(node.name for node in graph.nodes if node.op != "Concat"))
    want = {name: graph.shapes[name][1] for name in made if len(graph.shapes[name]) == 4}
    have = {name: len(row.mean) for name, row in statistics.items()}
    if want != have:
        odd = min(name for name in want.keys() | have if want.get(name) != have.get(name))
        raise ModelFormatError(
            f"statistics of {odd}: {have.get(odd)} channels, the graph has {want.get(odd)}",
            remedy="calibrate again with the photos",
        )
    return replace(draft, statistics=dict(statistics))


def with_concats(
    graph: Graph, statistics: Mapping[str, ChannelStatistics]
) -> dict[str, ChannelStatistics]:
    """Return the statistics with those of each Concat added."""
    known = dict(statistics)
    for node in graph.nodes:
        if node.op == "Concat" and node.attributes["axis"] == 1:
            if all(name in known for name in node.inputs):
                known[node.name] = joined([known[name] for name in node.inputs])
    return known
