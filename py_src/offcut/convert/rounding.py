"""Round the weights of convolutions to their grids, and correct the biases for what that costs.

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

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from offcut.convert.calibrate import with_concats
from offcut.convert.draft import Draft
from offcut.convert.grids import Grid, choose_grid
from offcut.errors import ModelFormatError
from offcut.graph import Node
from offcut.quant import SCHEMES, QuantizedTensor, float_tensor

__all__ = [
    "METHODS",
    "calibrate_weights",
    "correct_bias",
    "group_of",
    "round_weights",
    "store_biases",
]

HALF_REACH = 60_000  # float16 ends at 65,504


def round_nearest(w: np.ndarray, grid: Grid) -> np.ndarray:
    """Return the number of the level nearest to each of w (o, c, taps)."""
    o, c, taps = w.shape
    return grid.nearest(w.reshape(o, -1)).reshape(o, c, taps)


def round_balanced(w: np.ndarray, grid: Grid) -> np.ndarray:
    """Return level numbers of w (o, c, taps) with each kernel's errors at most half a step."""
    numbers = round_nearest(w, grid)
    scale = grid.scale.reshape(w.shape)
    error = grid.levels[numbers] - w / scale  # in units of the scale
    total = np.zeros(w.shape[:2])
    for tap in range(w.shape[2]):
        total += error[..., tap]
    step = np.diff(grid.levels).mean()
    surplus = np.rint(total / step)  # (o, c): how many steps too much
    sign = np.sign(surplus)[..., None]
    # Those already rounded in the surplus's direction by most cost least to round the other way.
    order = np.argsort(-error * sign, axis=2, kind="stable")
    rank = np.argsort(order, axis=2, kind="stable")
    moved = numbers - (sign * (rank < np.abs(surplus)[..., None])).astype(np.intp)
    return np.clip(moved, 0, len(grid.levels) - 1)


METHODS: Mapping[str, Callable[[np.ndarray, Grid], np.ndarray]] = {
    "balanced": round_balanced,
    "nearest": round_nearest,
}


def calibrate_weights(
    draft: Draft,
    *,
    scheme: str,
    range: str = "max",
    width: float = 0.4,
    by: str = "rms",
    only: Sequence[str] = (),
) -> Draft:
    """Choose the scheme and the scales that each convolution's weights will be rounded to.

    by: what steps follow, see grids.py: "rms", the rows' root mean squares, or "sensitivity", the
    draft's, too. only: the nodes meant; all when empty. A later call replaces what an earlier one
    chose, which is how layers get different precisions. Raises ModelFormatError for names that are
    not known.
    """
    if by not in ("rms", "sensitivity"):
        raise ModelFormatError(f"calibrate: by is {by!r}, known are rms, sensitivity")
    convolutions = [node for node in draft.graph.nodes if node.op == "Conv"]
    unknown = set(only) - {node.name for node in convolutions}
    if unknown:
        raise ModelFormatError(f"calibrate: only names {min(unknown)!r}, which is no convolution")
    chosen = [node for node in convolutions if not only or node.name in only]
    grids: dict[str, Grid | str] = dict(draft.grids)
    for node in chosen:
        w = draft.weights[node.inputs[1]]
        if scheme in SCHEMES and not SCHEMES[scheme].levels:
            grids[node.inputs[1]] = scheme
        else:
            flat = w.reshape(len(w), -1)
            known = _sensitivity(draft, node) if by == "sensitivity" else None
            grids[node.inputs[1]] = choose_grid(
                flat, scheme, range=range, width=width, sensitivity=known, inputs=w.shape[1]
            )
    detail = f"steps of {width:g} by {by}" if scheme == "step" else f"range by {range}"
    return replace(draft, grids=grids).note(
        f"calibrate: {len(chosen)} weights to {scheme}, {detail}"
    )


def _sensitivity(draft: Draft, node: Node) -> np.ndarray:
    """Return the sensitivity (o,) of a convolution's rows."""
    w = node.inputs[1]
    row = draft.sensitivity.get(w)
    if row is None or len(row) != len(draft.weights[w]):
        raise ModelFormatError(
            f"calibrate: the sensitivity of {w} is not known, or is another graph's",
            remedy="measure it: offcut/train/sensitivity.py",
        )
    return row


def round_weights(draft: Draft, *, method: str = "nearest") -> Draft:
    """Store the weights that have grids; biases and all else stay as they are.

    Raises ModelFormatError for an unknown method, or when there is nothing to round.
    """
    if method not in METHODS:
        raise ModelFormatError(f"round: method is {method!r}, known are {', '.join(METHODS)}, gptq")
    if not draft.grids:
        raise ModelFormatError("round: no weight has a grid", remedy="calibrate first")
    rounded = {
        name: rounded_tensor(draft.weights[name], grid, METHODS[method])
        for name, grid in draft.grids.items()
    }
    draft = replace(draft, rounded=rounded, exact=draft.weights)
    return draft.note(f"round: {len(rounded)} weights by {method}")


def rounded_tensor(
    w: np.ndarray, grid: Grid | str, method: Callable[[np.ndarray, Grid], np.ndarray]
) -> QuantizedTensor:
    """Return w (o, c, kh, kw) as stored; a grid that is a name is a scheme of floats."""
    if isinstance(grid, str):
        values = np.ascontiguousarray(w.reshape(len(w), -1).astype(grid))
        return QuantizedTensor(grid, w.shape, {"values": values})
    numbers = method(w.reshape(*w.shape[:2], -1), grid)
    return grid.tensor(numbers.reshape(len(w), -1), w.shape)


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
        group = group_of(node)
        mean = statistics[x].mean.reshape(group, error.shape[1])
        mean = np.repeat(mean, error.shape[0] // group, axis=0)  # (o, c/group)
        average = np.zeros(error.shape[0])
        for c in range(error.shape[1]):
            average += error[:, c] * mean[:, c]
        weights[b] = weights[b] - average.reshape(-1, *[1] * (weights[b].ndim - 1))
        largest = max(largest, float(np.abs(average).max()))
    draft = replace(draft, weights=weights)
    return draft.note(f"correct_bias: by up to {largest:.3g}")


def store_biases(draft: Draft) -> Draft:
    """Store the biases of convolutions in float16, those beyond its reach in float32.

    After all steps that change biases.
    """
    names = [node.inputs[2] for node in draft.graph.nodes if node.op == "Conv"]
    near = [name for name in names if np.abs(draft.weights[name]).max() < HALF_REACH]
    stored = {
        name: QuantizedTensor(
            "float16",
            draft.weights[name].shape,
            {"values": draft.weights[name].reshape(len(draft.weights[name]), -1).astype("float16")},
        )
        for name in near
    }
    draft = replace(draft, rounded={**draft.rounded, **stored})
    return draft.note(f"store_biases: {len(near)} of {len(names)} in float16")


def group_of(node: Node) -> int:
    """Return a convolution's number of groups."""
    return int(node.attributes.get("group", 1))  # type: ignore[arg-type]  # an int by its op


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
        name: draft.rounded.get(name) or float_tensor(array)
        for name, array in draft.weights.items()
    }
