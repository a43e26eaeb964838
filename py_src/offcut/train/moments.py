"""What pruning must know of a network: how its channels move together, and what matters to the map.

moments         per convolution: the mean of x x' over all pixels, x being the channels that it
                reads and a constant 1; a channel that the others predict well can go.
sensitivities   per convolution and output channel: the mean of the squared derivative of the map,
                summed over the output's pixels. An error with mean square e in that channel changes
                the map by about e times this (Fisher's information, taken with random probes).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from offcut.train.network import Network

__all__ = ["Moments", "measure"]


@dataclass(frozen=True, slots=True)
class Moments:
    """Of one convolution: inputs float64 (c + 1, c + 1), outputs float64 (o,)."""

    inputs: np.ndarray
    outputs: np.ndarray


def measure(network: Network, photos: Iterable[Tensor], *, seed: int = 0) -> dict[str, Moments]:
    """Return the moments of every convolution over photos, float32 (1, 3, h, w) each."""
    convolutions = [node for node in network.graph.nodes if node.op == "Conv"]
    read = {node.inputs[0] for node in convolutions}
    made = {node.name for node in convolutions}
    sums: dict[str, list[np.ndarray]] = {node.name: [] for node in convolutions}
    grads: dict[str, list[np.ndarray]] = {node.name: [] for node in convolutions}
    generator = torch.Generator().manual_seed(seed)
    for photo in photos:
        values = network(photo, keep=read | made)
        for name in made:
            values[name].retain_grad()
        output = values[network.graph.outputs[0]]
        output.backward(torch.randn(output.shape, generator=generator))
        with torch.no_grad():
            squares = {name: _second_moment(values[name]) for name in read}
            for node in convolutions:
                sums[node.name].append(squares[node.inputs[0]])
                grads[node.name].append(_sensitivity(values[node.name], node.attributes))
        network.zero_grad()
    return {
        name: Moments(np.mean(sums[name], axis=0), np.mean(grads[name], axis=0)) for name in sums
    }


def _second_moment(x: Tensor) -> np.ndarray:
    """Return the mean of x x' over pixels, with a 1 behind the channels; x: (1, c, h, w)."""
    flat = torch.cat([x[0].flatten(1), torch.ones(1, x.shape[2] * x.shape[3])])
    result: np.ndarray = ((flat @ flat.T) / flat.shape[1]).double().numpy()
    return result


def _sensitivity(y: Tensor, attributes: object) -> np.ndarray:
    """Return the sum of squared derivatives of each channel of y (1, o, h, w), before its ReLU."""
    assert y.grad is not None
    grad = y.grad[0]
    if getattr(attributes, "get", lambda key: "")("activation") == "Relu":
        grad = grad * (y[0] > 0)
    result: np.ndarray = grad.square().sum(dim=(1, 2)).double().numpy()
    return result
