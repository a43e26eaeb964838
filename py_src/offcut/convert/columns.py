"""Round the columns of a weight one after another; those to come make up for each error.

The error e of column j, over the pivot of the inverse's Cholesky factor U, is spread over the
columns to come: W[:, k] -= e U[j, k] / U[j, j]. What it still costs is e^2 / U[j, j]^2.

Where bits count, a weight does not always get the nearest level: the one next to it on the side of
zero, or zero, is taken where that adds less squared error than the bits that it saves are worth (a
rare level takes many bits in a file that is coded by entropy). What errors cost differs a lot
between columns: those that others can make up for get few bits. One bit is worth what it is to an
even grid with small steps, where half the step takes one more bit a weight and leaves a quarter of
the error. What a level takes is reckoned as if levels fell off evenly, by powers of t, on both
sides of zero, from the mean distance of the kernel: a row's times a column's, as files are coded
(coded.py).

Source: Frantar et al. 2022, arXiv 2210.17323; for the rate, entropy-constrained quantization
(Chou, Lookabaugh and Gray 1989).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from offcut.convert.grids import Grid

__all__ = ["pivots", "round_columns", "spreads"]

BLOCK = 64  # columns that are rounded before the rest is updated
LEAST = 1 / 16  # of a mean distance
BIT = 2 * np.log(2) / 12  # squared steps: what a bit saves of an even grid's error, 1/12


def pivots(h: np.ndarray, damping: float) -> np.ndarray:
    """Return U[j, j] (k,) for centred second moments h (k, k), in the order of h."""
    order = _order(h)
    back = np.argsort(order, kind="stable")
    return np.diag(_factor(h[np.ix_(order, order)], damping))[back]


def _order(h: np.ndarray) -> np.ndarray:
    """Return columns by falling variance: the last ones have nothing left to make up for them."""
    return np.argsort(-np.diag(h), kind="stable")


def _factor(h: np.ndarray, damping: float) -> np.ndarray:
    """Return the upper U (k, k) with (h + damping)^-1 = U' U."""
    damped = h + (damping * float(np.trace(h)) / len(h) + 1e-12) * np.eye(len(h))
    return np.linalg.cholesky(np.linalg.inv(damped)).T


def round_columns(
    w: np.ndarray,
    grid: Grid,
    h: np.ndarray,
    damping: float,
    *,
    rate: float = 0.0,
    spread: np.ndarray | None = None,
) -> np.ndarray:
    """Return the level numbers (o, k) for w (o, k) with the centred second moments h (k, k).

    rate: how much bits count; spread: mean distances of levels from zero (o, k), where they do.
    """
    order = _order(h)
    w, upper = w[:, order].copy(), _factor(h[np.ix_(order, order)], damping)
    weights = np.diag(upper) ** -2.0
    weights /= BIT * weights.mean()  # of squared errors, in steps, against bits
    numbers = np.empty(w.shape, np.intp)
    ordered = replace(grid, scale=grid.scale[:, order])
    for first in range(0, w.shape[1], BLOCK):
        block = slice(first, min(first + BLOCK, w.shape[1]))
        errors = np.empty((len(w), block.stop - first))
        for j in range(first, block.stop):
            column = slice(j, j + 1)
            nearest = ordered.nearest(w[:, column], column)
            if spread is not None:
                x = w[:, column] / ordered.scale[:, column]
                own = spread[:, order[column]]
                nearest = _thrifty(x, nearest, grid.levels, own, rate / weights[j])
            numbers[:, column] = nearest
            error = (w[:, column] - ordered.values(numbers[:, column], column)) / upper[j, j]
            w[:, j + 1 : block.stop] -= error * upper[j, j + 1 : block.stop]
            errors[:, j - first] = error[:, 0]
        w[:, block.stop :] -= errors @ upper[block, block.stop :]
    back = np.empty(len(order), np.intp)
    back[order] = np.arange(len(order))
    return numbers[:, back]


def spreads(numbers: np.ndarray, levels: np.ndarray, inputs: int) -> np.ndarray:
    """Return the mean distance from zero, in levels, that is expected of each number (o, k).

    inputs: channels that the columns belong to, in order.
    """
    distance = np.abs(numbers - _zero(levels)).reshape(len(numbers), inputs, -1)
    rows, columns = distance.mean(axis=(1, 2)), distance.mean(axis=(0, 2))
    product = rows[:, None] * columns / max(float(distance.mean()), LEAST)  # (o, inputs)
    return np.repeat(np.maximum(product, LEAST), distance.shape[2], axis=1)


def _zero(levels: np.ndarray) -> int:
    return int(np.argmin(np.abs(levels)))


def _thrifty(
    x: np.ndarray, nearest: np.ndarray, levels: np.ndarray, spread: np.ndarray, rate: float
) -> np.ndarray:
    """Return the numbers of the levels with the least squared error and cost for x (o, 1).

    Of levels with the mean distance m from zero, t = (sqrt(1 + m^2) - 1) / m, each step further
    away takes -log2(t) bits; what zero takes is common to all.
    """
    zero = _zero(levels)
    smaller = nearest - np.sign(nearest - zero)
    choices = np.concatenate([nearest, smaller, np.full_like(nearest, zero)], axis=1)  # (o, 3)
    further = -np.log2((np.sqrt(1 + np.square(spread)) - 1) / spread)  # (o, 1) bits
    costs = np.square(levels[choices] - x) + rate * further * np.abs(choices - zero)
    return np.take_along_axis(choices, np.argmin(costs, axis=1)[:, None], axis=1)
