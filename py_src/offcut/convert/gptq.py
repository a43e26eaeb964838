"""GPTQ: round the weights of one column after another; those to come make up for each error.

The layers are rounded in order. What a layer will see is what the rounded layers before it make of
the calibration photos, x; what it should have seen is what the float32 network makes of them, x*.
Both networks run side by side on all photos, a layer at a time, and give, at sampled positions:

    H = mean of x x',  C = mean of x* x',  over patches with their means taken out

First the weights are refitted, W <- (W C + r W) (H + r)^-1 with the ridge r, so that the layer
makes of x what it should make of x* (what rounding before it has moved is moved back). Then they
are rounded: the error e of column j, over the pivot of the inverse's Cholesky factor U, is spread
over the columns to come: W[:, k] -= e U[j, k] / U[j, j]. The bias takes what is left of the mean.

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
from offcut.convert.draft import Draft
from offcut.convert.grids import Grid
from offcut.convert.rounding import group_of, round_nearest, rounded_tensor
from offcut.errors import ModelFormatError
from offcut.graph import Node
from offcut.quant import QuantizedTensor

__all__ = ["Moments", "gptq", "refit", "round_columns"]

POSITIONS = 1024  # of each photo that a layer's moments are taken over
BLOCK = 64  # columns that are rounded before the rest is updated
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
    """What `gptq` is called with."""

    ridge: float
    damping: float


def gptq(
    draft: Draft,
    *,
    ridge: float = 0.05,
    damping: float = 0.01,
    photos: int = 0,
    report: Callable[[int, int], None] = lambda done, of: None,
) -> Draft:
    """Round the weights that have grids, one convolution after another, on the draft's photos.

    ridge: of the refit, and damping: of the rounding, in means of H's diagonal.
    photos: use so many of the draft's, evenly chosen; 0 for all. Raises ModelFormatError when
    there are none.
    """
    if draft.decided and not draft.photos:
        return _replay(draft)
    if not draft.photos:
        raise ModelFormatError(
            "round: gptq needs the calibration photos themselves", remedy="name their folder"
        )
    graph, inputs = draft.graph, _evenly(draft.photos, photos)
    floats = {name: array.astype(np.float32) for name, array in draft.weights.items()}
    rounded: dict[str, QuantizedTensor] = {}
    weights, stored = dict(draft.weights), dict(floats)
    exact = [{graph.inputs[0]: x} for x in inputs]  # values of the float32 network
    ours = [dict(values) for values in exact]  # values of the rounded one
    last_uses = graph.last_uses()
    for at, node in enumerate(graph.nodes):
        if node.op == "Conv" and node.inputs[1] in draft.grids:
            w, b = node.inputs[1:]
            rounded[w], weights[b] = _round_layer(draft, node, exact, ours, Tuning(ridge, damping))
            stored |= {w: rounded[w].decode(), b: weights[b].astype(np.float32)}
        for values, known in ((exact, floats), (ours, stored)):
            for photo in values:
                photo[node.name] = forward.step(node, photo, known.__getitem__)
                for name in node.inputs:
                    if last_uses.get(name) == at:
                        photo.pop(name, None)
        report(at + 1, len(graph.nodes))
    draft = replace(draft, rounded=rounded, weights=weights, exact=draft.weights)
    return draft.note(
        f"round: {len(rounded)} weights by gptq on {len(inputs)} photos, "
        f"ridge {ridge:g}, damping {damping:g}"
    )


def _evenly(photos: Sequence[np.ndarray], wanted: int) -> Sequence[np.ndarray]:
    return photos[:: max(1, len(photos) // wanted)][:wanted] if wanted else photos


def _replay(draft: Draft) -> Draft:
    """Take the level numbers and biases from the file that was made before.

    Raises ModelFormatError when that file's other parts are not what the draft leads to.
    """
    rounded, weights = dict(draft.rounded), dict(draft.weights)
    for node in draft.graph.nodes:
        if node.op != "Conv" or node.inputs[1] not in draft.grids:
            continue
        w, b = node.inputs[1:]
        grid, tensor = draft.grids[w], draft.decided.get(w)
        parts = {} if isinstance(grid, str) else grid.parts
        if (
            tensor is None
            or b not in draft.decided
            or tensor.scheme != (grid if isinstance(grid, str) else grid.scheme)
            or any(not np.array_equal(tensor.parts[key], parts[key]) for key in parts)
        ):
            raise ModelFormatError(f"{w}: the file made before was rounded to another grid")
        rounded[w] = tensor
        weights[b] = draft.decided[b].decode().astype(np.float64)
    draft = replace(draft, rounded=rounded, weights=weights, exact=draft.weights)
    return draft.note(f"round: {len(rounded)} weights by gptq, taken from the file made before")


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


def round_columns(w: np.ndarray, grid: Grid, h: np.ndarray, damping: float) -> np.ndarray:
    """Return the level numbers (o, k) for w (o, k) with the centred second moments h (k, k).

    Columns are taken in the order of falling variance: the last ones have nothing left to make up
    for their errors.
    """
    order = np.argsort(-np.diag(h), kind="stable")
    w, h = w[:, order].copy(), h[np.ix_(order, order)]
    damped = h + (damping * float(np.trace(h)) / len(h) + 1e-12) * np.eye(len(h))
    upper = np.linalg.cholesky(np.linalg.inv(damped)).T  # (k, k): inv = upper' upper
    numbers = np.empty(w.shape, np.intp)
    ordered = replace(grid, scale=grid.scale[:, order])
    for first in range(0, w.shape[1], BLOCK):
        block = slice(first, min(first + BLOCK, w.shape[1]))
        errors = np.empty((len(w), block.stop - first))
        for j in range(first, block.stop):
            column = slice(j, j + 1)
            numbers[:, column] = ordered.nearest(w[:, column], column)
            error = (w[:, column] - ordered.values(numbers[:, column], column)) / upper[j, j]
            w[:, j + 1 : block.stop] -= error * upper[j, j + 1 : block.stop]
            errors[:, j - first] = error[:, 0]
        w[:, block.stop :] -= errors @ upper[block, block.stop :]
    back = np.empty(len(order), np.intp)
    back[order] = np.arange(len(order))
    return numbers[:, back]
