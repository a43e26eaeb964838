"""What quantization did to each layer: bits, bytes, error, signal to noise, sensitivity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from offcut import coded
from offcut.container import Model, coded_parts
from offcut.convert import forward
from offcut.convert.draft import Draft
from offcut.graph import Graph

__all__ = ["Layer", "as_text", "document", "layers", "with_sensitivity"]


@dataclass(frozen=True, slots=True)
class Layer:
    """One weight. bytes: in the file, its share of the coded stream; bits: a weight, all parts.

    error: root mean square of the rounding errors. snr: weights to errors, in decibels.
    sensitivity: how far the network's output moves when only this layer is rounded, as the mean
    absolute difference; None when it was not measured.
    """

    name: str
    weight: str
    scheme: str
    weights: int
    bytes: float
    bits: float
    error: float
    snr: float
    sensitivity: float | None = None


def layers(model: Model, draft: Draft) -> list[Layer]:
    """Return a row for each convolution. draft: what the model was made of, rounded."""
    sizes = _coded_bytes(model)
    rows = []
    for node in (node for node in model.graph.nodes if node.op == "Conv"):
        name = node.inputs[1]
        tensor, w = model.weights[name], draft.exact[name]
        noise = float(np.square(tensor.decode() - w).mean())
        signal = float(np.square(w).mean())
        snr = 10 * float(np.log10(signal / noise)) if noise and signal else float("inf")
        rows.append(
            Layer(
                name=node.name,
                weight=name,
                scheme=tensor.scheme,
                weights=w.size,
                bytes=round(sizes[name], 1),
                bits=round(8 * sizes[name] / w.size, 3),
                error=float(f"{noise**0.5:.4g}"),
                snr=round(snr, 2),
            )
        )
    return rows


def with_sensitivity(
    rows: Sequence[Layer],
    model: Model,
    draft: Draft,
    report: Callable[[int, int], None] = lambda done, of: None,
    *,
    photos: int = 1,
) -> list[Layer]:
    """Return the rows with their sensitivity over the first `photos` of the draft's."""
    graph, moved = model.graph, np.zeros(len(rows))
    floats = {name: draft.exact[name].astype(np.float32) for name in graph.weight_names}
    inputs = {node.name: node.inputs[1:] for node in graph.nodes}
    chosen = draft.photos[:photos]
    for number, x in enumerate(chosen):
        values = {graph.inputs[0]: x}
        for node in graph.nodes:
            values[node.name] = forward.step(node, values, floats.__getitem__)
        for at, row in enumerate(rows):
            own = {name: model.weights[name].decode() for name in inputs[row.name]}
            output = _again(graph, values, row.name, floats | own)
            moved[at] += np.abs(output - values[graph.outputs[0]]).mean()
            report(number * len(rows) + at + 1, len(rows) * len(chosen))
    return [
        replace(row, sensitivity=float(f"{total / len(chosen):.4g}"))
        for row, total in zip(rows, moved, strict=True)
    ]


def _again(
    graph: Graph, values: dict[str, np.ndarray], first: str, weights: dict[str, np.ndarray]
) -> np.ndarray:
    """Return the output when the node `first`, and all that depends on it, is run again."""
    changed: dict[str, np.ndarray] = {}
    for node in graph.nodes:
        if node.name == first or any(name in changed for name in node.inputs):
            operands = {name: changed.get(name, values.get(name)) for name in node.inputs}
            known = {name: value for name, value in operands.items() if value is not None}
            changed[node.name] = forward.step(node, known, weights.__getitem__)
    return changed[graph.outputs[0]]


def _coded_bytes(model: Model) -> dict[str, float]:
    """Return each weight's bytes: what its parts cost in the coded stream, or as they are."""
    names = model.graph.weight_names
    sizes = {name: 0.0 for name in model.weights}
    owners = []
    for name in names:
        for part in model.weights[name].parts.values():
            if part.itemsize == 1:
                owners.append(name)
            else:
                sizes[name] += part.nbytes
    coded_sizes = coded.sizes(*coded_parts([model.weights[name] for name in names]))
    for name, size in zip(owners, coded_sizes, strict=True):
        sizes[name] += size
    return sizes


def as_text(rows: Sequence[Layer]) -> str:
    """Return the rows as a table for people."""
    lines = [
        f"{'layer':<10}{'scheme':<18}{'weights':>9}{'bytes':>9}{'bits':>7}{'error':>11}"
        f"{'SNR dB':>8}{'sensitivity':>13}"
    ]
    for row in rows:
        moved = "" if row.sensitivity is None else f"{row.sensitivity:.6f}"
        lines.append(
            f"{row.name:<10}{row.scheme:<18}{row.weights:>9}{row.bytes:>9.0f}{row.bits:>7.2f}"
            f"{row.error:>11.2e}{row.snr:>8.1f}{moved:>13}"
        )
    weights, size = sum(row.weights for row in rows), sum(row.bytes for row in rows)
    lines.append(f"{'all':<28}{weights:>9}{size:>9.0f}{8 * size / max(weights, 1):>7.2f}")
    return "\n".join(lines)


def document(rows: Sequence[Layer]) -> list[dict[str, Any]]:
    """Return the rows as plain JSON values; an infinite signal to noise ratio is null."""
    return [asdict(row) | {"snr": row.snr if np.isfinite(row.snr) else None} for row in rows]
