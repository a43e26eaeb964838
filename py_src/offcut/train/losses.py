"""How far a student is from its teacher: the map, the side maps, and the features on the way.

output      mean absolute difference of the two maps, plus their cross-entropy above its minimum
sides       the same cross-entropy for each map that the last Concat joins (deep supervision)
features    mean squared difference of the values that Adds make (a stage's results), per channel
            in units of the teacher's variance; only the channels that the student kept

No labels are used: the teacher's map is the truth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from offcut.graph import Graph
from offcut.train.recipe import Losses

__all__ = ["Targets", "distance", "targets"]

Values = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class Targets:
    """Which values are compared; kept: the teacher's channels that the student has, by value."""

    output: str
    sides: tuple[str, ...]
    features: tuple[str, ...]
    kept: Mapping[str, Tensor]

    @property
    def names(self) -> tuple[str, ...]:
        """Every value to keep in a forward pass."""
        return (self.output, *self.sides, *self.features)


def targets(
    teacher: Graph, student: Graph, kept: Mapping[str, np.ndarray] | None = None
) -> Targets:
    """Return what to compare: values that both graphs make under the same name."""
    common = {node.name for node in teacher.nodes} & {node.name for node in student.nodes}
    output = teacher.outputs[0]
    makers = {node.name: node for node in teacher.nodes}
    sides: tuple[str, ...] = ()
    joined = makers[output].inputs[0]
    if joined in makers and makers[joined].op == "Concat":
        sides = tuple(
            n for n in makers[joined].inputs if n in common and _channels(teacher, n) == 1
        )
    features = tuple(n.name for n in teacher.nodes if n.op == "Add" and n.name in common)
    chosen = {name: torch.from_numpy(np.asarray(row)) for name, row in (kept or {}).items()}
    return Targets(output, sides, features, {n: chosen[n] for n in features if n in chosen})


def _channels(graph: Graph, name: str) -> int:
    return graph.shapes[name][1]


def distance(student: Values, teacher: Values, what: Targets, weights: Losses) -> Tensor:
    """Return the weighted sum of the losses, a scalar."""
    ours, theirs = student[what.output].float(), teacher[what.output].float()
    total = weights.output * ((ours - theirs).abs().mean() + _divergence(_logit(ours), theirs))
    if what.sides and weights.sides:
        rows = [_divergence(student[n].float(), teacher[n].float().sigmoid()) for n in what.sides]
        total = total + weights.sides * _mean(rows)
    if what.features and weights.features:
        rows = [_relative(student[n], teacher[n], what.kept.get(n)) for n in what.features]
        total = total + weights.features * _mean(rows)
    return total


def _mean(rows: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(rows)).mean()


def _logit(p: Tensor) -> Tensor:
    return torch.logit(p, eps=1e-6)


def _divergence(logits: Tensor, truth: Tensor) -> Tensor:
    """Return the Kullback-Leibler divergence of Bernoulli maps, mean over pixels."""
    cross = F.binary_cross_entropy_with_logits(logits, truth)
    entropy = F.binary_cross_entropy(truth.clamp(1e-6, 1 - 1e-6), truth)
    return cross - entropy


def _relative(x: Tensor, y: Tensor, kept: Tensor | None) -> Tensor:
    x, y = x.float(), y.float()
    if kept is not None:
        y = y[:, kept]
    variance = y.var(dim=(0, 2, 3), keepdim=True)
    scale = variance + 0.1 * variance.mean() + 1e-6
    return ((x - y).square() / scale).mean()
