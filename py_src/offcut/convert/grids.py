"""Choose the grid that a weight is rounded to: a scheme's levels, and the scales that fit.

How far a grid reaches ("range"):

    max     each scale is the smallest with which no weight of its group is clipped
    mse     of some smaller scales too, the one whose rounding errors have the least squares

The scheme "step" has no reach: its steps are `width` times the root mean square of a row's weights.
With the sensitivities s of the rows (sensitivity.py), they are width / sqrt(s + mean of s / 100):
each row then does as much harm. What that makes of the sizes of levels costs nothing, since tables
of frequencies follow rows and columns (coded.py).
Small floats are exact products of small whole numbers and powers of two, and sums run in a fixed
order, so that any machine chooses alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from offcut.errors import ModelFormatError
from offcut.quant import NF4, SCHEMES, QuantizedTensor, Scheme, small_floats

__all__ = ["RANGES", "Grid", "choose_grid"]

RANGES = ("max", "mse")
SHRINK = tuple(1 - i / 32 for i in range(16))  # candidates of "mse", of the largest scale
CODES = np.arange(256, dtype=np.uint8)
KMEANS_ROUNDS = 40
TINY = 1e-12  # of a sensitivity, whose median is 1


@dataclass(frozen=True, slots=True)
class Grid:
    """A weight (o, k) may become scale times any of the levels.

    levels: float64 (n,), rising. scale: float64 (o, k). parts: what is stored besides q, which is
    `lowest` for the first level.
    """

    scheme: str
    levels: np.ndarray
    scale: np.ndarray
    parts: Mapping[str, np.ndarray]
    lowest: int

    def nearest(self, w: np.ndarray, columns: slice = slice(None)) -> np.ndarray:
        """Return the number of the level nearest to each weight of `columns`, int (o, columns)."""
        middles = (self.levels[1:] + self.levels[:-1]) / 2
        return np.searchsorted(middles, w / self.scale[:, columns])

    def values(self, numbers: np.ndarray, columns: slice = slice(None)) -> np.ndarray:
        """Return the weights that level numbers (o, columns) stand for, float64."""
        return self.levels[numbers] * self.scale[:, columns]

    def tensor(self, numbers: np.ndarray, shape: tuple[int, ...]) -> QuantizedTensor:
        """Return the level numbers (o, k) as a stored weight of `shape`."""
        o, k = numbers.shape
        dtype = SCHEMES[self.scheme].parts(o, k, 1)["q"][0]
        q = (numbers + self.lowest).astype(dtype)
        return QuantizedTensor(self.scheme, shape, {"q": q, **self.parts})


def choose_grid(
    w: np.ndarray,
    scheme: str,
    *,
    range: str = "max",
    width: float = 0.4,
    sensitivity: np.ndarray | None = None,
    inputs: int = 0,
) -> Grid:
    """Return the grid of a weight w, float64 (o, k), for a scheme with levels.

    width: of a step, for the scheme "step", and sensitivity (o,) of the rows. inputs: how many
    channels the columns belong to, in order; 0: each to one of its own. Raises ModelFormatError
    for a name that is not known.
    """
    row = SCHEMES.get(scheme)
    if row is None or not row.levels or range not in RANGES:
        known = ", ".join(name for name, other in SCHEMES.items() if other.levels)
        raise ModelFormatError(f"grid: {scheme!r} by {range!r}; known are {known}; max, mse")
    if not 0 < width < 100:
        raise ModelFormatError(f"grid: width is {width}, expected more than 0")
    if scheme == "step":
        return _even_steps(w, row, width, sensitivity)
    if row.inputs:
        return _with_inputs(w, row, range, inputs or w.shape[1])
    levels, own = _levels(w, row)
    groups = _grouped(w, row)  # (o, groups, size), zero beyond the row's end
    reach = np.abs(groups).max(axis=2)  # (o, groups)
    largest = min(-levels[0], levels[-1])
    scale, parts = _stored(reach / largest, row)
    if range == "mse":
        scale, parts = _least_squares(groups, levels, reach / largest, row)
    return Grid(scheme, levels, _spread(scale, w.shape, row), parts | own, _lowest(row))


def _with_inputs(w: np.ndarray, row: Scheme, range: str, inputs: int) -> Grid:
    """Return a grid with scales t of the input channels: the root of the largest weight there.

    Between t = 1, where a channel with large weights decides how fine all others of a row are, and
    t = the largest weight, where each has as many levels and errors are largest where weights are.
    """
    largest = np.abs(w).reshape(len(w), inputs, -1).max(axis=(0, 2))  # (c,)
    wanted = np.sqrt(largest / (largest[largest > 0].min() if largest.any() else 1.0))
    values = small_floats(CODES).astype(np.float64)
    codes = np.searchsorted((values[1:] + values[:-1]) / 2, wanted).astype(np.uint8)
    columns = np.repeat(values[codes], w.shape[1] // inputs)  # (k,)
    rows = choose_grid(w / columns, "int8-per-channel", range=range)
    scale, parts = rows.scale * columns, {**rows.parts, "inputs": codes}
    return Grid(row.name, rows.levels, scale, parts, rows.lowest)


def _levels(w: np.ndarray, row: Scheme) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the levels that a scheme has, or takes from the weights, and the part that says so."""
    if row.name.startswith("nf4"):
        return NF4.astype(np.float64), {}
    if row.name.startswith("codebook"):
        levels = _kmeans(w / np.maximum(np.abs(w).max(axis=1), 1e-30)[:, None], row.levels)
        return levels.astype(np.float64), {"levels": levels}
    return np.arange(_lowest(row), row.lowest + row.levels, dtype=np.float64), {}


def _lowest(row: Scheme) -> int:
    """Return the least q that is used: of 8 bits -127, so that the grid is symmetric."""
    return row.lowest + 1 if row.levels == 256 else row.lowest


def _grouped(w: np.ndarray, row: Scheme) -> np.ndarray:
    """Return w (o, k) by groups that share a scale, (o, groups, size) or (1, 1, size)."""
    if row.name.endswith("per-tensor"):
        return w.reshape(1, 1, -1)
    size = row.group or w.shape[1]
    padding = -w.shape[1] % size
    return np.pad(w, ((0, 0), (0, padding))).reshape(len(w), -1, size)


def _spread(scale: np.ndarray, shape: tuple[int, int], row: Scheme) -> np.ndarray:
    """Return scales (o, groups) for each weight, (o, k)."""
    wide = np.repeat(scale, row.group, axis=1)[:, : shape[1]] if row.group else scale
    return np.broadcast_to(wide, shape)


def _stored(
    scale: np.ndarray, row: Scheme, nearest: bool = False
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return scales (o, groups) as they can be stored, and the parts; small floats round up."""
    if row.parts(1, 1, 1)["scale"][0] == "float32":
        kept = np.where(scale > 0, scale, 1.0).astype(np.float32)
        return kept.astype(np.float64), {"scale": kept.reshape(-1)}
    values = small_floats(CODES).astype(np.float64)
    top = float(scale.max())
    unit = np.float32(top / values[-1] if top > 0 else 1.0)
    unit = unit if float(unit) * values[-1] >= top else np.nextafter(unit, np.float32(np.inf))
    edges = (values[1:] + values[:-1]) / 2 if nearest else values
    codes = np.minimum(np.searchsorted(edges, scale / float(unit)), 255).astype(np.uint8)
    kept = small_floats(codes) * unit  # in float32, as it is decoded
    stored = codes if row.group else codes.reshape(-1)
    return kept.astype(np.float64), {"scale": stored, "unit": np.array([unit], np.float32)}


def _least_squares(
    groups: np.ndarray, levels: np.ndarray, reach: np.ndarray, row: Scheme
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the scales and parts with the least squared error of SHRINK times `reach`."""
    middles = (levels[1:] + levels[:-1]) / 2
    best, error = reach, np.full(reach.shape, np.inf)
    for factor in SHRINK:
        scale = np.where(reach > 0, reach * factor, 1.0)
        rounded = levels[np.searchsorted(middles, groups / scale[..., None])] * scale[..., None]
        squares = np.square(rounded - groups).sum(axis=2)
        best = np.where(squares < error, reach * factor, best)
        error = np.minimum(squares, error)
    return _stored(best, row, nearest=True)


def _even_steps(w: np.ndarray, row: Scheme, width: float, sensitivity: np.ndarray | None) -> Grid:
    """Return the grid of steps `width` times each row's root mean square, or by sensitivity."""
    levels, _ = _levels(w, row)
    rms = np.sqrt(np.square(w).mean(axis=1))[:, None]
    if sensitivity is not None:
        s = sensitivity[:, None]
        rms = 1 / np.sqrt(s + s.mean() / 100 + TINY)
    wanted = np.maximum(rms * width, np.abs(w).max(axis=1)[:, None] / levels[-1])
    scale, parts = _stored(wanted, row, nearest=True)
    return Grid(row.name, levels, np.broadcast_to(scale, w.shape), parts, _lowest(row))


def _kmeans(w: np.ndarray, count: int) -> np.ndarray:
    """Return the `count` centres, float32, that w's values lie nearest to (Lloyd's method).

    Starts from the middles of equally many values; sums of sorted values run in a fixed order.
    """
    values = np.sort(w, axis=None)
    sums = np.concatenate([np.zeros(1), np.cumsum(values)])
    places = (2 * np.arange(count) + 1) * len(values) // (2 * count)
    centres = values[places]
    for _ in range(KMEANS_ROUNDS):
        edges = np.searchsorted(values, (centres[1:] + centres[:-1]) / 2)
        bounds = np.concatenate([np.zeros(1, np.intp), edges, np.full(1, len(values))])
        sizes = np.diff(bounds)
        means = np.diff(sums[bounds]) / np.maximum(sizes, 1)
        centres = np.where(sizes > 0, means, centres)
    return centres.astype(np.float32)
