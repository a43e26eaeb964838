"""The graph as a PyTorch module: it computes what our own operators define."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from offcut.convert.calibrate import attach, calibrate, with_concats
from offcut.convert.draft import Draft
from offcut.convert.shift import shift
from offcut.errors import UnsupportedOperatorError
from offcut.graph import Node
from offcut.train.network import Network, draft_of
from tests.train import small

EQUAL = 1e-5  # float32 sums in another order


def test_a_graph_computes_the_same_in_torch_and_by_our_operators() -> None:
    draft, x = small.draft(), small.photos(1)[0]
    made = Network(draft.graph, draft.weights)(x)["alpha"].detach().numpy()
    assert np.abs(made - small.reference(draft, x.numpy())).max() < EQUAL


def test_biases_with_borders_compute_the_same() -> None:
    draft = small.draft()
    biases = {**draft.weights, "first.b": draft.weights["first.b"] + 40}
    draft = replace(draft, weights=biases)
    inputs = [x.numpy() for x in small.photos(3)]
    shifted = shift(attach(draft, calibrate(draft, inputs)))
    assert any(shifted.weights[name].ndim == 3 for name in shifted.graph.weight_names)
    made = Network(shifted.graph, shifted.weights)(torch.from_numpy(inputs[0]))["alpha"]
    assert np.abs(made.detach().numpy() - small.reference(shifted, inputs[0])).max() < EQUAL


def test_a_network_runs_at_other_sizes_than_its_own() -> None:
    draft = small.draft()
    made = Network(draft.graph, draft.weights)(torch.zeros(2, 3, 64, 48), keep=("low",))
    assert made["alpha"].shape == (2, 1, 64, 48) and made["low"].shape[2:] == (32, 24)


def test_trained_weights_come_back_as_a_draft() -> None:
    draft = small.draft()
    network = Network(draft.graph, draft.weights)
    with torch.no_grad():
        network.tensors[0] += 1
    name = network.names[0]
    assert np.allclose(draft_of(network, draft).weights[name], draft.weights[name] + 1)


def means_of(draft: Draft, inputs: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Return the mean of what each convolution sees, by its weight's name."""
    seen = with_concats(draft.graph, calibrate(draft, inputs))
    nodes = [node for node in draft.graph.nodes if node.op == "Conv"]
    return {node.inputs[1]: seen[node.inputs[0]].mean for node in nodes}


def test_centring_the_biases_changes_nothing_by_itself() -> None:
    draft, photos = small.draft(), small.photos(3)
    network = Network(draft.graph, draft.weights)
    before = network(photos[0])["alpha"].detach()
    network.centre(means_of(draft, [x.numpy() for x in photos]))
    assert torch.allclose(network(photos[0])["alpha"], before, atol=EQUAL)
    made = network.arrays()
    assert all(np.allclose(made[name], draft.weights[name], atol=EQUAL) for name in made)


def test_a_weight_that_moves_keeps_the_mean_of_its_row_when_biases_are_centred() -> None:
    draft, photos = small.draft(), small.photos(3)
    x = torch.cat(photos)
    network = Network(draft.graph, draft.weights)
    network.centre(means_of(draft, [photo.numpy() for photo in photos]))
    before = network(x, keep=("side",))["side"].detach()
    with torch.no_grad():
        network.tensor("side.w")[0, :, 1, 1] += 0.1  # the tap that no padding reaches
    after = network(x, keep=("side",))["side"].detach()
    assert (after - before).abs().mean() > 0.01
    assert float((after - before).mean()) == pytest.approx(0, abs=EQUAL)


def test_an_operator_that_cannot_be_trained_is_named() -> None:
    draft = small.draft()
    odd = (*draft.graph.nodes[:-1], Node("HardSwish", ("both",), ("alpha",)))
    with pytest.raises(UnsupportedOperatorError, match="HardSwish"):
        Network(replace(draft.graph, nodes=odd), draft.weights)
