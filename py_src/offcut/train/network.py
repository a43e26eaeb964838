"""A graph as a PyTorch module: the same operators, differentiable, at any input size.

Static sizes of the graph become ratios: a Resize that doubles 160 to 320 doubles whatever comes. So
a network can be trained on small crops and measured at its own size.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from offcut.convert.draft import Draft, rebuilt
from offcut.errors import UnsupportedOperatorError
from offcut.graph import Graph, Node
from offcut.ops.conv import border_runs

__all__ = ["OPERATORS", "Network", "draft_of", "window"]

Operator = Callable[[Node, list[Tensor], Graph], Tensor]
OUR_BILINEAR = {"half_pixel", "pytorch_half_pixel"}


class Network(nn.Module):
    """The graph's operators in order; its weights are parameters, float32.

    quantizers: modules through which weights go before they are used, by their names' order in
    `quantized`; see fake_quant.py. means: of what a convolution reads, with its weight's name, by
    the name of its bias, where that is centred.
    """

    def __init__(self, graph: Graph, weights: Mapping[str, np.ndarray]) -> None:
        super().__init__()
        unknown = sorted({node.op for node in graph.nodes} - set(OPERATORS))
        if unknown:
            raise UnsupportedOperatorError(
                f"training: operator {unknown[0]} is not supported, known are "
                f"{', '.join(OPERATORS)}"
            )
        self.graph = graph
        self.names = graph.weight_names
        self.tensors = nn.ParameterList(
            nn.Parameter(torch.tensor(np.asarray(weights[name]), dtype=torch.float32))
            for name in self.names
        )
        self.quantized: tuple[str, ...] = ()
        self.quantizers = nn.ModuleList()
        self.means: dict[str, tuple[str, Tensor]] = {}

    def quantize(self, quantizers: Mapping[str, nn.Module]) -> None:
        """Send weights through modules from now on, by name."""
        self.quantized, self.quantizers = tuple(quantizers), nn.ModuleList(quantizers.values())

    @torch.no_grad()
    def centre(self, means: Mapping[str, np.ndarray]) -> None:
        """Train biases as what their convolutions make on average, from now on.

        means: (c,) of what a convolution sees, by its weight's name. Behind a ReLU means are far
        from zero: a weight that moves moves the mean of its row most of all, and so do all others,
        which hides what each could do. With its mean kept, a row moves apart from its neighbours.
        """
        for node in self.graph.nodes:
            if node.op == "Conv" and len(node.inputs) == 3 and node.inputs[1] in means:
                if int(node.attributes.get("group", 1)) == 1:  # type: ignore[arg-type]  # by its op
                    mean = torch.tensor(means[node.inputs[1]], dtype=torch.float32)
                    self.means[node.inputs[2]] = (node.inputs[1], mean)
        values = self._weights()
        for name in self.means:
            parameter = self.tensor(name)
            parameter += parameter - values[name]

    def _weights(self) -> dict[str, Tensor]:
        """Return weights and biases as the operators use them, by name."""
        values: dict[str, Tensor] = dict(zip(self.names, self.tensors, strict=True))
        for name, quantizer in zip(self.quantized, self.quantizers, strict=True):
            values[name] = quantizer(values[name])
        for name, (weight, mean) in self.means.items():
            made = (values[weight].sum(dim=(2, 3)) * mean).sum(dim=1)  # (o,)
            values[name] = values[name] - made.reshape(-1, *[1] * (values[name].ndim - 1))
        return values

    def tensor(self, name: str) -> nn.Parameter:
        """Return a weight, as it is before any quantizer."""
        return self.tensors[self.names.index(name)]

    def coded_bytes(self) -> Tensor:
        """Return what the quantized weights' levels take in a file, about, with its derivative."""
        values = dict(zip(self.names, self.tensors, strict=True))
        rows = zip(self.quantized, self.quantizers, strict=True)
        bits = [row.bits(values[name]) for name, row in rows]
        return torch.stack(bits).sum() / 8

    def forward(self, x: Tensor, keep: Collection[str] = ()) -> dict[str, Tensor]:
        """Return the graph's outputs, and the values named in `keep`, for x (n, 3, h, w)."""
        graph, last = self.graph, self.graph.last_uses()
        values = self._weights()
        values[graph.inputs[0]] = x
        wanted = {*graph.outputs, *keep}
        for at, node in enumerate(graph.nodes):
            operands = [values[name] for name in node.inputs if name]
            values[node.name] = OPERATORS[node.op](node, operands, graph)
            for name in node.inputs:
                if last.get(name) == at and name not in wanted:
                    values.pop(name, None)
        return {name: values[name] for name in wanted}

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the weights before any quantizer and all biases, float64 as a Draft has them."""
        values = dict(zip(self.names, self.tensors, strict=True))
        values |= {name: tensor for name, tensor in self._weights().items() if name in self.means}
        return {name: tensor.detach().double().numpy() for name, tensor in values.items()}


def draft_of(network: Network, draft: Draft) -> Draft:
    """Return the draft with the network's weights; the statistics no longer hold and go."""
    bare = Draft(draft.graph, draft.weights, record=draft.record)
    return rebuilt(bare, draft.graph.nodes, network.arrays())


def _activate(x: Tensor, node: Node) -> Tensor:
    name = str(node.attributes.get("activation", ""))
    if name not in ACTIVATIONS:
        raise UnsupportedOperatorError(f"training: activation {name!r} of {node.name}")
    return ACTIVATIONS[name](x)


def _conv(node: Node, operands: list[Tensor], graph: Graph) -> Tensor:
    x, w, *rest = operands
    strides, dilations, pads = window(node)
    bias = rest[0] if rest else None
    bordered = bias is not None and bias.ndim == 3
    top, left, bottom, right = pads
    size = x.shape[2:]
    if (top, left) != (bottom, right):
        x, top, left = F.pad(x, (left, right, top, bottom)), 0, 0
    y = F.conv2d(
        x,
        w,
        None if bordered else bias,
        stride=strides,
        padding=(top, left),
        dilation=dilations,
        groups=int(node.attributes.get("group", 1)),  # type: ignore[arg-type]  # by its op
    )
    if bordered:
        assert bias is not None
        rows, columns = (
            torch.from_numpy(
                border_runs(size[a], w.shape[2 + a], strides[a], dilations[a], pads[a], pads[2 + a])
            )
            for a in (0, 1)
        )
        y = y + bias[:, rows[:, None], columns]
    return _activate(y, node)


def window(node: Node) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int, int, int]]:
    """Return strides, dilations and pads (top, left, bottom, right)."""
    read = node.attributes.get
    strides, dilations, pads = (
        read("strides", (1, 1)),
        read("dilations", (1, 1)),
        read("pads", (0,) * 4),
    )
    return tuple(strides), tuple(dilations), tuple(pads)  # type: ignore[arg-type,return-value]


def _max_pool(node: Node, operands: list[Tensor], graph: Graph) -> Tensor:
    strides, dilations, pads = window(node)
    if pads[:2] != pads[2:]:
        raise UnsupportedOperatorError(f"training: uneven padding of MaxPool {node.name}")
    kernel = tuple(node.attributes["kernel_shape"])  # type: ignore[arg-type]  # by its op
    ceil = bool(node.attributes.get("ceil_mode", 0))
    return F.max_pool2d(operands[0], kernel, strides, pads[:2], dilations, ceil)


def _resize(node: Node, operands: list[Tensor], graph: Graph) -> Tensor:
    x = operands[0]
    before, after = graph.shapes[node.inputs[0]], graph.shapes[node.name]
    size = [round(x.shape[a] * after[a] / before[a]) for a in (2, 3)]
    mode = node.attributes.get("mode", "nearest")
    positions = node.attributes.get("coordinate_transformation_mode", "half_pixel")
    if mode != "linear" or positions not in (*OUR_BILINEAR, "align_corners"):
        raise UnsupportedOperatorError(f"training: Resize {node.name} is {mode}, {positions}")
    return F.interpolate(
        x, size, mode="bilinear", align_corners=positions == "align_corners", antialias=False
    )


def _concat(node: Node, operands: list[Tensor], graph: Graph) -> Tensor:
    return torch.cat(operands, dim=int(node.attributes["axis"]))  # type: ignore[arg-type]  # by op


def _add(node: Node, operands: list[Tensor], graph: Graph) -> Tensor:
    return _activate(operands[0] + operands[1], node)


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "": lambda x: x,
    "Relu": torch.relu,
    "Sigmoid": torch.sigmoid,
}

OPERATORS: dict[str, Operator] = {
    "Add": _add,
    "Concat": _concat,
    "Conv": _conv,
    "MaxPool": _max_pool,
    "Relu": lambda node, operands, graph: torch.relu(operands[0]),
    "Resize": _resize,
    "Sigmoid": lambda node, operands, graph: torch.sigmoid(operands[0]),
}
