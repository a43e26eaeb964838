"""Spans: how much of a value's range each channel takes."""

from __future__ import annotations

import numpy as np
import pytest

from offcut.graph import Attribute, Graph, Node
from offcut.spans import MOST_SPAN, portions_of, spanned_values, spans_for

RELU: dict[str, Attribute] = {"activation": "Relu"}


def test_portions_fall_and_are_exact_in_float32() -> None:
    portions = portions_of(np.arange(MOST_SPAN + 1))
    assert portions[[0, 1, 15, 16, 17, MOST_SPAN]].tolist() == [
        1,
        31 / 32,
        17 / 32,
        1 / 2,
        31 / 64,
        1 / 64,
    ]
    assert (np.diff(portions) < 0).all()
    assert (portions.astype(np.float32) == portions).all()


def test_a_channel_takes_the_least_portion_that_leaves_it_room() -> None:
    largest = np.random.default_rng(0).uniform(0, 8, 200)
    spans = spans_for(largest, 8.0)
    wanted = 1.25 * largest / 8
    fits = portions_of(spans) >= wanted
    assert (fits | (spans == 0)).all()
    assert (portions_of(spans[spans < MOST_SPAN] + 1) < wanted[spans < MOST_SPAN]).all()


@pytest.mark.parametrize("high", [0.0, 1.0])
def test_a_channel_that_is_never_anything_but_zero_takes_the_least_portion(high: float) -> None:
    assert spans_for(np.zeros(2), high).tolist() == [MOST_SPAN] * 2


def test_results_that_start_at_zero_have_spans_but_for_what_only_an_add_reads() -> None:
    nodes = (
        Node("Conv", ("x", "w"), ("kept",), RELU),
        Node("Conv", ("kept", "w"), ("signed",)),
        Node("Conv", ("kept", "w"), ("clipped",), {"activation": "Relu6"}),
        Node("Conv", ("clipped", "w"), ("added",), RELU),
        Node("Add", ("added", "kept"), ("sum",)),
        Node("MaxPool", ("sum",), ("pooled",)),
    )
    names = ("x", "w", *(node.name for node in nodes))
    graph = Graph(nodes, ("x",), ("pooled",), {name: (1, 1, 1, 1) for name in names})
    ranges = {name: (-1.0 if name == "signed" else 0.0, 1.0) for name in names}
    assert spanned_values(graph, ranges) == ["kept", "sum"]
    del ranges["sum"]
    assert spanned_values(graph, ranges) == ["kept"]
