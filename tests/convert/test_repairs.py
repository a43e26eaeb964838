"""Fuse, prune, shift and equalize: each changes the weights and not what the network computes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from offcut.convert.draft import Draft
from offcut.convert.equalize import equalize
from offcut.convert.fuse import fuse
from offcut.convert.prune import prune_dead
from offcut.convert.shift import constant_response, shift
from offcut.convert.statistics import ChannelStatistics
from offcut.graph import Node
from tests.convert.drafts import calibrated, outputs, photos, small

EXACT = 2e-5  # float32 rounding of a few layers with values of about 10
INPUTS = photos()


def with_weights(draft: Draft, **changed: np.ndarray) -> Draft:
    return replace(draft, weights={**draft.weights, **changed})


def with_a_large_constant() -> Draft:
    """Return the network with a channel of `a` at about 500, which its readers subtract again."""
    draft = small()
    wa, ba = draft.weights["wa"].copy(), draft.weights["ba"].copy()
    wa[2] *= 0.01
    ba[2] = 500
    return calibrated(with_weights(draft, wa=wa, ba=ba), INPUTS)


def with_a_dead_channel(name: str, channel: int) -> Draft:
    """Return the network with a channel of the convolution `name` that ReLU always closes."""
    draft = small()
    bias = draft.weights[f"b{name}"].copy()
    bias[channel] = -1e4
    return calibrated(with_weights(draft, **{f"b{name}": bias}), INPUTS)


def test_shift_takes_a_large_constant_out_of_a_channel() -> None:
    before = with_a_large_constant()
    after = shift(before)
    low, high = before.statistics["a"].minimum[2], before.statistics["a"].maximum[2]
    assert after.weights["ba"][2] == pytest.approx(500 - (low - (high - low) / 2))
    assert after.statistics["a"].minimum[2] == pytest.approx((high - low) / 2)
    assert np.abs(outputs(after, INPUTS) - outputs(before, INPUTS)).max() < 500 * EXACT


def test_shift_gives_a_padded_reader_a_bias_with_borders() -> None:
    after = shift(with_a_large_constant())
    assert after.weights["bb"].shape == after.weights["bc"].shape == (5, 3, 3)
    assert after.weights["bd"].shape == (1,)


def test_shift_leaves_channels_that_vary_alone() -> None:
    before = calibrated(small(), INPUTS)
    after = shift(before)
    assert all(np.array_equal(after.weights[name], before.weights[name]) for name in after.weights)


def test_a_constant_seen_through_padding_counts_the_taps_inside() -> None:
    draft = small()
    node = Node("Conv", ("a", "w", "b"), ("y",), {"pads": (1, 1, 1, 1)})
    response = constant_response(node, draft.graph, np.ones((1, 1, 3, 3)), np.array([2.0]))
    assert response.tolist() == [[[8, 12, 8], [12, 18, 12], [8, 12, 8]]]


def test_equalize_changes_nothing_that_comes_out() -> None:
    before = calibrated(small(), INPUTS)
    after = equalize(before)
    assert not np.array_equal(after.weights["wa"], before.weights["wa"])
    assert np.abs(outputs(after, INPUTS) - outputs(before, INPUTS)).max() < EXACT * 10


def test_equalize_with_full_strength_levels_the_activations() -> None:
    after = equalize(calibrated(small(), INPUTS), strength=1.0)
    largest = after.statistics["a"].maximum
    assert largest.max() / largest.min() < 1.15  # s has four significant bits


def test_equalize_gives_both_sides_of_an_add_one_factor() -> None:
    before = calibrated(small(), INPUTS)
    after = equalize(before)
    factors = [(before.weights[b] / after.weights[b]) for b in ("bb", "bc")]
    assert np.allclose(*factors)


def test_prune_removes_a_dead_channel_and_what_reads_it() -> None:
    before = with_a_dead_channel("a", 1)
    after = prune_dead(before)
    assert after.weights["wa"].shape == (5, 3, 3, 3)
    assert after.weights["wb"].shape == (5, 10, 3, 3)  # twice: resized, and as it is
    assert after.graph.shapes["joined"] == (1, 10, 12, 12)
    assert np.abs(outputs(after, INPUTS) - outputs(before, INPUTS)).max() < EXACT


def test_prune_silences_a_dead_channel_that_is_added_to_a_living_one() -> None:
    before = with_a_dead_channel("b", 3)
    after = prune_dead(before)
    assert after.weights["wb"].shape == before.weights["wb"].shape
    assert not after.weights["wb"][3].any() and after.weights["bb"][3] == 0
    assert np.abs(outputs(after, INPUTS) - outputs(before, INPUTS)).max() < EXACT


def test_prune_keeps_a_multiple_of_channels() -> None:
    after = prune_dead(with_a_dead_channel("a", 1), multiple=2)
    assert after.weights["wa"].shape[0] == 6


def test_prune_keeps_what_a_single_photo_needs() -> None:
    draft = calibrated(small(), INPUTS)
    row = draft.statistics["a"]
    tiny = ChannelStatistics(row.minimum * 0, row.maximum * 0 + 1e-30, row.mean, row.square)
    after = prune_dead(replace(draft, statistics={**draft.statistics, "a": tiny}))
    assert after.weights["wa"].shape[0] == 6


def test_fusing_a_second_time_changes_nothing() -> None:
    once = fuse(small(), ["alpha"])
    twice = fuse(once, ["alpha"])
    assert twice.graph == once.graph
    assert all(np.array_equal(twice.weights[name], once.weights[name]) for name in once.weights)


def test_fuse_folds_a_factor_and_a_shift_into_the_convolution() -> None:
    draft = small()
    nodes = list(draft.graph.nodes)
    nodes[-1] = Node("Conv", ("sum", "wd", "bd"), ("raw",))
    nodes += [Node("Mul", ("raw", "f"), ("scaled",)), Node("Add", ("scaled", "t"), ("alpha",))]
    weights = {**draft.weights, "f": np.full((1, 1, 1, 1), 3.0), "t": np.full((1, 1, 1, 1), -2.0)}
    shapes = {**draft.graph.shapes, "raw": (1, 1, 12, 12), "scaled": (1, 1, 12, 12)}
    shapes |= {"f": (1, 1, 1, 1), "t": (1, 1, 1, 1)}
    graph = replace(draft.graph, nodes=tuple(nodes), shapes=shapes)
    fused = fuse(replace(draft, graph=graph, weights=weights), ["alpha"])
    assert [node.op for node in fused.graph.nodes].count("Conv") == 4
    assert len(fused.graph.nodes) == len(draft.graph.nodes)
    wanted = outputs(draft, INPUTS) * 3 - 2
    assert np.abs(outputs(fused, INPUTS) - wanted).max() < EXACT * 10
