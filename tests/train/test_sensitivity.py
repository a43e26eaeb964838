"""Sensitivity: it says which rows' errors move the map more, as moving them shows."""

from __future__ import annotations

import numpy as np
import torch

from offcut.train.network import Network
from offcut.train.sensitivity import measure_sensitivity
from tests.train import small


def test_rows_that_move_the_map_more_are_more_sensitive() -> None:
    draft, photos = small.draft(), small.photos(6)
    found = measure_sensitivity(draft, photos)
    assert set(found) == {name for name, w in draft.weights.items() if w.ndim == 4}
    x, random = torch.cat(photos), np.random.default_rng(3)

    def moved(weight: str, row: int) -> float:
        noisy = dict(draft.weights)
        noisy[weight] = noisy[weight].copy()
        shape = noisy[weight][row].shape
        noisy[weight][row] += 0.02 * random.normal(size=shape) * [[[-1.0]], [[1.0]]][row % 2]
        with torch.no_grad():
            ours = Network(draft.graph, noisy)(x)["alpha"]
            return float((ours - Network(draft.graph, draft.weights)(x)["alpha"]).square().mean())

    effects = [np.mean([moved("low.w", row) for _ in range(4)]) for row in range(16)]
    assert np.corrcoef(np.log(effects), np.log(found["low.w"] + 1e-9))[0, 1] > 0.6
