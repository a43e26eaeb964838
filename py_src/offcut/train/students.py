"""Make the student that a run trains, and the teacher that it follows: one graph's two versions.

pruned      fewer channels, some convolutions before the enlargement: fewer multiplications
quantized   the same network, its weights going through the grids of a finished quantization
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from torch import Tensor

from offcut import container
from offcut.card import ModelCard
from offcut.container import Model
from offcut.convert.calibrate import with_concats
from offcut.convert.draft import Draft
from offcut.convert.equalize import equalize
from offcut.convert.shift import shift
from offcut.errors import ModelFormatError
from offcut.graph import Graph
from offcut.quant import SCHEMES, QuantizedTensor, float_tensor
from offcut.train.fake_quant import WeightQuantizer
from offcut.train.moments import measure
from offcut.train.network import Network, draft_of
from offcut.train.prune import prune_channels
from offcut.train.recipe import Slimming
from offcut.train.refit import refit
from offcut.train.split import split_enlarged

__all__ = ["Pupil", "finished", "load", "pruned", "quantized", "save"]

Report = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Pupil:
    """A student, its teacher, the student's draft, and which channels it kept, by value.

    means: of what each weight that is quantized sees, by its name, for Network.centre.
    """

    student: Network
    teacher: Network
    draft: Draft
    kept: Mapping[str, np.ndarray] = field(default_factory=dict)
    means: Mapping[str, np.ndarray] = field(default_factory=dict)


def pruned(
    draft: Draft,
    photos: Sequence[Tensor],
    plan: Slimming,
    report: Report = lambda done, of: None,
) -> Pupil:
    """Return a smaller student of the draft, which has statistics. photos: (1, 3, h, w) each.

    The repairs come first: nearly constant channels would dominate every moment.
    """
    repaired = equalize(shift(draft))
    teacher = Network(repaired.graph, repaired.weights)
    wide = split_enlarged(repaired, least=int(plan.least_split))
    some = photos[: plan.photos]
    moments = measure(Network(wide.graph, wide.weights), some)
    slim, kept = prune_channels(wide, moments, budget=plan.budget, multiple=plan.multiple)
    student = Network(slim.graph, slim.weights)
    refit(student, teacher, some, kept, ridge=plan.ridge, report=report)
    return Pupil(student, teacher, slim.note(f"refit: on {len(some)} photos"), kept)


def quantized(draft: Draft) -> Pupil:
    """Return a student that starts from what rounding made of the draft.

    Its latent weights are the levels that were chosen: each stays until training has moved it by
    half a step. From the float weights instead, those near a middle would turn back at once, and
    with them go what GPTQ's choices make up for in each other.
    """
    teacher = Network(draft.graph, draft.exact)
    quantizers = _quantizers(draft.rounded)
    levels = {name: draft.rounded[name].decode() for name in quantizers}
    weights = {**draft.weights, **levels}
    student = Network(draft.graph, weights)
    student.quantize(quantizers)
    seen = with_concats(draft.graph, draft.statistics)
    means = {
        node.inputs[1]: seen[node.inputs[0]].mean
        for node in draft.graph.nodes
        if node.op == "Conv" and node.inputs[1] in quantizers and node.inputs[0] in seen
    }
    return Pupil(student, teacher, draft, means=means)


def _quantizers(rounded: Mapping[str, QuantizedTensor]) -> dict[str, WeightQuantizer]:
    return {
        name: WeightQuantizer(tensor, name)
        for name, tensor in rounded.items()
        if SCHEMES[tensor.scheme].levels
    }


def finished(pupil: Pupil) -> Draft:
    """Return the student's draft with what training made of it; statistics are to be made anew."""
    made = draft_of(pupil.student, pupil.draft)
    arrays = dict(zip(pupil.student.names, pupil.student.tensors, strict=True))
    rows = zip(pupil.student.quantized, pupil.student.quantizers, strict=True)
    rounded = {}
    for name, quantizer in rows:
        assert isinstance(quantizer, WeightQuantizer)
        rounded[name] = quantizer.tensor(arrays[name].detach())
    return replace(made, rounded={**pupil.draft.rounded, **rounded})


def save(pupil: Pupil, folder: Path, card: ModelCard) -> None:
    """Keep a pupil that was not trained yet: model files, and kept.json."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, network in (("teacher", pupil.teacher), ("student", pupil.student)):
        _write(folder / f"{name}.safetensors", network.graph, network.arrays(), {}, card)
    if pupil.student.quantized:
        start, draft = folder / "start.safetensors", pupil.draft
        _write(start, draft.graph, draft.weights, draft.rounded, card)
    kept = {name: row.tolist() for name, row in pupil.kept.items()}
    means = {name: row.tolist() for name, row in pupil.means.items()}
    document = {"record": pupil.draft.record, "kept": kept, "means": means}
    (folder / "kept.json").write_text(json.dumps(document) + "\n")


def _write(
    path: Path,
    graph: Graph,
    weights: Mapping[str, np.ndarray],
    rounded: Mapping[str, QuantizedTensor],
    card: ModelCard,
) -> None:
    stored = {name: rounded.get(name) or float_tensor(array) for name, array in weights.items()}
    path.write_bytes(container.write(Model(graph, stored, card)))


def load(folder: Path) -> Pupil | None:
    """Return the pupil that `save` kept, None without one. Raises ModelFormatError when damaged."""
    if not (folder / "kept.json").exists():
        return None
    try:
        document = json.loads((folder / "kept.json").read_text())
        kept = {name: np.array(row, np.intp) for name, row in document["kept"].items()}
        means = {name: np.array(row, np.float64) for name, row in document["means"].items()}
        record = tuple(map(str, document["record"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelFormatError(f"{folder / 'kept.json'}: malformed: {error}") from error
    (graph, weights, _), (theirs, exact, _) = (
        _read(folder / f"{name}.safetensors") for name in ("student", "teacher")
    )
    rounded: dict[str, QuantizedTensor] = {}
    if (folder / "start.safetensors").exists():
        rounded = _read(folder / "start.safetensors")[2]
    student = Network(graph, weights)
    student.quantize(_quantizers(rounded))
    draft = Draft(graph, weights, rounded=rounded, record=record)
    return Pupil(student, Network(theirs, exact), draft, kept, means)


def _read(path: Path) -> tuple[Graph, dict[str, np.ndarray], dict[str, QuantizedTensor]]:
    """Return graph and decoded weights of a model file, and those that are quantized, as stored."""
    model = container.read(path.read_bytes(), path.name)
    weights = {name: t.decode().astype(np.float64) for name, t in model.weights.items()}
    rounded = {name: t for name, t in model.weights.items() if SCHEMES[t.scheme].levels}
    return model.graph, weights, rounded
