"""Small networks as drafts, and random photos for them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from offcut.card import ModelCard, from_document
from offcut.convert import forward
from offcut.convert.calibrate import attach, calibrate
from offcut.convert.draft import Draft
from offcut.graph import Attribute, Graph, Node

SIZE = 12
CARD: ModelCard = from_document(
    {"name": "small", "input": {"size": [SIZE, SIZE]}, "output": {"name": "alpha"}}, "test"
)
PADDED: dict[str, Attribute] = {"pads": (1, 1, 1, 1), "activation": "Relu"}


def small(seed: int = 0) -> Draft:
    """Return image -> a -> pooled, resized -> concat with a -> b; b + c -> d -> alpha."""
    rng = np.random.default_rng(seed)
    half, full = (SIZE // 2, SIZE // 2), (SIZE, SIZE)
    nodes = (
        Node("Conv", ("image", "wa", "ba"), ("a",), PADDED),
        Node("MaxPool", ("a",), ("pooled",), {"kernel_shape": (2, 2), "strides": (2, 2)}),
        Node("Resize", ("pooled",), ("resized",), {"size": full, "mode": "linear"}),
        Node("Concat", ("resized", "a"), ("joined",), {"axis": 1}),
        Node("Conv", ("joined", "wb", "bb"), ("b",), PADDED),
        Node("Conv", ("a", "wc", "bc"), ("c",), PADDED),
        Node("Add", ("b", "c"), ("sum",)),
        Node("Conv", ("sum", "wd", "bd"), ("alpha",)),
    )
    weights = {
        "wa": rng.normal(size=(6, 3, 3, 3)),
        "ba": rng.normal(size=6),
        "wb": rng.normal(size=(5, 12, 3, 3)) / 8,
        "bb": rng.normal(size=5),
        "wc": rng.normal(size=(5, 6, 3, 3)) / 6,
        "bc": rng.normal(size=5),
        "wd": rng.normal(size=(1, 5, 1, 1)),
        "bd": rng.normal(size=1),
    }
    shapes = {
        "image": (1, 3, *full),
        "a": (1, 6, *full),
        "pooled": (1, 6, *half),
        "resized": (1, 6, *full),
        "joined": (1, 12, *full),
        "b": (1, 5, *full),
        "c": (1, 5, *full),
        "sum": (1, 5, *full),
        "alpha": (1, 1, *full),
    }
    shapes |= {name: array.shape for name, array in weights.items()}
    return Draft(Graph(nodes, ("image",), ("alpha",), shapes), weights)


def photos(count: int = 6, seed: int = 1) -> tuple[np.ndarray, ...]:
    """Return smooth random network inputs, float32 (1, 3, SIZE, SIZE)."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(size=(count, 1, 3, SIZE // 4, SIZE // 4))
    return tuple(coarse.repeat(4, axis=3).repeat(4, axis=4).astype(np.float32))


def calibrated(draft: Draft, inputs: tuple[np.ndarray, ...]) -> Draft:
    """Return the draft with statistics and photos."""
    return replace(attach(draft, calibrate(draft, inputs)), photos=inputs)


def outputs(draft: Draft, inputs: tuple[np.ndarray, ...]) -> np.ndarray:
    """Return the output map of each input, (inputs, h, w), with rounded weights where there are."""
    weights = {
        name: draft.rounded[name].decode() if name in draft.rounded else array.astype(np.float32)
        for name, array in draft.weights.items()
    }
    found = []
    for x in inputs:
        for _, y in forward.run(draft.graph, weights.__getitem__, x):
            last = y
        found.append(last[0, 0])
    return np.stack(found)
