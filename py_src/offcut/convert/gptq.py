"""GPTQ: round the weights of one column after another; those to come make up for each error.

The layers are rounded in order. What a layer will see is what the rounded layers before it make of
the calibration photos, x; what it should have seen is what the float32 network makes of them, x*.
Both networks run side by side on all photos, a layer at a time, and give, at sampled positions:

    H = mean of x x',  C = mean of x* x',  over patches with their means taken out

First the weights are refitted, W <- (W C + r W) (H + r)^-1 with the ridge r, so that the layer
makes of x what it should make of x* (what rounding before it has moved is moved back). Then they
are rounded, see columns.py. The bias takes what is left of the mean.

Where x has 8 bits (activations = "u8"), what these cost is made up for, too, as far as it can be.

Taking the means out matters: activations after ReLU are far from zero, so that with them the
largest direction of H by far is the mean itself, which the bias corrects exactly anyway.

Source: Frantar et al. 2022, arXiv 2210.17323; sequential targets as in Hubara et al. 2021
(AdaQuant, arXiv 2006.10518). BLAS sums, so the result is the same only with the same numpy and
processor family; the model file is the record of what was decided.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from offcut.convert import forward
from offcut.convert.activations import levels_of, rounded
from offcut.convert.columns import round_columns, spreads
from offcut.convert.draft import Draft
from offcut.convert.replay import replay
from offcut.convert.rounding import group_of, round_nearest, rounded_tensor
from offcut.errors import ModelFormatError
from offcut.graph import Node
from offcut.quant import QuantizedTensor

__all__ = ["Moments", "Tuning", "gptq", "input_moments", "refit"]

POSITIONS = 1024  # of each photo that a layer's moments are taken over
Weights = Callable[[str], np.ndarray]


@dataclass(frozen=True, slots=True)
class Moments:
    """Means of patches x and of their float32 counterparts x*, (k,); centred H and C (k, k)."""

    mean: np.ndarray
    mean_float: np.ndarray
    h: np.ndarray
    c: np.ndarray


@dataclass(frozen=True, slots=True)
class Tuning:
    """How to refit and round.

    ridge: of the refit, and damping: of the rounding, in means of H's diagonal. rate: how much bits
    count, see columns.py; 0 for not at all, 1 for what they are worth where steps are small.
    activations: what the rounded network's values are kept in, "float" or "u8".
    """

    ridge: float = 0.05
    damping: float = 0.01
    rate: float = 0.0
    activations: str = "float"


def gptq(
    draft: Draft,
    tuning: Tuning | None = None,
    *,
    photos: int = 0,
    report: Callable[[int, int], None] = lambda done, of: None,
) -> Draft:
    """Round the weights that have grids, one convolution after another, on the draft's photos.

    photos: use so many of the draft's, evenly chosen; 0 for all. Raises ModelFormatError when
    there are none.
    """
    if draft.decided and not draft.photos:
        return replay(draft).note("round: by gptq, taken from the file made before")
    if not draft.photos:
        raise ModelFormatError(
            "round: gptq needs the calibration photos themselves", remedy="name their folder"
        )
    graph, inputs = draft.graph, _evenly(draft.photos, photos)
    tuning = tuning or Tuning()
    floats = {name: array.astype(np.float32) for name, array in draft.weights.items()}
    stored_as: dict[str, QuantizedTensor] = {}
    weights, stored = dict(draft.weights), dict(floats)
    exact = [{graph.inputs[0]: x} for x in inputs]  # values of the float32 network
    ours = [dict(values) for values in exact]  # values of the rounded one
    last_uses = graph.last_uses()
    levels = levels_of(graph, draft.statistics) if tuning.activations == "u8" else {}
    for at, node in enumerate(graph.nodes):
        if node.op == "Conv" and node.inputs[1] in draft.grids:
            w, b = node.inputs[1:]
            stored_as[w], weights[b] = _round_layer(draft, node, exact, ours, tuning)
            stored |= {w: stored_as[w].decode(), b: weights[b].astype(np.float32)}
        for values, known in ((exact, floats), (ours, stored)):
            for photo in values:
                photo[node.name] = forward.step(node, photo, known.__getitem__)
                for name in node.inputs:
                    if last_uses.get(name) == at:
                        photo.pop(name, None)
        for photo in ours:
            photo[node.name] = rounded(node, photo[node.name], levels)
        report(at + 1, len(graph.nodes))
    draft = replace(draft, rounded=stored_as, weights=weights, exact=draft.weights)
    return draft.note(
        f"round: {len(stored_as)} weights by gptq on {len(inputs)} photos, "
        f"ridge {tuning.ridge:g}, damping {tuning.damping:g}, rate {tuning.rate:g}, "
        f"activations {tuning.activations}"
    )


def _evenly(photos: Sequence[np.ndarray], wanted: int) -> Sequence[np.ndarray]:
    return photos[:: max(1, len(photos) // wanted)][:wanted] if wanted else photos


def _round_layer(
    draft: Draft,
    node: Node,
    exact: list[dict[str, np.ndarray]],
    ours: list[dict[str, np.ndarray]],
    tuning: Tuning,
) -> tuple[QuantizedTensor, np.ndarray]:
    """Return a convolution's rounded weight and its corrected bias."""
    x, weight, bias = node.inputs
    w, grid = draft.weights[weight], draft.grids[weight]
    if isinstance(grid, str) or group_of(node) != 1:
        tensor = rounded_tensor(w, grid, round_nearest)
        return tensor, draft.weights[bias]
    moments = _moments(node, [v[x] for v in exact], [v[x] for v in ours], w.shape[2:])
    flat = w.reshape(len(w), -1)  # (o, k)
    fitted = refit(flat, moments, tuning.ridge)
    numbers = round_columns(fitted, grid, moments.h, tuning.damping)
    if tuning.rate:
        spread = spreads(numbers, grid.levels, w.shape[1])
        numbers = round_columns(
            fitted, grid, moments.h, tuning.damping, rate=tuning.rate, spread=spread
        )
    tensor = grid.tensor(numbers, w.shape)
    decoded = tensor.decode().reshape(flat.shape).astype(np.float64)
    change = flat @ moments.mean_float - decoded @ moments.mean  # (o,)
    old = draft.weights[bias]
    return tensor, old + change.reshape(-1, *[1] * (old.ndim - 1))


def _moments(
    node: Node, exact: list[np.ndarray], ours: list[np.ndarray], kernel: tuple[int, int]
) -> Moments:
    """Return the moments of what the convolution sees, over sampled positions of all photos."""
    k = exact[0].shape[1] * kernel[0] * kernel[1]
    h, c = np.zeros((k, k)), np.zeros((k, k))
    mean, mean_float, count = np.zeros(k), np.zeros(k), 0
    random = np.random.default_rng(k)
    oh, ow = forward.Geometry(node, exact[0].shape[2:], kernel).size
    for theirs, own in zip(exact, ours, strict=True):
        places = random.permutation(oh * ow)[:POSITIONS]
        x = forward.patches(node, own, kernel, places)  # (n, k)
        x_float = forward.patches(node, theirs, kernel, places)
        h += x.T @ x
        c += x_float.T @ x
        mean += x.sum(axis=0)
        mean_float += x_float.sum(axis=0)
        count += len(x)
    mean, mean_float = mean / count, mean_float / count
    return Moments(
        mean,
        mean_float,
        h / count - np.outer(mean, mean),
        c / count - np.outer(mean_float, mean),
    )


def refit(w: np.ndarray, moments: Moments, ridge: float) -> np.ndarray:
    """Return the weights (o, k) that make of x most nearly what w makes of x*."""
    r = ridge * float(np.trace(moments.h)) / len(moments.h) + 1e-12
    eye = np.eye(len(moments.h))
    return np.linalg.solve((moments.h + r * eye).T, (w @ (moments.c + r * eye)).T).T


def input_moments(
    draft: Draft, photos: Sequence[np.ndarray]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return H (k, k) and the mean (k,) of what each convolution sees in float32, by its weight."""
    weights = {name: array.astype(np.float32) for name, array in draft.weights.items()}
    last_uses, found = draft.graph.last_uses(), {}
    values = [{draft.graph.inputs[0]: x} for x in photos]
    for at, node in enumerate(draft.graph.nodes):
        if node.op == "Conv" and group_of(node) == 1:
            x, w = [photo[node.inputs[0]] for photo in values], node.inputs[1]
            moments = _moments(node, x, x, weights[w].shape[2:])
            found[w] = (moments.h, moments.mean)
        for photo in values:
            photo[node.name] = forward.step(node, photo, weights.__getitem__)
            for name in node.inputs:
                if last_uses.get(name) == at:
                    photo.pop(name, None)
    return found
