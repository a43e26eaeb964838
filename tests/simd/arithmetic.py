"""What each u8 kernel computes, in numpy, number by number: the kernels must give the same bytes.

Floats are rounded after every operation as in the kernels; integers are exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

F = np.float32
BT = np.array(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
)


def to_u8(x: np.ndarray) -> np.ndarray:
    """Round halves to even and saturate."""
    return np.clip(np.rint(x), 0, 255).astype(np.uint8)


def quantize(x: np.ndarray, scale: float, zero: int) -> np.ndarray:
    """Return x in u8, as the kernel `quantize` does it."""
    return to_u8(np.clip(x * F(1.0 / scale) + F(zero), F(0), F(255)))


def dequantize(q: np.ndarray, scale: float, zero: int) -> np.ndarray:
    """Return real values, as the kernel `dequantize` does it."""
    return q.astype(F) * F(scale) + F(-zero * scale)


def factor(u: np.ndarray, limit: int, reach: np.ndarray, rounding: float) -> np.ndarray:
    """Return pack.c's factor for the weights u (lanes, o, ...) of each output, f32 (o,)."""
    room = F(2147483647.0) / F(limit) - F(rounding) * F(len(u))
    most = np.abs(u).max(axis=(0, *range(2, u.ndim)))
    return F(0.999) / np.maximum(np.maximum(reach / room, most / F(32767)), F(1e-25))


def direct_factor(u: np.ndarray, limit: int) -> np.ndarray:
    """Return the factor of the weights u (inputs, o) of a direct convolution, f32 (o,)."""
    return factor(u, limit, np.add.accumulate(np.abs(u), axis=0, dtype=F)[-1], 0.51)


def rounded(u: np.ndarray, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Return integer weights of u (lanes, o) and the scales that lead back, (o,)."""
    f = direct_factor(u, limit)
    return np.rint(u * f).astype(np.int64), F(1) / f


def bend(steps: np.ndarray) -> np.ndarray:
    """Return steps as a bent plane stores them, u8."""
    v = np.clip(steps, -(2**15), 2**15 - 1).astype(np.int64)
    return np.clip(np.minimum(v, ((v * 10923 + 2**14) >> 15) + 124), 0, 255).astype(np.uint8)


def unbend(q: np.ndarray) -> np.ndarray:
    """Return the steps for which the u8 of a bent plane stand."""
    return q.astype(np.int64) + 2 * np.maximum(q.astype(np.int64) - 186, 0)


def padded_lanes(steps: np.ndarray, zero: int) -> np.ndarray:
    """Return steps (c, h, w) with as many channels as their blocks of 8 have."""
    in_last_plane = len(steps) % 16 or 16
    missing = (8 if in_last_plane <= 8 else 16) - in_last_plane
    return np.concatenate([steps, np.full((missing, *steps.shape[1:]), zero, steps.dtype)])


def packed(pack: Mapping[str, Any], source: np.ndarray, taps: int) -> tuple[np.ndarray, np.ndarray]:
    """Return u (lanes, o, taps) with input scales folded in, and the bias (runs, o)."""
    lanes = np.frombuffer(pack["lanes"], "<i4")
    factors = np.frombuffer(pack["factors"], "<f4").reshape(-1, 2)
    rows = source.reshape(len(source), -1, taps)  # (o, lanes of the source, taps)
    w = np.where(lanes[:, None, None] >= 0, rows.swapaxes(0, 1)[lanes], F(0))
    terms = w.astype(np.float64) * factors[:, 1, None, None].astype(np.float64)
    correction = np.add.accumulate(terms.swapaxes(0, 1).reshape(len(source), -1), axis=1)[:, -1]
    bias = np.frombuffer(pack["bias"], "<f4").reshape(len(source), -1).T
    bias = (bias + correction.astype(F)) * F(pack["steps"]) + F(pack["zero"])
    return w * factors[:, 0, None, None], bias


def activate(x: np.ndarray, number: int) -> np.ndarray:
    """Return the activation with the kernels' number (Sigmoid is left to other tests)."""
    if number == 1:
        return np.maximum(x, F(0))
    if number == 2:
        return np.maximum(np.minimum(x, F(6)), F(0))
    if number == 3:
        gate = x * F(1 / 6) + F(0.5)
        return x * np.maximum(np.minimum(gate, F(1)), F(0))
    return x


def finish(
    args: Mapping[str, Any],
    y: np.ndarray,
    bias: np.ndarray,
    residual: np.ndarray | None,
) -> np.ndarray:
    """Return u8 (o, oh, ow) from scaled sums y, bias (runs, o), and the residual's steps."""
    y = y + bias.T[:, runs_of(args)[: y.shape[1], : y.shape[2]]]
    y = activate(y, args.get("activation", 0)) + F(args.get("residual_offset", 0))
    if residual is not None:
        scales = np.frombuffer(args["residual_scales"], "<f4")[: len(y), None, None]
        y = np.maximum(y, F(args["residual_least"])) + residual.astype(F) * scales
    if not args["plain"]:
        y = activate(y, args.get("activation_last", 0))
        y = np.clip(y * F(args["steps"]) + F(args["zero"]), -65536, 65536)
    return bend(np.rint(y)) if args["bent"] else to_u8(y)


def runs_of(args: Mapping[str, Any]) -> np.ndarray:
    """Return which bias each pixel has, int (h, w), with both sizes padded to fours."""
    h, w = (-(-args[size] // 4) * 4 for size in ("h_out", "w_out"))
    if "row_runs" not in args:
        return np.zeros((h, w), int)
    rows = np.frombuffer(args["row_runs"], "<u4").astype(int)
    columns = np.frombuffer(args["column_runs"], "<u4").astype(int)
    return rows[:, None] * args["runs"] + columns


def integer_convolution(
    args: Mapping[str, Any], q: np.ndarray, x: np.ndarray, zero: int
) -> np.ndarray:
    """Return exact sums (o, oh, ow) of inputs x (lanes, h, w) times q (inputs, o).

    Inputs are ordered [kernel_h][kernel_w][lanes]; the padding is `zero`.
    """
    kernel = (args["kernel_h"], args["kernel_w"])
    dilations = (args["dilation_h"], args["dilation_w"])
    spread = [d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True)]
    after = max(spread)
    pads = ((0, 0), (args["pad_top"], after), (args["pad_left"], after))
    padded = np.pad(x.astype(np.int64), pads, constant_values=zero)
    patches = sliding_window_view(padded, spread, axis=(1, 2))
    patches = patches[:, :: args["stride_h"], :: args["stride_w"]]
    patches = patches[:, : args["h_out"], : args["w_out"], :: dilations[0], :: dilations[1]]
    columns = patches.transpose(3, 4, 0, 1, 2).reshape(len(q), -1)  # (inputs, oh * ow)
    sums = q.T @ columns
    assert abs(sums).max() < 2**31
    return sums.reshape(-1, args["h_out"], args["w_out"])


def direct(
    args: Mapping[str, Any], u: np.ndarray, pack: Mapping[str, Any], x: np.ndarray, zero: int
) -> np.ndarray:
    """Return the scaled sums of conv_direct (o, oh, ow); u (inputs, o)."""
    q, _ = rounded(u, pack["limit"])
    sums = integer_convolution(args, q, x, zero)
    return sums.astype(F) * (F(pack["steps"]) / direct_factor(u, pack["limit"]))[:, None, None]


def transform(g0: np.ndarray, g1: np.ndarray, g2: np.ndarray) -> list[np.ndarray]:
    """Return G g, rounded as transform_3 rounds."""
    outer, slope = g0 + g2, g0 * F(1 / 24) + g2 * F(1 / 6)
    return [
        g0 * F(0.25),
        (outer + g1) * F(-1 / 6),
        (outer - g1) * F(-1 / 6),
        slope + g1 * F(1 / 12),
        slope - g1 * F(1 / 12),
        g2 * F(0.25),
    ]


def transformed_weights(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return G g G^T of u (lanes, o, 9) as (lanes, o, 36), and its reach in floats (o,)."""
    g = u.reshape(*u.shape[:-1], 3, 3)
    rows = transform(g[..., 0, :], g[..., 1, :], g[..., 2, :])  # 6 of (lanes, o, 3)
    taps = [tap for row in rows for tap in transform(row[..., 0], row[..., 1], row[..., 2])]
    sizes = np.abs(rows).transpose(0, 2, 1, 3).reshape(6, u.shape[1], -1)  # (6, o, lanes * 3)
    sums = np.add.accumulate(sizes, axis=2, dtype=F)[..., -1]
    limits = np.array([5, 8, 5, 3, 3, 5], F)
    return np.stack(taps, axis=-1), (sums * limits[:, None]).max(axis=0)


def collect(m: list[np.ndarray]) -> list[np.ndarray]:
    """Return A^T m in the kernels' order of additions, of integers or floats."""
    sum_12, difference_12 = m[1] + m[2], m[1] - m[2]
    sum_34, difference_34 = m[3] + m[4], m[3] - m[4]
    two, four = m[0].dtype.type(2), m[0].dtype.type(4)
    return [
        m[0] + sum_12 + sum_34,
        difference_12 + difference_34 * two,
        sum_12 + sum_34 * four,
        difference_12 + (difference_34 * two + m[5]) * four,
    ]


def winograd(
    args: Mapping[str, Any],
    u: np.ndarray,
    bias: np.ndarray,
    pack: Mapping[str, Any],
    x: np.ndarray,
    zero: int,
    residual: np.ndarray | None = None,
) -> np.ndarray:
    """Return conv_winograd's u8 (o, h, w) of steps x (c, h, w), u (lanes, o, 9), bias (runs, o).

    residual: steps (o, h, w).
    """
    lanes = np.frombuffer(pack["lanes"], "<i4")
    x = np.where(lanes[:, None, None] >= 0, x[lanes], zero)
    if args["plain"]:
        return _fixed(args, u, bias, pack, x, zero, residual)
    taps, reach = transformed_weights(u)  # (lanes, o, 36), (o,)
    f = factor(taps, pack["limit"], reach, 763)
    across = [[column.astype(F) for column in row] for row in _first_step(taps, f, x, zero)]
    y = _in_place(across, x.shape[1:]) * (F(pack["steps"]) / f)[:, None, None]
    return finish(args, y, bias, residual)


def _fixed(
    args: Mapping[str, Any],
    u: np.ndarray,
    bias: np.ndarray,
    pack: Mapping[str, Any],
    x: np.ndarray,
    zero: int,
    residual: np.ndarray | None,
) -> np.ndarray:
    """Return what a plain convolution gives: see pack.c and conv_winograd.c."""
    taps, _ = transformed_weights(u)
    steps, parts = F(pack["steps"]), pack["parts"]
    sizes = np.abs(u).swapaxes(0, 1).reshape(u.shape[1], -1)  # (o, lanes * 9)
    reach = np.add.accumulate(sizes, axis=1, dtype=F)[:, -1]
    reach = reach + (np.abs(bias).max(axis=0) + F(1)) / (steps * F(pack["limit"]))
    f = np.minimum(factor(taps, pack["limit"], reach, 6300), F(pack["most_units"]) * steps)
    units = f.astype(np.float64) / np.float64(steps)  # in a u8 step
    half = 0.5 - 0.5 / parts
    added = np.trunc((bias.astype(np.float64) + half) * units).astype(np.int64) + 2**12  # (runs, o)
    y = _in_place(_first_step(taps, f, x, zero), x.shape[1:])
    y = y + added.T[:, runs_of(args)[: y.shape[1], : y.shape[2]]]
    assert abs(y).max() < 2**31
    assert units.min() >= parts * 2**13
    fractions = np.minimum(np.floor(2.0**28 * parts / units + 0.5), 32767).astype(np.int64)
    y = fraction(saturated(y >> 13), fractions[:, None, None])
    if residual is not None:
        factors = np.frombuffer(args["residual_scales"], "<i2").astype(np.int64)
        other = fraction(residual.astype(np.int64) << 6, factors[: len(y), None, None])
        y = saturated(np.maximum(y, args["residual_floor"]) + other) >> 3
    return bend(y) if args["bent"] else np.clip(y, 0, 255).astype(np.uint8)


def saturated(x: np.ndarray) -> np.ndarray:
    """Return x within 16 bits."""
    return np.clip(x, -(2**15), 2**15 - 1)


def fraction(x: np.ndarray, by: np.ndarray | int) -> np.ndarray:
    """Return x * by / 2^15, rounded."""
    return (x * by + 2**14) >> 15


def _first_step(
    taps: np.ndarray, f: np.ndarray, x: np.ndarray, zero: int
) -> list[list[np.ndarray]]:
    """Return the first step of A^T m A, [6 rows][4 columns] of (o, rows, columns of tiles)."""
    q = np.rint(taps * f[:, None]).astype(np.int64)
    h, w = x.shape[1:]
    rows, columns = -(-h // 4), -(-w // 4)
    pads = ((0, 0), (1, 4 * rows + 1 - h), (1, 4 * columns + 1 - w))
    padded = np.pad(x.astype(np.int64), pads, constant_values=zero)
    # (lanes, rows, columns, 6, 6)
    tiles = sliding_window_view(padded, (6, 6), axis=(1, 2))[:, ::4, ::4]
    v = np.einsum("ij,ctsjk,lk->ilcts", BT, tiles, BT).reshape(36, len(x), rows * columns)
    assert abs(v).max() < 2**15
    m = [(q[..., tap].T @ v[tap]).reshape(-1, rows, columns) for tap in range(36)]
    return [collect(m[row * 6 : row * 6 + 6]) for row in range(6)]


def _in_place(across: list[list[np.ndarray]], size: tuple[int, ...]) -> np.ndarray:
    """Return the second step of A^T m A, (o, h, w)."""
    pixels = [collect([across[row][i] for row in range(6)]) for i in range(4)]  # [column][row]
    y = np.array(pixels).transpose(2, 3, 1, 4, 0)  # (o, rows, 4, columns, 4)
    return y.reshape(len(y), 4 * y.shape[1], 4 * y.shape[3])[:, : size[0], : size[1]]
