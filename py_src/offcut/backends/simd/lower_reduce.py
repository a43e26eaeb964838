"""Lowering of reductions over whole channels, and of normalisation by them."""

from __future__ import annotations

import numpy as np

from offcut.backends.simd.attributes import integer
from offcut.backends.simd.draft import Argument, Table
from offcut.backends.simd.lower import Lowering
from offcut.backends.simd.lower_affine import emit_normalization
from offcut.backends.simd.values import Grid, Quantization, Value
from offcut.graph import Node

__all__ = ["lower_instance_normalization", "lower_reduce"]

KINDS = {"ReduceSum": 0, "ReduceMean": 1, "GlobalAveragePool": 1, "ReduceMax": 2}  # reduce.c


def lower_reduce(lw: Lowering, node: Node) -> str:
    """Emit a reduction of each channel to one number."""
    shape = lw.graph.shapes[node.inputs[0]]
    if node.op != "GlobalAveragePool":
        axes = node.attributes["axes"]
        assert isinstance(axes, tuple)
        if sorted(int(axis) % len(shape) for axis in axes) != [2, 3]:
            return f"{node.op} has a kernel for axes 2 and 3 only"
        if not integer(node, "keepdims", 1) and lw.extent(node.name) is None:
            return f"{node.op} has no kernel for this shape"
    planes = lw.u8.get(node.inputs[0])
    if planes and planes.uniform and node.op != "ReduceMax":
        _emit_u8(lw, node, planes, planes.uniform)
        return ""
    source = lw.as_floats(node.inputs[0])
    if source is None or len(shape) != 4:
        return f"{node.inputs[0]} cannot be stored as floats"
    out = lw.draft.float_value(source.channels, Grid(1, 1))
    args: dict[str, Argument] = {
        "in": Table(source.places),
        "out": Table(out.places),
        "count": source.grid.height * source.grid.width,
        "kind": KINDS[node.op],
    }
    lw.emit("reduce_float", source.channels, args, (source, out), name=node.name)
    lw.floats[node.name] = out
    return ""


def _emit_u8(lw: Lowering, node: Node, source: Value, q: Quantization) -> None:
    """Emit a sum or mean of each channel of u8 planes, in floats."""
    cells = source.grid.height * source.grid.width
    share = 1.0 if node.op == "ReduceSum" else 1.0 / cells
    out = lw.draft.float_value(source.channels, Grid(1, 1))
    args: dict[str, Argument] = {
        "in": Table(source.places),
        "out": Table(out.places),
        "planes": len(source.planes),
        "counts": source.counts,
        "h": source.grid.height,
        "w": source.grid.width,
        "pitch_in": source.grid.pitch,
        "scale": q.scale * share,
        "least": q.zero * cells,
    }
    lw.emit("reduce_u8", len(source.planes), args, (source, out), name=node.name)
    lw.floats[node.name] = out


def lower_instance_normalization(lw: Lowering, node: Node) -> str:
    """Emit an InstanceNormalization with constant scale and bias."""
    weights = [lw.model.weights.get(name) for name in node.inputs[1:]]
    if not all(weights):
        return "InstanceNormalization needs constant parameters"
    epsilon = node.attributes.get("epsilon", 1e-5)
    assert isinstance(epsilon, int | float)
    planes, steps = lw.u8.get(node.inputs[0]), lw.range_of(node.name)
    if planes and planes.uniform and steps:
        parts = [
            lw.draft.constant_value(weight.decode(), planes.channels, Grid(1, 1))
            for weight in weights
            if weight
        ]
        emit_normalization(lw, node, planes, parts, epsilon, steps)
        return ""
    source = lw.as_floats(node.inputs[0])
    if source is None:
        return f"{node.inputs[0]} cannot be stored as floats"
    out = lw.draft.float_value(source.channels, source.grid)
    parameters = np.stack([weight.decode() for weight in weights if weight], axis=1)
    args: dict[str, Argument] = {
        "in": Table(source.places),
        "out": Table(out.places),
        "count": source.grid.height * source.grid.width,
        "parameters": np.ascontiguousarray(parameters, "<f4").tobytes(),
        "epsilon": epsilon,
    }
    lw.emit("normalize_float", source.channels, args, (source, out), name=node.name)
    lw.floats[node.name] = out
    return ""
