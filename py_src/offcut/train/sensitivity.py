"""Measure how much an error in a convolution's weights moves the final map, per output channel.

The derivative of z . map by a weight, with z random and normal, has the square of that weight's
effect on the whole map as its mean square: one pass backwards per photo gives it for all weights at
once (the diagonal of the Gauss-Newton matrix). GPTQ makes up for part of each error with the other
weights of its row, in some layers nearly all of it; what is left is the mean of 1 / U[j, j]^2 of
convert/gptq.py in place of the mean square of the inputs. Both are put together:

    sensitivity of a row = mean square effect / mean square input * mean of 1 / U[j, j]^2
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from offcut.convert.columns import pivots
from offcut.convert.draft import Draft
from offcut.convert.gptq import input_moments
from offcut.train.network import Network

__all__ = ["measure_sensitivity"]


def measure_sensitivity(
    draft: Draft, photos: Sequence[Tensor], *, damping: float = 0.01, seed: int = 0
) -> dict[str, np.ndarray]:
    """Return the sensitivity (o,) of each convolution's rows by weight name, over their median.

    photos: network inputs (1, 3, h, w), a few dozen. damping: as in GPTQ.
    """
    effects = _effects(draft, photos, torch.Generator().manual_seed(seed))
    moments = input_moments(draft, [x.numpy() for x in photos[::2]])
    rows = {}
    for name, (h, mean) in moments.items():
        effect = effects[name].reshape(len(effects[name]), -1).sum(axis=1)  # (o,)
        left = float((pivots(h, damping) ** -2.0).mean())
        rows[name] = effect / (np.trace(h) + mean @ mean) * left
    everything = np.concatenate(list(rows.values()))
    usual = float(np.median(everything[everything > 0]))
    return {name: row / usual for name, row in rows.items()}


def _effects(
    draft: Draft, photos: Sequence[Tensor], generator: torch.Generator
) -> dict[str, np.ndarray]:
    """Return the mean square effect of each weight on the map, by name."""
    network = Network(draft.graph, draft.weights).to(memory_format=torch.channels_last)
    totals = [torch.zeros_like(tensor) for tensor in network.tensors]
    for x in photos:
        y = network(x.to(memory_format=torch.channels_last))[draft.graph.outputs[0]]
        network.zero_grad()
        (y * torch.randn(y.shape, generator=generator)).sum().backward()
        for total, tensor in zip(totals, network.tensors, strict=True):
            if tensor.grad is not None:
                total += tensor.grad.square()
    rows = zip(network.names, totals, strict=True)
    return {name: (total / len(photos)).double().numpy() for name, total in rows}
