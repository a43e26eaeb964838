"""Smaller students: what pruning, splitting and refitting keep of the function."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from offcut.convert.draft import Draft
from offcut.errors import ModelFormatError
from offcut.train.moments import measure
from offcut.train.network import Network
from offcut.train.prune import prune_channels
from offcut.train.refit import refit
from offcut.train.split import coarse_kernel, split_enlarged
from tests.train import small

SAME = 2e-3  # of a map from 0 to 1: the ridge keeps what no other channel explains exactly


def output(draft: Draft, x: Tensor) -> Tensor:
    with torch.no_grad():
        return Network(draft.graph, draft.weights)(x)["alpha"]


def error(made: Draft, draft: Draft, photos: list[Tensor]) -> float:
    return float(np.mean([(output(made, x) - output(draft, x)).abs().mean() for x in photos]))


def with_dead(draft: Draft, count: int) -> Draft:
    """Return the draft with channels of `low` that no input wakes."""
    weights = {name: array.copy() for name, array in draft.weights.items()}
    weights["low.w"][:count] = 0
    weights["low.b"][:count] = -1
    return replace(draft, weights=weights)


def pruned(draft: Draft, photos: list[Tensor], part: float) -> Draft:
    moments = measure(Network(draft.graph, draft.weights), photos)
    budget = part * draft.graph.multiply_accumulates()
    return prune_channels(draft, moments, budget=budget, multiple=4)[0]


def test_dead_channels_go_first_and_nothing_changes() -> None:
    draft, photos = with_dead(small.draft(), 4), small.photos(3)
    made = pruned(draft, photos, 1.0)
    assert made.graph.shapes["low"][1] == 12
    assert error(made, draft, photos) < 1e-5


def test_a_channel_that_others_predict_is_taken_over_by_them() -> None:
    draft, photos = small.draft(), small.photos(6)
    weights = {name: array.copy() for name, array in draft.weights.items()}
    for name in ("low.w", "low.b"):  # each channel comes twice
        weights[name][8:] = weights[name][:8]
    draft = replace(draft, weights=weights)
    moments = measure(Network(draft.graph, draft.weights), photos)
    graph = draft.graph
    budget = graph.multiply_accumulates() - 8 * (16 * 9 * 16 * 16 + 16 * 9 * 32 * 32)
    made, kept = prune_channels(draft, moments, budget=budget, multiple=8)
    assert made.graph.shapes["low"][1] == 8 and len(set(kept["low"] % 8)) == 8
    assert error(made, draft, photos) < SAME


def test_a_budget_is_met_in_whole_blocks_of_channels() -> None:
    draft, photos = small.draft(), small.photos(3)
    made = pruned(draft, photos, 0.5)
    made.graph.check()
    assert made.graph.multiply_accumulates() <= 0.5 * draft.graph.multiply_accumulates()
    shapes = [made.graph.shapes[name] for name in ("first", "low", "decoded")]
    assert all(shape[1] % 4 == 0 for shape in shapes)


def test_channels_that_meet_in_an_add_go_together() -> None:
    made = pruned(small.draft(), small.photos(3), 0.5)
    assert made.graph.shapes["first"][1] == made.graph.shapes["decoded"][1]


def test_a_budget_that_cannot_be_met_is_an_error() -> None:
    with pytest.raises(ModelFormatError, match="nothing else can go"):
        pruned(small.draft(), small.photos(2), 0.001)


def test_refitting_brings_a_pruned_student_nearer() -> None:
    draft, photos = small.draft(), small.photos(12)
    moments = measure(Network(draft.graph, draft.weights), photos[:6])
    budget = 0.5 * draft.graph.multiply_accumulates()
    made, kept = prune_channels(draft, moments, budget=budget, multiple=4)
    student, teacher = (Network(d.graph, d.weights) for d in (made, draft))
    refit(student, teacher, photos[:6], kept)
    after = error(replace(made, weights=student.arrays()), draft, photos[6:])
    assert after < 0.9 * error(made, draft, photos[6:])


def test_a_split_convolution_of_a_linear_map_is_exact_inside() -> None:
    random = np.random.default_rng(0)
    w = torch.tensor(random.normal(0, 1, (2, 1, 3, 3)), dtype=torch.float32)
    y, x = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    ramp = (2 * x - 3 * y)[None, None]
    enlarge = {"scale_factor": 2.0, "mode": "bilinear", "align_corners": False}
    before = torch.nn.functional.conv2d(
        torch.nn.functional.interpolate(ramp, **enlarge), w, padding=1
    )
    coarse = torch.tensor(coarse_kernel(w.double().numpy()), dtype=torch.float32)
    after = torch.nn.functional.interpolate(
        torch.nn.functional.conv2d(ramp, coarse, padding=1), **enlarge
    )
    inside = (..., slice(4, -4), slice(4, -4))
    assert (before[inside] - after[inside]).abs().max() < 1e-4


def test_splitting_saves_products_and_keeps_smooth_maps() -> None:
    draft, photos = small.draft(), small.photos(4)
    made = split_enlarged(draft)
    saved = 16 * 16 * 9 * 32 * 32 * 3 // 4
    before, after = (d.graph.multiply_accumulates() for d in (draft, made))
    assert before - after == saved
    assert error(made, draft, photos) < 0.02  # of random weights; a trained network's is smaller


def test_a_split_that_saves_too_little_is_not_done() -> None:
    draft = small.draft()
    assert split_enlarged(draft, least=10**9).graph.nodes == draft.graph.nodes
