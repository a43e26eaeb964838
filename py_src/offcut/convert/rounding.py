"""Round the weights of convolutions to a scheme's grid, and correct the biases for what that costs.

Methods of rounding:

    nearest     each weight on its own
    balanced    then some weights, those nearest to the middle, go the other way, so that the errors
                of each kernel (9 weights for 3x3) add up to less than half a step. Feature maps are
                smooth: neighbouring pixels are nearly equal, so what matters of a kernel's errors
                is their sum, and left alone the sum of nine is three times as large.
                Source: SQuant's kernel stage (Guo et al. 2022, arXiv 2202.07471); needs no photos.

Sums that decide a rounding run in a fixed order in float64: the result is the same on any machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from offcut.convert.calibrate import with_concats
from offcut.convert.draft import Draft
from offcut.errors import ModelFormatError
from offcut.quant import QuantizedTensor, float_tensor

__all__ = ["GRIDS", "METHODS", "Grid", "correct_bias", "round_weights"]


@dataclass(frozen=True, slots=True)
class Grid:
    """A scheme whose values are whole steps: how wide a row's step is, and the largest value."""

    step: Callable[[np.ndarray], np.ndarray]  # w (o, k) -> float32 (o,)
    largest: int
    dtype: str


def _channel_step(w: np.ndarray, largest: int) -> np.ndarray:
    """Return the step with which each row's largest weight is the largest value."""
    reach = np.abs(w).max(axis=1)
    return np.where(reach > 0, reach / largest, 1.0).astype(np.float32)


GRIDS: dict[str, Grid] = {
    "int8-per-channel": Grid(lambda w: _channel_step(w, 127), 127, "int8"),
}


def round_nearest(x: np.ndarray) -> np.ndarray:
    """Round x (o, c, taps) to whole numbers."""
    return np.rint(x)


def round_balanced(x: np.ndarray) -> np.ndarray:
    """Round x (o, c, taps) so that each kernel's errors add up to at most half a step."""
    q = np.rint(x)
    error = q - x
    total = np.zeros(x.shape[:2])
    for tap in range(x.shape[2]):
        total += error[..., tap]
    surplus = np.rint(total)  # (o, c): how many steps too much
    sign = np.sign(surplus)[..., None]
    # Those already rounded in the surplus's direction by most cost least to round the other way.
    order = np.argsort(-error * sign, axis=2, kind="stable")
    rank = np.argsort(order, axis=2, kind="stable")
    return q - sign * (rank < np.abs(surplus)[..., None])


METHODS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "balanced": round_balanced,
    "nearest": round_nearest,
}


def round_weights(
    draft: Draft, *, scheme: str, method: str = "nearest", keep: tuple[str, ...] = ()
) -> Draft:
    """Store the weights of every convolution in `scheme`; biases and all else stay float32.

    keep: names of nodes whose weights stay float32, too. Raises ModelFormatError for names that
    are not known.
    """
    if scheme not in GRIDS or method not in METHODS:
        known = f"{', '.join(GRIDS)}; {', '.join(METHODS)}"
        raise ModelFormatError(f"round: {scheme!r} by {method!r}; known are {known}")
    unknown = set(keep) - {node.name for node in draft.graph.nodes}
    if unknown:
        raise ModelFormatError(f"round: keep names {min(unknown)!r}, which is no node")
    rounded: dict[str, QuantizedTensor] = {}
    for node in draft.graph.nodes:
        if node.op == "Conv" and node.name not in keep:
            name = node.inputs[1]
            rounded[name] = _round(draft.weights[name], scheme, METHODS[method])
    stored = sum(tensor.bytes for tensor in rounded.values())
    draft = replace(draft, rounded=rounded)
    return draft.note(f"round: {len(rounded)} weights to {scheme} by {method}, {stored} bytes")


def _round(
    w: np.ndarray, scheme: str, method: Callable[[np.ndarray], np.ndarray]
) -> QuantizedTensor:
    grid = GRIDS[scheme]
    o, c = w.shape[:2]
    scale = grid.step(w.reshape(o, -1))  # (o,)
    x = w.reshape(o, c, -1) / scale.astype(np.float64)[:, None, None]
    q = np.clip(method(x), -grid.largest, grid.largest).reshape(o, -1)
    return QuantizedTensor(scheme, w.shape, {"q": q.astype(grid.dtype), "scale": scale})


def correct_bias(draft: Draft) -> Draft:
    """Subtract from each bias what the rounding errors add on average.

    The average input of each channel is known from calibration; times the weights' errors it is the
    average error of the output (Nagel et al. 2019, arXiv 1906.04721, section 4.2).
    """
    statistics = with_concats(draft.graph, draft.statistics)
    weights = dict(draft.weights)
    largest = 0.0
    for node in draft.graph.nodes:
        if (
            node.op != "Conv"
            or node.inputs[1] not in draft.rounded
            or (node.inputs[0] not in statistics)
        ):
            continue
        x, w, b = node.inputs
        error = _kernel_sums(draft.rounded[w].decode() - weights[w])  # (o, c/group)
        group = int(node.attributes.get("group", 1))  # type: ignore[arg-type]  # an int by its op
        mean = statistics[x].mean.reshape(group, error.shape[1])
        mean = np.repeat(mean, error.shape[0] // group, axis=0)  # (o, c/group)
        average = np.zeros(error.shape[0])
        for c in range(error.shape[1]):
            average += error[:, c] * mean[:, c]
        weights[b] = weights[b] - average.reshape(-1, *[1] * (weights[b].ndim - 1))
        largest = max(largest, float(np.abs(average).max()))
    draft = replace(draft, weights=weights)
    return draft.note(f"correct_bias: by up to {largest:.3g}")


def _kernel_sums(w: np.ndarray) -> np.ndarray:
    """Return the sum of each kernel of w (o, c, kh, kw), float64 (o, c), in a fixed order."""
    flat = w.reshape(*w.shape[:2], -1)
    total = np.zeros(w.shape[:2])
    for tap in range(flat.shape[2]):
        total += flat[..., tap]
    return total


def stored_weights(draft: Draft) -> dict[str, QuantizedTensor]:
    """Return every weight as the model file stores it: rounded, or float32."""
    return {
        name: draft.rounded.get(name) or float_tensor(array.astype(np.float32))
        for name, array in draft.weights.items()
    }
