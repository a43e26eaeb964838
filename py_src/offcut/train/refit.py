"""Refit a student's convolutions one after another, by least squares, to the teacher's values.

Each convolution gets the weights with which, from the inputs that it really has in the student, it
comes closest to what the teacher's makes there. So errors of the layers before are made up for, as
far as a layer can. Where both are below zero before a ReLU nothing is left to gain, and the
difference does not count. No gradients, seconds a layer; what it leaves is for training.

Source: the reconstruction step of channel pruning (He et al. 2017, arXiv 1707.06168), sequential.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from offcut.graph import Node
from offcut.train.network import OPERATORS, Network, window

__all__ = ["refit"]

ROWS = 40_000  # pixels that a layer is fitted to, of all photos
SEED = 0
PARTS = ("coarse", "fine")  # of a convolution that was split


class _Walk:
    """A network run node by node on all photos at once; values are dropped after their last use."""

    def __init__(self, network: Network, photos: Sequence[Tensor]) -> None:
        self.network, self.photos = network, photos
        self.weights = dict(zip(network.names, network.tensors, strict=True))
        self.values: dict[str, list[Tensor]] = {network.graph.inputs[0]: list(photos)}
        self.last = network.graph.last_uses()
        self.at = 0

    def operands(self, node: Node, photo: int) -> list[Tensor]:
        """Return what the node reads on a photo."""
        return [
            self.weights[name] if name in self.weights else self.values[name][photo]
            for name in node.inputs
            if name
        ]

    def compute(self, node: Node, photo: int) -> Tensor:
        """Return what the node makes on a photo."""
        return OPERATORS[node.op](node, self.operands(node, photo), self.network.graph)

    def run(self, node: Node) -> None:
        """Run the next node on every photo."""
        self.values[node.name] = [self.compute(node, at) for at in range(len(self.photos))]
        for name in node.inputs:
            if self.last.get(name) == self.at and name not in self.network.graph.inputs:
                self.values.pop(name, None)
        self.at += 1

    def run_up_to(self, name: str) -> None:
        """Run every node up to the one that makes `name`."""
        while name not in self.values:
            self.run(self.network.graph.nodes[self.at])


@torch.no_grad()
def refit(
    student: Network,
    teacher: Network,
    photos: Sequence[Tensor],
    kept: Mapping[str, np.ndarray],
    *,
    ridge: float = 1e-3,
    report: Callable[[int, int], None] = lambda done, of: None,
) -> None:
    """Refit the student in place. photos: inputs (1, 3, h, w); kept: as prune_channels gives it.

    ridge: how strongly weights are held where they are, relative to the inputs' mean square.
    """
    ours, theirs = _Walk(student, photos), _Walk(teacher, photos)
    raw = {node.name: _bare(node) for node in teacher.graph.nodes if node.op == "Conv"}
    makers = {node.name: node for node in student.graph.nodes}
    generator = torch.Generator().manual_seed(SEED)
    for done, node in enumerate(student.graph.nodes):
        goal, dot, part = node.name.rpartition(".")
        goal = goal if dot and part in PARTS and goal in raw else node.name
        if node.op == "Conv" and goal in raw:
            theirs.run_up_to(raw[goal].inputs[0])
            errors = _errors(node, goal, ours, makers, raw[goal], theirs, kept[goal])
            _solve(node, ours, errors, ridge, generator)
        ours.run(node)
        report(done + 1, len(student.graph.nodes))


def _bare(node: Node) -> Node:
    """Return the convolution without its activation."""
    attributes = {key: value for key, value in node.attributes.items() if key != "activation"}
    return Node(node.op, node.inputs, node.outputs, attributes)


def _errors(
    node: Node,
    goal: str,
    ours: _Walk,
    makers: Mapping[str, Node],
    raw: Node,
    theirs: _Walk,
    kept: np.ndarray,
) -> list[Tensor]:
    """Return what is missing from the output of `node` on each photo, (1, o, oh, ow) each.

    A convolution that was split (split.py) is compared as the sum of its parts; what is missing
    from the coarse part is averaged over the pixels that each of its own becomes.
    """
    channels = torch.from_numpy(np.asarray(kept))
    activation = makers[goal].attributes.get("activation")
    result = []
    for photo in range(len(ours.photos)):
        wanted = OPERATORS["Conv"](raw, theirs.operands(raw, photo), theirs.network.graph)
        wanted = wanted[:, channels]
        y = ours.compute(_bare(node), photo)
        if node.name == f"{goal}.coarse":
            enlarged, fine = (makers[f"{goal}.{part}"] for part in ("enlarged", "fine"))
            y = OPERATORS["Resize"](enlarged, [y], ours.network.graph) + ours.compute(fine, photo)
        elif node.name == f"{goal}.fine":
            y = y + ours.values[f"{goal}.enlarged"][photo]
        error = wanted - y
        if activation == "Relu":
            error = torch.where((wanted < 0) & (y < 0), torch.zeros(()), error)
        result.append(F.avg_pool2d(error, 2) if node.name == f"{goal}.coarse" else error)
    return result


def _solve(
    node: Node, ours: _Walk, errors: list[Tensor], ridge: float, generator: torch.Generator
) -> None:
    """Change the weights and the bias of `node` so that least of the errors is left."""
    w, b = (ours.weights[name] for name in node.inputs[1:])
    rows, columns = [], []
    for photo, error in enumerate(errors):
        pixels = error.shape[2] * error.shape[3]
        some = torch.randperm(pixels, generator=generator)[: max(ROWS // len(errors), 1)]
        rows.append(_patches(node, ours.values[node.inputs[0]][photo], w.shape, some))
        columns.append(error[0].flatten(1)[:, some].T)
    x, e = torch.cat(rows), torch.cat(columns)  # (n, k), (n, o)
    x_mean, e_mean = x.mean(dim=0), e.mean(dim=0)
    x, e = x - x_mean, e - e_mean
    square = (x.T @ x).double()
    # One multiple for all inputs would hold small ones too firmly: each by its own size.
    held = ridge * (square.diagonal() + 0.1 * square.diagonal().mean()) + 1e-9
    change = torch.linalg.solve(square + torch.diag(held), (x.T @ e).double()).float()  # (k, o)
    w += change.T.reshape(w.shape)
    shift = e_mean - x_mean @ change
    b += shift.reshape(-1, *[1] * (b.ndim - 1))


def _patches(node: Node, x: Tensor, shape: Sequence[int], some: Tensor) -> Tensor:
    """Return what the kernel sees at pixels `some`, (len(some), c * kh * kw)."""
    _, dilations, (top, left, bottom, right) = window(node)
    x = F.pad(x, (left, right, top, bottom))
    width = x.shape[3] - dilations[1] * (shape[3] - 1)
    i, j = some // width, some % width
    taps = [
        x[0, :, i + m * dilations[0], j + n * dilations[1]]
        for m in range(shape[2])
        for n in range(shape[3])
    ]  # each (c, len(some))
    return torch.stack(taps, dim=1).reshape(-1, len(some)).T
