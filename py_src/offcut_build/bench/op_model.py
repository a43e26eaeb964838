"""One operator as an ONNX file: a Loop around it, so that it can be timed without its surroundings.

The loop's trip count is an input. The time of 1 + k trips less that of one trip is k times the
operator's: copying values in and out of WebAssembly, and the call itself, drop out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from offcut_build.bench.op import Op

__all__ = ["onnx_bytes", "shape_out", "weights"]

OPSET = 17
CLIPPED = {"Relu6": (0.0, 6.0)}


def weights(op: Op) -> list[np.ndarray]:
    """Return the constant operands, the same everywhere: sines, about one over the fan-in's root.

    pages/bench_ops.py makes the same.
    """
    made = []
    for shape in op.weights:
        count = int(np.prod(shape))
        fan_in = max(1, count // shape[0])
        wave = np.sin(np.arange(count, dtype=np.float64) * 1.7 + 1.0) * (2.0 / fan_in) ** 0.5
        made.append(wave.astype(np.float32).reshape(shape))
    return made


def onnx_bytes(op: Op) -> bytes:
    """Return the file: inputs x0.. and `trips`; output y, after so many trips."""
    nodes, initializers = _nodes(op)
    condition = helper.make_tensor_value_info("go", TensorProto.BOOL, [])
    trip = helper.make_tensor_value_info("trip", TensorProto.INT64, [])
    before = helper.make_tensor_value_info("before", TensorProto.FLOAT, None)
    after = helper.make_tensor_value_info("y_each", TensorProto.FLOAT, None)
    go_on = helper.make_tensor_value_info("go_on", TensorProto.BOOL, [])
    nodes.append(helper.make_node("Identity", ["go"], ["go_on"]))
    body = helper.make_graph(
        nodes, "body", [trip, condition, before], [go_on, after], initializer=initializers
    )
    loop = helper.make_node("Loop", ["trips", "", "nothing"], ["y"], body=body)
    inputs = [helper.make_tensor_value_info("trips", TensorProto.INT64, [])]
    inputs += [
        helper.make_tensor_value_info(f"x{at}", TensorProto.FLOAT, shape)
        for at, shape in enumerate(op.inputs)
    ]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    nothing = numpy_helper.from_array(np.zeros((), np.float32), "nothing")
    graph = helper.make_graph([loop], "op", inputs, [output], initializer=[nothing])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    return model.SerializeToString()


def shape_out(op: Op) -> tuple[int, ...]:
    """Return the shape of the operator's result, as ONNX infers it."""
    nodes, initializers = _nodes(op)
    inputs = [
        helper.make_tensor_value_info(f"x{at}", TensorProto.FLOAT, shape)
        for at, shape in enumerate(op.inputs)
    ]
    output = helper.make_tensor_value_info("y_each", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "op", inputs, [output], initializer=initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    dims = inferred.graph.output[0].type.tensor_type.shape.dim
    return tuple(dim.dim_value for dim in dims)


def _nodes(op: Op) -> tuple[list[Any], list[Any]]:
    """Return the operator's nodes, which end in y_each, and their initializers."""
    constants = [numpy_helper.from_array(w, f"w{at}") for at, w in enumerate(weights(op))]
    names = [f"x{at}" for at in range(len(op.inputs))] + [c.name for c in constants]
    attributes = dict(op.attributes)
    activation = attributes.pop("activation", "")
    if op.op == "Resize":
        size = (*op.inputs[0][:2], *attributes.pop("size"))
        constants.append(numpy_helper.from_array(np.array(size, np.int64), "size"))
        names += ["", "", "size"]
    if op.op == "Slice":
        for key in ("starts", "ends", "axes", "steps"):
            value = np.array(attributes.pop(key), np.int64)
            constants.append(numpy_helper.from_array(value, key))
            names.append(key)
    if op.op in ("Conv", "ConvTranspose"):
        attributes["kernel_shape"] = op.weights[0][2:]
    made = "y_plain" if activation else "y_each"
    nodes = [helper.make_node(op.op, names, [made], **attributes)]
    if activation in CLIPPED:
        for name, bound in zip(("low", "high"), CLIPPED[activation], strict=True):
            constants.append(numpy_helper.from_array(np.array(bound, np.float32), name))
        nodes.append(helper.make_node("Clip", [made, "low", "high"], ["y_each"]))
    elif activation:
        nodes.append(helper.make_node(activation, [made], ["y_each"]))
    return nodes, constants
