"""The graph knows its weights, lifetimes and work, and the card refuses what it cannot mean."""

from __future__ import annotations

from typing import Any

import pytest

from offcut import card
from offcut.errors import ModelFormatError
from offcut.graph import Graph, Node

SHAPES = {"x": (1, 2, 6, 5), "w": (4, 1, 3, 3), "y": (1, 4, 4, 3), "z": (1, 4, 4, 3)}
GRAPH = Graph(
    (Node("Conv", ("x", "w"), ("y",), {"group": 2}), Node("Add", ("y", "y"), ("z",))),
    ("x",),
    ("z",),
    SHAPES,
)


def test_weights_are_the_names_that_nothing_produces() -> None:
    assert GRAPH.weight_names == ("w",)


def test_outputs_outlive_every_node() -> None:
    assert GRAPH.last_uses() == {"x": 0, "w": 0, "y": 1, "z": 2}


def test_work_counts_each_product_of_a_direct_convolution_once() -> None:
    assert GRAPH.multiply_accumulates() == 4 * 4 * 3 * 1 * 3 * 3


def test_reading_a_value_before_it_is_made_is_refused() -> None:
    late = Graph(GRAPH.nodes[::-1], ("x",), ("z",), SHAPES)
    with pytest.raises(ModelFormatError, match=r"second time|before it is made"):
        late.check()


CARD: dict[str, Any] = {"name": "m", "input": {"size": [8, 9]}, "output": {"name": "y"}}


def test_a_short_card_gets_neutral_defaults() -> None:
    read = card.from_document(CARD, "m.toml")
    assert read.input == card.InputSpec((8, 9), "255", (0, 0, 0), (1, 1, 1))
    assert read.output == card.OutputSpec("y", "none", 1.0)


def test_what_a_file_stores_of_a_card_reads_back_as_the_same_card() -> None:
    read = card.from_document(CARD, "m.toml")
    again = card.from_document(read.to_metadata(), "m")
    assert (again.name, again.input, again.output) == (read.name, read.input, read.output)


@pytest.mark.parametrize(
    "change",
    [
        {"name": None, "input": 3},
        {"input": {"size": [8]}},
        {"input": {"size": [0, 8]}},
        {"input": {"size": [8, 8], "range": "128"}},
        {"input": {"size": [8, 8], "std": [1, 0, 1]}},
        {"input": {"size": [8, 8], "mean": [1]}},
        {"output": {}},
        {"output": {"name": "y", "activation": "tanh"}},
        {"default": "b", "variants": {"a": {"file": "f", "bytes": 1, "sha256": "", "scheme": ""}}},
        {"variants": {"a": {}}},
    ],
)
def test_a_card_that_cannot_be_meant_is_refused_by_name(change: dict[str, Any]) -> None:
    with pytest.raises(ModelFormatError, match=r"m\.toml"):
        card.from_document(CARD | change, "m.toml")


def test_a_card_that_is_not_toml_is_refused_by_name() -> None:
    with pytest.raises(ModelFormatError, match=r"m\.toml: not TOML"):
        card.parse("name = ", "m.toml")
