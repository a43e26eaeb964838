"""Lowering of pooling, of u8 planes and of floats."""

from __future__ import annotations

from offcut.backends.simd.attributes import integer, pads, pair
from offcut.backends.simd.conv_shape import windows_scratch
from offcut.backends.simd.draft import Argument, Table
from offcut.backends.simd.lower import Lowering
from offcut.backends.simd.values import Value
from offcut.graph import Node

__all__ = ["lower_pool", "planes_of"]

KERNELS = {"MaxPool": "max_pool", "AveragePool": "average_pool"}


def lower_pool(lw: Lowering, node: Node) -> str:
    """Emit a MaxPool or AveragePool."""
    grid = lw.grid(node.name)
    if grid is None or len(node.outputs) > 1:
        return f"{node.op} needs batch 1 and one output"
    source = lw.preferred_u8(node.inputs[0])
    if source and source.bent and node.op == "AveragePool":
        source = None
    value = source or lw.as_floats(node.inputs[0])
    if value is None:
        return f"{node.inputs[0]} cannot be stored as floats"
    kernel, strides, dilations = (
        pair(node, name) for name in ("kernel_shape", "strides", "dilations")
    )
    top, left, bottom, right = pads(node)
    if kernel[0] * kernel[1] > 1 << 15:
        return f"a window of {kernel} cells could overflow"
    if source:
        out = lw.u8[node.name] = lw.draft.u8_planes(source.planes, grid)
    else:
        out = lw.floats[node.name] = lw.draft.float_value(value.channels, grid)
    args: dict[str, Argument] = {
        **planes_of(value, out),
        "kernel_h": kernel[0],
        "kernel_w": kernel[1],
        "stride_h": strides[0],
        "stride_w": strides[1],
        "dilation_h": dilations[0],
        "dilation_w": dilations[1],
        "pad_top": top,
        "pad_left": left,
    }
    if node.op == "AveragePool":
        args["count_padding"] = integer(node, "count_include_pad", 0)
        args["h_end"] = value.grid.height + bottom
        args["w_end"] = value.grid.width + right
    if source:
        lw.emit(KERNELS[node.op], grid.height, args, (value, out), name=node.name)
    else:
        units = value.channels * grid.height
        scratch = windows_scratch(grid.width, kernel, strides[1], dilations)
        name = f"{KERNELS[node.op]}_float"
        lw.emit(name, units, args, (value, out), scratch=scratch, name=node.name)
    return ""


def planes_of(source: Value, out: Value) -> dict[str, Argument]:
    """Return the arguments that tell where two values are and their sizes."""
    args: dict[str, Argument] = {"in": Table(source.places), "out": Table(out.places)}
    args |= {"h_in": source.grid.height, "w_in": source.grid.width, "pitch_in": source.grid.pitch}
    args |= {"h_out": out.grid.height, "w_out": out.grid.width, "pitch_out": out.grid.pitch}
    return args | {"planes": len(source.planes)}
