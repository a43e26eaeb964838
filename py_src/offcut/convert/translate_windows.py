"""Translations of the operators that slide a window: convolutions, pools, resizing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from offcut.convert.translate import Site, translates
from offcut.errors import ModelFormatError
from offcut.graph import Attribute, Node, Shape
from offcut.ops.resize import COORDINATES, MODES, NEAREST

__all__: list[str] = []  # filled into TRANSLATIONS by the decorators

Pair = tuple[int, int]


@translates("Conv", "ConvTranspose")
def conv(site: Site) -> list[Node]:
    """Resolve automatic padding; the kernel's size is the weight's."""
    kernel = site.constant(1).shape[2:]
    if len(site.shape()) != 4 or len(kernel) != 2:
        raise site.unsupported(f"{len(site.shape()) - 2} spatial axes, expected 2")
    if site.has(2) and len(site.shape(2)) != 1:
        raise ModelFormatError(f"{site.node}: its bias has the shape {site.shape(2)}")
    strides = _pair(site, "strides")
    dilations = _pair(site, "dilations")
    inputs = [name for name in site.node.inputs if name]
    group = int(site.get("group", 1))
    if site.node.op == "Conv":
        pads = _pads(site, kernel, strides, dilations)
        return [
            site.make("Conv", *inputs, strides=strides, pads=pads, dilations=dilations, group=group)
        ]
    extra = _pair(site, "output_padding", 0)
    return [
        site.make(
            "ConvTranspose",
            *inputs,
            strides=strides,
            pads=_transposed_pads(site, kernel, strides, dilations, extra),
            dilations=dilations,
            output_padding=extra,
            group=group,
        )
    ]


def _transposed_pads(
    site: Site, kernel: Sequence[int], strides: Pair, dilations: Pair, extra: Pair
) -> tuple[int, ...]:
    """Return what a ConvTranspose cuts off, which may follow from the output's shape."""
    auto = site.get("auto_pad", "NOTSET")
    said = site.get("output_shape", ())
    if not said and auto in ("NOTSET", "VALID"):
        return _four(site, site.get("pads", (0, 0, 0, 0)) if auto == "NOTSET" else (0, 0, 0, 0))
    size = site.shape()[2:]
    wanted = said[-2:] or [size[axis] * strides[axis] for axis in (0, 1)]
    cuts = []
    for axis in (0, 1):
        whole = strides[axis] * (size[axis] - 1) + extra[axis]
        total = whole + (kernel[axis] - 1) * dilations[axis] + 1 - wanted[axis]
        begin = total // 2 if auto == "SAME_UPPER" else total - total // 2
        cuts.append((begin, total - begin))
    return _four(site, [cuts[0][0], cuts[1][0], cuts[0][1], cuts[1][1]])


@translates("MaxPool")
def max_pool(site: Site) -> list[Node]:
    """Resolve automatic padding. The second output, the indices, is not supported."""
    if len(site.node.outputs) > 1:
        raise site.unsupported("its second output (Indices) is used")
    kernel = _pair(site, "kernel_shape")
    strides, dilations = _pair(site, "strides"), _pair(site, "dilations")
    return [
        site.make(
            "MaxPool",
            site.node.inputs[0],
            kernel_shape=kernel,
            strides=strides,
            pads=_pads(site, kernel, strides, dilations),
            dilations=dilations,
            ceil_mode=int(site.get("ceil_mode", 0)),
        )
    ]


@translates("AveragePool")
def average_pool(site: Site) -> list[Node]:
    """Resolve automatic padding."""
    kernel, strides = _pair(site, "kernel_shape"), _pair(site, "strides")
    if _pair(site, "dilations") != (1, 1):
        raise site.unsupported("dilations are not supported")
    return [
        site.make(
            "AveragePool",
            site.node.inputs[0],
            kernel_shape=kernel,
            strides=strides,
            pads=_pads(site, kernel, strides, (1, 1)),
            ceil_mode=int(site.get("ceil_mode", 0)),
            count_include_pad=int(site.get("count_include_pad", 0)),
        )
    ]


@translates("GlobalAveragePool")
def global_average_pool(site: Site) -> list[Node]:
    """Copy."""
    return [site.make("GlobalAveragePool", site.node.inputs[0])]


@translates("GlobalMaxPool")
def global_max_pool(site: Site) -> list[Node]:
    """Write it as a pool of the whole map."""
    h, w = site.shape()[2:]
    return [site.make("MaxPool", site.node.inputs[0], kernel_shape=(h, w), strides=(1, 1))]


@translates("Resize", "Upsample")
def resize(site: Site) -> list[Node]:
    """Keep the data input only; sizes and scales become the attribute `size`."""
    size_in = site.shape()
    if len(size_in) != 4:
        raise site.unsupported(f"input has {len(size_in)} axes, expected 4")
    mode = str(site.get("mode", "nearest"))
    if mode not in MODES:
        raise site.unsupported(f"mode is {mode!r}, known: {', '.join(MODES)}")
    wanted, scales = _resized(site, size_in)
    if wanted[:2] != size_in[:2]:
        raise site.unsupported("resizes batch or channels")
    coordinates, rounding = _coordinates(site, size_in, wanted, mode)
    if coordinates == "half_pixel_symmetric" and not scales:
        coordinates = "half_pixel"  # it differs where a size is not the scaled one only
    attributes: dict[str, Attribute] = {
        "size": wanted[2:],
        "mode": mode,
        "coordinate_transformation_mode": coordinates,
    }
    if mode == "nearest":
        attributes["nearest_mode"] = rounding
    if mode == "cubic":
        attributes["cubic_coeff_a"] = float(site.get("cubic_coeff_a", -0.75))
        attributes["exclude_outside"] = int(site.get("exclude_outside", 0))
    if scales and coordinates != "align_corners":
        attributes["scales"] = scales
    return [Node("Resize", site.node.inputs[:1], (site.output,), attributes)]


def _resized(site: Site, size_in: Shape) -> tuple[Shape, tuple[float, ...]]:
    """Return the output's shape, from whichever of attribute, scales and sizes the opset has.

    With it the scales of rows and columns, if they are not the ratios of the sizes.
    """
    if site.get("antialias", 0) or site.get("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise site.unsupported("antialias and keep_aspect_ratio_policy are not supported")
    old = site.node.op == "Upsample" or site.opset < 11
    axes = tuple(int(axis) % 4 for axis in site.get("axes", (0, 1, 2, 3)))
    wanted, factors = list(size_in), [1.0] * 4
    if not old and site.has(3):
        for axis, extent in zip(axes, _numbers(site, 3, axes), strict=True):
            wanted[axis] = int(extent)
        return tuple(wanted), ()
    if "scales" in site.node.attributes:
        scales: Sequence[float] = site.node.attributes["scales"]
    else:
        scales = _numbers(site, 1 if old else 2, axes)
    for axis, scale in zip(axes, scales, strict=True):
        # In float32, as exporters and runtimes do: 161 * (321 / 161) is 321 there.
        factors[axis] = float(np.float32(scale))
        wanted[axis] = int(np.float32(scale) * np.float32(size_in[axis]))
    ratios = [np.float32(n / m) for n, m in zip(wanted, size_in, strict=True)]
    same = all(ratio == np.float32(f) for ratio, f in zip(ratios, factors, strict=True))
    return tuple(wanted), () if same else tuple(factors[2:])


def _numbers(site: Site, at: int, axes: Sequence[int]) -> list[float]:
    if not site.has(at):
        raise ModelFormatError(f"{site.node}: states neither scales nor sizes")
    values = site.constant(at).reshape(-1)
    if values.size != len(axes) or not np.isfinite(values).all() or (values <= 0).any():
        raise ModelFormatError(f"{site.node}: sizes or scales are {values[:8].tolist()}")
    listed: list[float] = values.tolist()
    return listed


def _coordinates(site: Site, size_in: Shape, wanted: Shape, mode: str) -> tuple[str, str]:
    """Return coordinate_transformation_mode and nearest_mode, which opset 11 introduced.

    Before that, runtimes took the cell before a position when enlarging, the one after it when
    shrinking.
    """
    if site.node.op == "Upsample" or site.opset < 11:
        shrinks = [wanted[axis] < size_in[axis] for axis in (2, 3)]
        if mode == "nearest" and shrinks[0] != shrinks[1]:
            raise site.unsupported("shrinks one axis only by nearest cells, before opset 11")
        return "asymmetric", "ceil" if shrinks[0] else "floor"
    coordinates = str(site.get("coordinate_transformation_mode", "half_pixel"))
    if coordinates not in COORDINATES:
        raise site.unsupported(f"coordinate_transformation_mode is {coordinates!r}")
    rounding = str(site.get("nearest_mode", "round_prefer_floor"))
    if rounding not in NEAREST:
        raise site.unsupported(f"nearest_mode is {rounding!r}")
    return coordinates, rounding


def _pair(site: Site, name: str, default: int = 1) -> Pair:
    values = site.get(name, (default, default))
    if len(values) != 2:
        raise site.unsupported(f"{name} is {values}, expected two numbers")
    return int(values[0]), int(values[1])


def _four(site: Site, values: Sequence[int]) -> tuple[int, ...]:
    if len(values) != 4 or any(value < 0 for value in values):
        raise site.unsupported(f"pads are {tuple(values)}, expected four numbers from 0")
    return tuple(values)


def _pads(
    site: Site, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> tuple[int, ...]:
    """Return (top, left, bottom, right) with `auto_pad` resolved."""
    auto = site.get("auto_pad", "NOTSET")
    if auto == "NOTSET":
        return _four(site, site.get("pads", (0, 0, 0, 0)))
    if auto == "VALID":
        return 0, 0, 0, 0
    begins, ends = [], []
    for axis in (0, 1):
        size = site.shape()[2 + axis]
        size_out = -(-size // strides[axis])
        reach = (size_out - 1) * strides[axis] + (kernel[axis] - 1) * dilations[axis] + 1
        total = max(reach - size, 0)
        small, large = total // 2, total - total // 2
        begins.append(small if auto == "SAME_UPPER" else large)
        ends.append(large if auto == "SAME_UPPER" else small)
    return (*begins, *ends)
