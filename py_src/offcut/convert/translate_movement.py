"""Translations of the operators that move values without computing."""

from __future__ import annotations

import numpy as np

from offcut.convert.fold import axes_of, slices_of, target_shape
from offcut.convert.translate import Site, translates
from offcut.errors import ModelFormatError
from offcut.graph import Node

__all__: list[str] = []  # filled into TRANSLATIONS by the decorators


@translates("Concat")
def concat(site: Site) -> list[Node]:
    """Copy, with the axis counted from the front."""
    axis = site.axis(1)
    return [site.make("Concat", *site.node.inputs, axis=axis)]


@translates("Reshape", "Flatten", "Squeeze", "Unsqueeze")
def reshape(site: Site) -> list[Node]:
    """Write any change of shape that keeps the order of values as Reshape."""
    shape = site.shape()
    if site.node.op == "Reshape":
        target = target_shape(site.node, shape, site.constant(1))
    elif site.node.op == "Flatten":
        axis = int(site.get("axis", 1))
        target = (int(np.prod(shape[:axis])), int(np.prod(shape[axis:])))
    else:
        axes = axes_of(site.node, [np.empty(0), *([site.constant(1)] if site.has(1) else [])])
        picture = np.broadcast_to(np.float32(0), shape)
        if site.node.op == "Unsqueeze":
            target = np.expand_dims(picture, axes or ()).shape
        else:
            target = np.squeeze(picture, axes or None).shape
    return [site.make("Reshape", site.node.inputs[0], shape=target)]


@translates("Transpose")
def transpose(site: Site) -> list[Node]:
    """Copy; without a permutation the axes are reversed."""
    perm = tuple(site.get("perm", range(len(site.shape()))[::-1]))
    return [site.make("Transpose", site.node.inputs[0], perm=perm)]


@translates("Expand")
def expand(site: Site) -> list[Node]:
    """Make the shape an attribute; where ONNX says one, the operand's size stays."""
    wanted = [int(extent) for extent in site.constant(1)]
    shape = np.broadcast_shapes(site.shape(), tuple(wanted))
    return [site.make("Expand", site.node.inputs[0], shape=shape)]


@translates("DepthToSpace", "SpaceToDepth")
def pixel_shuffle(site: Site) -> list[Node]:
    """Write the exchange of channels and cells as Reshape, Transpose, Reshape."""
    (n, c, h, w), x = site.shape(), site.node.inputs[0]
    block = int(site.get("blocksize", 1))
    if site.node.op == "SpaceToDepth":
        apart: tuple[int, ...] = (n, c, h // block, block, w // block, block)
        perm, shape = (0, 3, 5, 1, 2, 4), (n, c * block * block, h // block, w // block)
    elif site.get("mode", "DCR") == "DCR":
        apart = (n, block, block, c // (block * block), h, w)
        perm, shape = (0, 3, 4, 1, 5, 2), (n, c // (block * block), h * block, w * block)
    else:
        apart = (n, c // (block * block), block, block, h, w)
        perm, shape = (0, 1, 4, 2, 5, 3), (n, c // (block * block), h * block, w * block)
    return [
        site.make("Reshape", x, to=f"{site.output}/apart", shape=apart),
        site.make("Transpose", f"{site.output}/apart", to=f"{site.output}/moved", perm=perm),
        site.make("Reshape", f"{site.output}/moved", shape=shape),
    ]


@translates("Gather")
def gather(site: Site) -> list[Node]:
    """Write the choice of one index as Slice and Reshape; others are not supported."""
    shape, indices = site.shape(), site.constant(1)
    axis = site.axis(0)
    if indices.size != 1:
        raise site.unsupported(f"gathers {indices.size} places of a computed value, expected one")
    at, cut = range(shape[axis])[int(indices.item())], f"{site.output}/cut"
    ranges = {"starts": (at,), "ends": (at + 1,), "axes": (axis,), "steps": (1,)}
    rest = (*shape[:axis], *indices.shape, *shape[axis + 1 :])
    return [
        site.make("Slice", site.node.inputs[0], to=cut, **ranges),
        site.make("Reshape", cut, shape=rest),
    ]


@translates("Slice")
def slice_(site: Site) -> list[Node]:
    """Make the bounds, inputs since opset 10, attributes."""
    constants = [
        site.constant(at) if site.has(at) else np.empty(0) for at in range(1, len(site.node.inputs))
    ]
    rows = []
    for axis, part in slices_of(site.node, [np.empty(0), *constants]):
        start, stop, step = part.indices(site.shape()[axis])
        if step < 0:
            raise site.unsupported("negative steps are not supported")
        rows.append((start, max(start, stop), axis % len(site.shape()), step))
    starts, ends, axes, steps = (tuple(column) for column in zip(*rows, strict=True))
    x = site.node.inputs[0]
    return [site.make("Slice", x, starts=starts, ends=ends, axes=axes, steps=steps)]


@translates("Split")
def split(site: Site) -> list[Node]:
    """Write one Slice for each part."""
    axis = site.axis(0)
    count, extent = len(site.node.outputs), site.shape()[axis]
    if site.has(1):
        sizes = site.constant(1).tolist()
    else:
        chunk = -(-extent // int(site.get("num_outputs", count)))
        sizes = list(site.get("split", ())) or [
            min(chunk, extent - at * chunk) for at in range(count)
        ]
    if len(sizes) != count or sum(sizes) != extent:
        raise ModelFormatError(f"{site.node}: parts {sizes} do not make up {extent}")
    nodes, at = [], 0
    for size, to in zip(sizes, site.node.outputs, strict=True):
        ends = (at + size,)
        nodes.append(
            site.make(
                "Slice",
                site.node.inputs[0],
                to=to,
                starts=(at,),
                ends=ends,
                axes=(axis,),
                steps=(1,),
            )
        )
        at += size
    return nodes


@translates("Pad")
def pad(site: Site) -> list[Node]:
    """Make widths and value, inputs since opset 11, attributes."""
    rank = len(site.shape())
    widths = site.constant(1).tolist() if site.has(1) else list(site.get("pads", ()))
    if site.has(3):  # opset 18: the widths are of these axes only
        axes = [int(axis) % rank for axis in site.constant(3)]
        full = [0] * (2 * rank)
        for at, axis in enumerate(axes):
            full[axis], full[rank + axis] = widths[at], widths[at + len(axes)]
        widths = full
    if len(widths) != 2 * rank or any(width < 0 for width in widths):
        raise site.unsupported(f"pads are {widths}, expected {2 * rank} numbers from 0")
    mode = str(site.get("mode", "constant"))
    if mode not in ("constant", "edge", "reflect"):
        raise site.unsupported(f"mode is {mode!r}")
    value = float(site.constant(2).item()) if site.has(2) else float(site.get("value", 0.0))
    pads = tuple(int(width) for width in widths)
    return [site.make("Pad", site.node.inputs[0], pads=pads, mode=mode, value=value)]
