"""Builds ONNX graphs as exporters write them, with random weights, at any opset from 9 to 21."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

INPUT = "image"
IR_VERSION = 8


@dataclass
class Builder:
    """Nodes and weights so far; each method adds what a layer is exported as, returns its value.

    half: weights, input and output are float16. folded: BatchNorm is merged into the convolutions,
    as exporters do in inference mode.
    """

    opset: int
    size: tuple[int, int]
    half: bool = False
    folded: bool = False
    dynamic: bool = False  # the file leaves batch, height and width open
    seed: int = 1
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: list[onnx.TensorProto] = field(default_factory=list)
    channels: dict[str, int] = field(default_factory=lambda: {INPUT: 3})
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)
        self.sizes[INPUT] = self.size

    def add(self, op: str, *inputs: str, outputs: int = 1, **attributes: object) -> str:
        """Add a node and return its first output."""
        name = f"/{op}_{len(self.nodes)}"
        made = [f"{name}_output_{at}" for at in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, made, name=name, **attributes))
        return made[0]

    def weight(self, values: np.ndarray) -> str:
        """Add an initializer: floats in the graph's type, integers as they are."""
        if values.dtype.kind == "f":
            values = values.astype(np.float16 if self.half else np.float32)
        name = f"weight_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def constant(self, values: np.ndarray) -> str:
        """Add a Constant node."""
        return self.add("Constant", value=numpy_helper.from_array(values))

    def keep(self, value: str, like: str, channels: int = 0) -> str:
        """Note that `value` has the size of `like`, and its channels unless they are given."""
        self.channels[value] = channels or self.channels[like]
        self.sizes[value] = self.sizes[like]
        return value

    def conv(
        self,
        x: str,
        c: int,
        kernel: int = 3,
        *,
        stride: int = 1,
        dilation: int = 1,
        group: int = 1,
        bias: bool = True,
    ) -> str:
        """Convolve, padded to keep the size at stride 1."""
        c_in = self.channels[x] // group
        pad = dilation * (kernel // 2)
        shape = (c, c_in, kernel, kernel)
        scale = 1.4 / np.sqrt(c_in * kernel * kernel)
        inputs = [x, self.weight(self.random.standard_normal(shape) * scale)]
        if bias:
            inputs.append(self.weight(self.random.standard_normal(c) * 0.1))
        made = self.add(
            "Conv",
            *inputs,
            kernel_shape=[kernel] * 2,
            pads=[pad] * 4,
            strides=[stride] * 2,
            dilations=[dilation] * 2,
            group=group,
        )
        self.channels[made] = c
        h, w = ((extent - 1) // stride + 1 for extent in self.sizes[x])
        self.sizes[made] = h, w
        return made

    def batch_norm(self, x: str) -> str:
        """Normalise by constants per channel."""
        if self.folded:
            return x
        c = self.channels[x]
        rows = [
            1 + 0.2 * self.random.standard_normal(c),
            0.2 * self.random.standard_normal(c),
            0.1 * self.random.standard_normal(c),
            self.random.uniform(0.5, 1.5, c),
        ]
        names = [self.weight(row) for row in rows]
        return self.keep(self.add("BatchNormalization", x, *names, epsilon=1e-5), x)

    def instance_norm(self, x: str) -> str:
        """Normalise each channel by itself, without weights of its own."""
        c = self.channels[x]
        ones, zeros = self.weight(np.ones(c)), self.weight(np.zeros(c))
        return self.keep(self.add("InstanceNormalization", x, ones, zeros, epsilon=1e-5), x)

    def same(self, op: str, x: str, *more: str, **attributes: object) -> str:
        """Add an operator that keeps size and channels."""
        return self.keep(self.add(op, x, *more, **attributes), x)

    def relu6(self, x: str) -> str:
        """Limit to [0, 6]: attributes before opset 11, inputs since."""
        if self.opset < 11:
            return self.same("Clip", x, min=0.0, max=6.0)
        kind = np.float16 if self.half else np.float32
        bounds = [self.constant(np.array(bound, kind)) for bound in (0, 6)]
        return self.same("Clip", x, *bounds)

    def pool(self, x: str) -> str:
        """Halve by MaxPool; an odd last row is kept (ceil_mode, which opset 10 introduced)."""
        ceil = {"ceil_mode": 1} if self.opset >= 10 else {}
        made = self.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2], **ceil)
        self.channels[made] = self.channels[x]
        h, w = ((extent + 1) // 2 if ceil else extent // 2 for extent in self.sizes[x])
        self.sizes[made] = h, w
        return made

    def concat(self, *parts: str) -> str:
        """Join along the channels."""
        total = sum(self.channels[part] for part in parts)
        return self.keep(self.add("Concat", *parts, axis=1), parts[0], total)

    def slice(self, x: str, begin: int, end: int) -> str:
        """Take channels: attributes before opset 10, inputs since."""
        if self.opset < 10:
            made = self.add("Slice", x, axes=[1], starts=[begin], ends=[end])
        else:
            rows = [self.constant(np.array([v])) for v in (begin, end, 1, 1)]
            made = self.add("Slice", x, *rows)
        return self.keep(made, x, end - begin)

    def unsqueeze(self, x: str, axis: int) -> str:
        """Insert an axis: an attribute before opset 13, an input since."""
        if self.opset < 13:
            return self.add("Unsqueeze", x, axes=[axis])
        return self.add("Unsqueeze", x, self.constant(np.array([axis])))

    def size_of(self, x: str) -> list[str]:
        """Spell height and width out as exporters do: Shape, Gather, Unsqueeze."""
        places = []
        for axis in (2, 3):
            index = self.constant(np.array(axis))
            places.append(self.unsqueeze(self.add("Gather", self.add("Shape", x), index), 0))
        return places

    def resize_like(self, x: str, other: str) -> str:
        """Resize linearly to another value's size, read from the graph since opset 11."""
        coordinates = "pytorch_half_pixel" if self.opset < 17 else "half_pixel"
        if self.opset < 11:
            ratios = np.array(self.sizes[other]) / np.array(self.sizes[x])
            made = self._scaled(x, *ratios)
        else:
            batch = self.add("Slice", self.add("Shape", x), *map(self.constant, _range(0, 2)))
            sizes = self.add("Concat", batch, *self.size_of(other), axis=0)
            sizes = self.add("Cast", sizes, to=TensorProto.INT64)
            roi = self.constant(np.empty(0, np.float32)) if self.opset < 13 else ""
            made = self.add(
                "Resize",
                x,
                roi,
                self.constant(np.empty(0, np.float32)) if self.opset < 13 else "",
                sizes,
                mode="linear",
                coordinate_transformation_mode=coordinates,
            )
        self.channels[made], self.sizes[made] = self.channels[x], self.sizes[other]
        return made

    def resize_by(self, x: str, factor: float) -> str:
        """Resize linearly by a constant factor."""
        made = self._scaled(x, factor, factor)
        self.channels[made] = self.channels[x]
        h, w = (int(extent * factor) for extent in self.sizes[x])
        self.sizes[made] = h, w
        return made

    def _scaled(self, x: str, rows: float, columns: float) -> str:
        scales = self.constant(np.array([1, 1, rows, columns], np.float32))
        if self.opset < 11:
            op = "Upsample" if self.opset < 10 else "Resize"
            return self.add(op, x, scales, mode="linear")
        roi = self.constant(np.empty(0, np.float32)) if self.opset < 13 else ""
        coordinates = {"coordinate_transformation_mode": "half_pixel"}
        return self.add("Resize", x, roi, scales, mode="linear", **coordinates)

    def linear(self, x: str, c: int) -> str:
        """Multiply a row vector (1, c_in) by a matrix, as Linear without bias is exported."""
        matrix = self.random.standard_normal((self.channels[x], c)) / np.sqrt(self.channels[x])
        return self.keep(self.add("MatMul", x, self.weight(matrix)), x, c)

    def model(self, outputs: list[str]) -> onnx.ModelProto:
        """Return the checked model."""
        kind = TensorProto.FLOAT16 if self.half else TensorProto.FLOAT
        shape = ["n", 3, "h", "w"] if self.dynamic else [1, 3, *self.size]
        graph = helper.make_graph(
            self.nodes,
            "network",
            [helper.make_tensor_value_info(INPUT, kind, shape)],
            [helper.make_tensor_value_info(name, kind, ["n", "c", "y", "x"]) for name in outputs],
            self.weights,
        )
        ir = max(IR_VERSION, 10 if self.opset >= 21 else 0)
        opsets = [helper.make_opsetid("", self.opset)]
        made = helper.make_model(graph, opset_imports=opsets, ir_version=ir)
        onnx.checker.check_model(made)
        return made


def _range(start: int, end: int) -> list[np.ndarray]:
    return [np.array([value]) for value in (start, end, 0)]
