"""Lowering of elementwise operators: an Add of u8 planes, everything else in floats."""

from __future__ import annotations

import numpy as np

from offcut.backends.simd.attributes import text
from offcut.backends.simd.draft import Argument, Table
from offcut.backends.simd.lower import Lowering
from offcut.backends.simd.lower_affine import emit_add, emit_affine, emit_limits
from offcut.backends.simd.lower_conv_float import ACTIVATIONS
from offcut.backends.simd.values import Grid, Value
from offcut.graph import Node

__all__ = ["lower_add", "lower_combine", "lower_function", "lower_pow"]

# As in kernels/elementwise.c and activation.h.
COMBINE = {"": 0, "Add": 1, "Sub": 2, "Mul": 3, "Div": 4, "PRelu": 5, "Max": 6, "Min": 7}
FUNCTIONS = ACTIVATIONS | {"Clip": 5, "LeakyRelu": 6, "HardSigmoid": 7, "Sqrt": 8, "Tanh": 9}
FUNCTIONS |= dict.fromkeys(("Relu", "Relu6"), FUNCTIONS["Clip"])
# Attributes that become the kernel's p and q, with ONNX's defaults.
PARAMETERS = {
    "Clip": (("min", -np.inf), ("max", np.inf)),
    "Relu": (("", 0.0), ("", np.inf)),
    "Relu6": (("", 0.0), ("", 6.0)),
    "LeakyRelu": (("alpha", 0.01),),
    "HardSigmoid": (("alpha", 0.2), ("beta", 0.5)),
}
# Floats up to which rows are joined: long runs keep the processor fetching ahead, short ones leave
# some for each thread.
LEAST_RUN, MOST_RUN, RUNS = 4096, 16384, 32

LIMITS = {"Relu": (0.0, np.inf), "Clip": (-np.inf, np.inf)}


def lower_add(lw: Lowering, node: Node) -> str:
    """Emit an Add, of u8 planes where both are there."""
    first, second = node.inputs
    shapes, activation = lw.graph.shapes, text(node, "activation", "")
    if activation not in ACTIVATIONS:
        return f"activation {activation} has no kernel"
    steps = lw.range_of(node.name, activation)
    if shapes[first] == shapes[second] and steps and activation in ("", "Relu", "Relu6"):
        a, b = lw.preferred_u8(first), lw.preferred_u8(second)
        if a and b and _same_planes(a, b):
            emit_add(lw, node, a, b, steps)
            return ""
    if not activation and _emit_by_channel(lw, node):
        return ""
    return _emit(lw, node, node.inputs, "Add", activation)


def lower_combine(lw: Lowering, node: Node) -> str:
    """Emit an operator of two operands, one of which may be broadcast."""
    if len(node.inputs) != 2:
        return f"{node.op} has a kernel for two operands only"
    if node.op == "Mul" and _emit_by_channel(lw, node):
        return ""
    return _emit(lw, node, node.inputs, node.op, "")


def lower_pow(lw: Lowering, node: Node) -> str:
    """Emit a square."""
    exponent = lw.model.weights.get(node.inputs[1])
    if exponent is None or not np.all(exponent.decode() == 2):
        return "Pow has a kernel for squares only"
    return _emit(lw, node, (node.inputs[0],) * 2, "Mul", "")


def lower_function(lw: Lowering, node: Node) -> str:
    """Emit a function of one value; in u8 where it only sets limits."""
    if node.op in LIMITS:
        source = lw.u8.get(node.inputs[0])
        if source and source.uniform:
            low, high = (
                _number(node, name, limit)
                for name, limit in zip(("min", "max"), LIMITS[node.op], strict=True)
            )
            emit_limits(lw, node, source, low, high)
            return ""
    return _emit(lw, node, node.inputs, "", node.op)


def _emit(lw: Lowering, node: Node, operands: tuple[str, ...], how: str, function: str) -> str:
    extent = lw.extent(node.name)
    values = [_operand(lw, name, node.name) for name in operands]
    made = [value for value in values if value is not None]
    if extent is None or len(made) != len(operands):
        return f"{node.op} has no kernel for values of this shape"
    out = result = lw.draft.float_value(lw.graph.shapes[node.name][1], extent)
    if all(value.grid == extent and value.contiguous for value in made):
        if all(value.channels == out.channels for value in made):
            made, out = [value.in_one_channel() for value in made], out.in_one_channel()
    height, width, joined = out.grid.height, out.grid.width, _rows_to_join(out, made)
    args: dict[str, Argument] = {
        "out": Table(out.places),
        "h": height // joined,
        "w": width * joined,
        "combine": COMBINE[how],
        "activation": FUNCTIONS[function],
    }
    for side, value in zip("ab", (made[0], made[-1]), strict=True):  # one stands for both
        places = value.places if value.channels == out.channels else value.places * out.channels
        args[side] = Table(places)
        args[f"{side}_row"] = value.grid.width * joined if value.grid.height == height else 0
        args[f"{side}_column"] = int(value.grid.width == width)
    for key, (name, default) in zip("pq", PARAMETERS.get(function, ()), strict=False):
        args[key] = _number(node, name, default)
    units = out.channels * (height // joined)
    lw.emit("elementwise_float", units, args, (*made, out), name=node.name)
    lw.floats[node.name] = result
    return ""


def _rows_to_join(out: Value, operands: list[Value]) -> int:
    """Return how many rows can be taken as one: any number unless an operand is broadcast."""
    if any(value.grid != out.grid and value.grid != Grid(1, 1) for value in operands):
        return 1
    height, width = out.grid.height, out.grid.width
    run = min(max(out.channels * height * width // RUNS, LEAST_RUN), MOST_RUN)
    most = min(max(1, run // width), height)
    return next(n for n in range(most, 0, -1) if height % n == 0)


def _number(node: Node, name: str, default: float) -> float:
    number = node.attributes.get(name, default)
    assert isinstance(number, int | float), (node.name, name)
    return float(np.float32(number))


def _emit_by_channel(lw: Lowering, node: Node) -> bool:
    """Emit a Mul or Add of u8 planes and one number per channel, if it is one."""
    shapes, steps = lw.graph.shapes, lw.range_of(node.name)
    large, small = sorted(node.inputs, key=lambda name: -int(np.prod(shapes[name])))
    by_channel = shapes[small][-2:] == (1, 1) or int(np.prod(shapes[small])) == 1
    if steps is None or shapes[large] != shapes[node.name] or not by_channel:
        return False
    source = lw.u8.get(large)
    other = _operand(lw, small, node.name) if source and source.uniform else None
    if source is None or other is None or other.channels not in (1, source.channels):
        return False
    emit_affine(lw, node, source, other, steps)
    return True


def _operand(lw: Lowering, name: str, result: str) -> Value | None:
    """Return an operand in floats, each of its axes as long as the result's, or 1."""
    shape, wanted = lw.graph.shapes[name], lw.graph.shapes[result]
    aligned = (*[1] * (len(wanted) - len(shape)), *shape)
    if len(aligned) > 4 or len(aligned) < 2 or aligned[0] != 1:
        return None
    weight = lw.model.weights.get(name)
    if weight is None:
        return lw.as_floats(name) if len(shape) == len(wanted) else None
    grid = Grid(*(1, 1, *aligned[2:])[-2:])
    return lw.draft.constant_value(weight.decode(), aligned[1], grid)


def _same_planes(a: Value, b: Value) -> bool:
    same = [plane.channels for plane in a.planes] == [plane.channels for plane in b.planes]
    return same and a.uniform is not None and b.uniform is not None
