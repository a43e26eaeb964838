"""Values kept in 8 bits while rounding: as the simd backend keeps them."""

from __future__ import annotations

import numpy as np
import pytest

from offcut.convert.activations import levels_of, rounded
from offcut.convert.statistics import ChannelStatistics
from offcut.graph import Attribute, Graph, Node

CHANNELS = 8


def network() -> Graph:
    """Return a convolution, its enlargement, and one that goes into a sum."""
    relu: dict[str, Attribute] = {"activation": "Relu"}
    nodes = (
        Node("Conv", ("x", "w", "b"), ("first",), relu),
        Node("Resize", ("first",), ("wide",), {}),
        Node("Conv", ("first", "w", "b"), ("second",), relu),
        Node("Add", ("second", "first"), ("sum",), {}),
        Node("Conv", ("sum", "w", "b"), ("few",), {}),
    )
    shapes: dict[str, tuple[int, ...]] = {
        name: (1, CHANNELS, 4, 4) for name in ("x", "first", "second", "sum")
    }
    shapes |= {"wide": (1, CHANNELS, 8, 8), "few": (1, 1, 4, 4)}
    shapes |= {"w": (CHANNELS, CHANNELS, 1, 1), "b": (CHANNELS,)}
    return Graph(nodes, ("x",), ("few", "wide"), shapes)


def seen(low: float, high: float, channels: int = CHANNELS) -> ChannelStatistics:
    row = np.ones(channels)
    return ChannelStatistics(low * row, high * row, row, row)


STATISTICS = {
    "first": seen(0.0, 255.0),
    "second": seen(0.0, 510.0),
    "sum": seen(-51.0, 204.0),
    "few": seen(-1.0, 1.0, 1),
}


def test_values_with_few_channels_and_those_on_the_way_into_a_sum_are_not_rounded() -> None:
    assert levels_of(network(), STATISTICS).keys() == {"first", "wide", "sum"}


def test_a_value_is_rounded_to_its_levels_and_ends_where_they_end() -> None:
    graph = network()
    levels = levels_of(graph, STATISTICS)
    y = np.array([-3.0, -60.0, 0.2, 100.6, 300.0], np.float32)
    made = rounded(graph.nodes[3], y, levels)
    assert made == pytest.approx([-3, -51, 0, 101, 204], abs=1e-4)


def test_an_enlarged_value_keeps_the_levels_of_what_it_enlarges_and_halves_go_up() -> None:
    graph = network()
    levels = levels_of(graph, STATISTICS)
    y = np.array([0.5, 1.5, 2.25, 2.75], np.float32)
    assert rounded(graph.nodes[1], y, levels).tolist() == [1, 2, 2, 3]
