"""Remove channels that matter least, and let the channels that stay take over what they did.

Where a removed channel is predicted by others, as it partly always is, its weights can be added to
theirs in proportion: the best such change in the sense of least squares is known in closed form
(Optimal Brain Surgeon, Hassibi and Stork 1993; here over whole channels and all their readers).
Each removal's price is the change of the final map that is left then, by the measure of moments.py.

Channels that meet in an Add go together. Groups of them shrink by `multiple` channels at a time,
the cheapest price for the most multiply-accumulates first, until the graph's budget is met.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from offcut.convert.channels import Families, families
from offcut.convert.draft import Draft, rebuilt
from offcut.errors import ModelFormatError
from offcut.graph import Graph, Node
from offcut.train.moments import Moments

__all__ = ["prune_channels"]

FREE = 1e-6  # of a group's whole price: what costs less is dead
RIDGE = 1e-4  # of a channel's mean square: what it holds that no other channel may explain


@dataclass(slots=True)
class _Reader:
    """A convolution while its inputs are removed: w (o, c + 1, kh, kw), the last for a constant."""

    node: Node
    w: np.ndarray
    precision: np.ndarray  # (c + 1, c + 1), inverse of the moments of what is left
    matters: np.ndarray  # (o,)

    def price(self, channel: int) -> float:
        """Return the change of the map when a channel goes."""
        w = self.w[:, channel]
        gain = (np.square(w.sum(axis=(1, 2))) + np.square(w).sum(axis=(1, 2))) / 2  # smooth, rough
        return float((gain * self.matters).sum() / self.precision[channel, channel])

    def remove(self, channel: int) -> None:
        """Take a channel out and spread its weights over those that are left."""
        pivot = self.precision[channel, channel]
        row = self.precision[channel].copy()
        share = row / pivot
        taken = self.w[:, channel].copy()
        self.w -= taken[:, None] * share[None, :, None, None]
        self.w[:, channel] = 0
        self.precision -= np.outer(share, row)
        self.precision[channel] = self.precision[:, channel] = 0
        self.precision[channel, channel] = 1


@dataclass(slots=True)
class _Group:
    """Families that the same convolutions make, and the order in which they would go."""

    numbers: np.ndarray  # of the families
    order: list[int] = field(default_factory=list)
    prices: list[float] = field(default_factory=list)  # of the first k removed, summed
    removed: int = 0


def prune_channels(
    draft: Draft, moments: Mapping[str, Moments], *, budget: float, multiple: int = 8
) -> tuple[Draft, dict[str, np.ndarray]]:
    """Return the draft with at most `budget` multiply-accumulates, and what each value kept.

    That is, indices into the channels before. Raises ModelFormatError when the budget cannot be
    met. The statistics do not hold any more and go.
    """
    graph, groups = draft.graph, families(draft.graph)
    parts = _groups(graph, groups)
    for part in parts:
        _rank(part, _readers(draft, moments), _seats(graph, groups))
    _choose(graph, groups, parts, budget, multiple)
    gone = np.zeros(groups.count, bool)
    for part in parts:
        gone[part.order[: part.removed]] = True
    pruned = _apply(draft, moments, groups, parts, gone)
    before, after = (g.multiply_accumulates() for g in (graph, pruned.graph))
    price = sum(part.prices[part.removed] for part in parts)
    kept = {name: np.flatnonzero(~gone[row]) for name, row in groups.numbers.items()}
    pruned = pruned.note(
        f"prune: {int(gone.sum())} families of channels, {before / 1e9:.2f} GMAC became "
        f"{after / 1e9:.2f}, price {price:.4g}"
    )
    return pruned, kept


def _groups(graph: Graph, groups: Families) -> list[_Group]:
    """Return the groups of families; those that may not change are left out."""
    leader: dict[int, int] = {}  # family -> the first family of its group

    def find(number: int) -> int:
        while leader.setdefault(number, number) != number:
            number = leader[number]
        return number

    for node in graph.nodes:
        if node.op == "Conv":
            row = groups.numbers[node.name].tolist()
            for number in row[1:]:
                a, b = sorted((find(row[0]), find(number)))
                leader[b] = a
    frozen = set(np.flatnonzero(groups.fixed).tolist())
    for node in graph.nodes:  # a grouped convolution pairs its inputs with its outputs
        if node.op == "Conv" and node.attributes.get("group", 1) != 1:
            for name in (node.inputs[0], node.name):
                frozen.update(groups.numbers[name].tolist())
    members: dict[int, list[int]] = {}
    for number in sorted(leader):
        members.setdefault(find(number), []).append(number)
    return [
        _Group(np.array(sorted(set(row)), np.intp))
        for row in members.values()
        if not frozen.intersection(row)
    ]


def _readers(draft: Draft, moments: Mapping[str, Moments]) -> list[_Reader]:
    readers = []
    for node in draft.graph.nodes:
        if node.op != "Conv" or node.attributes.get("group", 1) != 1:
            continue
        w = draft.weights[node.inputs[1]]
        square = moments[node.name].inputs
        floor = RIDGE * np.diag(square) + 1e-9 * max(float(np.trace(square)), 1.0)
        constant = np.zeros((w.shape[0], 1, *w.shape[2:]))
        readers.append(
            _Reader(
                node,
                np.concatenate([w, constant], axis=1),
                np.linalg.inv(square + np.diag(floor)),
                moments[node.name].outputs,
            )
        )
    return readers


def _seats(graph: Graph, groups: Families) -> dict[int, list[tuple[str, int]]]:
    """Return for each family where it is read: (convolution, input channel)."""
    seats: dict[int, list[tuple[str, int]]] = {}
    for node in graph.nodes:
        if node.op == "Conv":
            for channel, number in enumerate(groups.numbers[node.inputs[0]].tolist()):
                seats.setdefault(number, []).append((node.name, channel))
    return seats


def _rank(part: _Group, readers: list[_Reader], seats: Mapping[int, list[tuple[str, int]]]) -> None:
    """Order the families of a group by what each costs once those before it are gone."""
    touched = {name for number in part.numbers.tolist() for name, _ in seats.get(number, [])}
    by_name = {reader.node.name: reader for reader in readers if reader.node.name in touched}
    left, total = part.numbers.tolist(), 0.0
    part.prices = [0.0]
    while left:
        prices = [sum(by_name[n].price(c) for n, c in seats.get(f, [])) for f in left]
        at = int(np.argmin(prices))
        total += prices[at]
        number = left.pop(at)
        part.order.append(number)
        part.prices.append(total)
        for name, channel in seats.get(number, []):
            by_name[name].remove(channel)


def _choose(
    graph: Graph, groups: Families, parts: list[_Group], budget: float, multiple: int
) -> None:
    """Decide how many channels each group loses."""
    gone = np.zeros(groups.count, bool)
    for part in parts:  # what is dead goes anyway, as far as it makes a whole block
        free = sum(price <= FREE * part.prices[-1] for price in part.prices[1:])
        part.removed = _to_multiple(len(part.order), free, multiple)
        gone[part.order[: part.removed]] = True
    while (now := _macs(graph, groups, gone)) > budget:
        best: tuple[float, _Group] | None = None
        for part in parts:
            left = len(part.order) - part.removed
            step = left % multiple or multiple
            if left - step < multiple:
                continue
            trial = gone.copy()
            trial[part.order[: part.removed + step]] = True
            saved = now - _macs(graph, groups, trial)
            price = part.prices[part.removed + step] - part.prices[part.removed]
            if saved and (best is None or price / saved < best[0]):
                best = (price / saved, part)
        if best is None:
            raise ModelFormatError(f"prune: {now / 1e9:.2f} GMAC are left, nothing else can go")
        part = best[1]
        part.removed += (len(part.order) - part.removed) % multiple or multiple
        gone[part.order[: part.removed]] = True


def _to_multiple(count: int, free: int, multiple: int) -> int:
    """Return how many of `free` channels to remove so that a multiple stays (or all)."""
    left = max(-(-(count - free) // multiple), 1) * multiple
    return max(count - left, 0)


def _macs(graph: Graph, groups: Families, gone: np.ndarray) -> int:
    """Return the multiply-accumulates without the families that are gone."""
    kept = {name: int((~gone[row]).sum()) for name, row in groups.numbers.items()}
    total = 0
    for node in graph.nodes:
        if node.op == "Conv":
            kernel = graph.shapes[node.inputs[1]][2:]
            size = graph.shapes[node.name][2:]
            inputs = kept[node.inputs[0]] // int(node.attributes.get("group", 1))  # type: ignore[arg-type]
            total += kept[node.name] * inputs * int(np.prod((*kernel, *size)))
    return total


def _apply(
    draft: Draft,
    moments: Mapping[str, Moments],
    groups: Families,
    parts: list[_Group],
    gone: np.ndarray,
) -> Draft:
    """Remove the families, with their readers' weights made up for it."""
    graph, weights = draft.graph, dict(draft.weights)
    seats = _seats(graph, groups)
    readers = {reader.node.name: reader for reader in _readers(draft, moments)}
    for part in parts:
        for number in part.order[: part.removed]:
            for name, channel in seats.get(number, []):
                if name in readers:
                    readers[name].remove(channel)
    keep = {name: ~gone[row] for name, row in groups.numbers.items()}
    for node in graph.nodes:
        if node.op != "Conv":
            continue
        x, w, b = node.inputs
        if node.name in readers:
            solved = readers[node.name].w
            constant = solved[:, -1].sum(axis=(1, 2))  # exact inside; training mends the border
            weights[b] = weights[b] + constant.reshape(-1, *[1] * (weights[b].ndim - 1))
            weights[w] = solved[:, :-1][:, keep[x]]
        weights[w] = weights[w][keep[node.name]]
        weights[b] = weights[b][keep[node.name]]
    shapes = {
        name: (shape[0], int(keep[name].sum()), *shape[2:]) if name in keep else shape
        for name, shape in graph.shapes.items()
    }
    bare = Draft(graph, draft.weights, record=draft.record)
    return rebuilt(bare, graph.nodes, weights, shapes=shapes)
