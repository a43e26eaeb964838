"""Quantize U2-Netp's weights in many ways and measure each against float32, on held-out photos.

Activations stay float32, so that what is measured is the weights' loss alone, except where they are
named. Sizes are those of model files.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from offcut import card as cards
from offcut import container
from offcut.backends import no_checkpoint, simd
from offcut.card import ModelCard
from offcut.container import Model
from offcut.convert.calibrate import attach
from offcut.convert.commands import source_draft
from offcut.convert.draft import Draft
from offcut.convert.statistics import photo_hashes, read_statistics
from offcut.convert.steps import finish, run_steps
from offcut.evaluate import masks
from offcut.evaluate.fidelity import photos_in
from offcut.imaging import files
from offcut.imaging.preprocess import preprocess
from offcut_build import assets
from offcut_build.errors import BuildError
from offcut_build.lock import read
from offcut_build.tree import Tree

__all__ = ["ACTIVATIONS", "REPAIRS", "SCHEME_ROWS", "Source", "measure", "read_source"]

CARD = "u2netp.toml"
PHOTOS = 24

Steps = Sequence[Mapping[str, Any]]
SHIFT: Mapping[str, Any] = {"step": "shift"}
EQUALIZE: Mapping[str, Any] = {"step": "equalize", "strength": 0.5}
LEVEL: Mapping[str, Any] = {"step": "equalize", "strength": 0.85}
CORRECT: Mapping[str, Any] = {"step": "correct_bias"}


def _grid(scheme: str, **more: Any) -> Mapping[str, Any]:
    return {"step": "calibrate", "scheme": scheme, **more}


def _round(method: str) -> Mapping[str, Any]:
    return {"step": "round", "method": method}


INT8 = _grid("int8-per-channel", range="max")
BOTH = _grid("int8-both-channels", range="max")

# What each repair does for int8: name -> steps.
REPAIRS: Mapping[str, Steps] = {
    "one scale for all": [_grid("int8-per-tensor", range="max"), _round("nearest")],
    "a scale per output channel": [INT8, _round("nearest")],
    "+ shift": [SHIFT, INT8, _round("nearest")],
    "+ equalize": [SHIFT, EQUALIZE, INT8, _round("nearest")],
    "+ balanced rounding": [SHIFT, EQUALIZE, INT8, _round("balanced")],
    "+ bias correction": [SHIFT, EQUALIZE, INT8, _round("balanced"), CORRECT],
}

# With 8-bit activations: what levelling them gains, and costs the weights. name -> steps.
ACTIVATIONS: Mapping[str, Steps] = {
    "strength 0.5": [SHIFT, EQUALIZE, INT8, _round("balanced"), CORRECT],
    "strength 0.85": [SHIFT, LEVEL, INT8, _round("balanced"), CORRECT],
    "strength 0.85, int8-both-channels": [SHIFT, LEVEL, BOTH, _round("balanced"), CORRECT],
}

# Every scheme, after both repairs: name -> calibration.
SCHEME_ROWS: Mapping[str, Mapping[str, Any]] = {
    "float16": _grid("float16"),
    "int8-per-channel": INT8,
    "int4-group-32": _grid("int4-group-32", range="mse"),
    "int3-group-16": _grid("int3-group-16", range="mse"),
    "nf4-group-32": _grid("nf4-group-32", range="max"),
    "codebook-16": _grid("codebook-16"),
    **{f"step {width:g}": _grid("step", width=width) for width in (0.1, 0.2, 0.3, 0.4, 0.6, 0.8)},
}


@dataclass(frozen=True, slots=True)
class Source:
    """The float32 network with its statistics, and its card."""

    card: ModelCard
    draft: Draft
    calibrated: frozenset[str]  # sha256 of the photos that the statistics are of


def read_source(tree: Tree) -> Source:
    """Fetch and read the float32 network. Raises BuildError and OffcutError."""
    card = cards.parse((tree.models / CARD).read_text(encoding="utf-8"), CARD)
    wanted = card.document["source"]["sha256"]
    found = [asset for asset in read(tree.lock_file).assets if asset.sha256 == wanted]
    data = assets.ensure(tree, found)[found[0].file].read_bytes()
    statistics = (tree.models / card.document["quantization"]["statistics"]).read_bytes()
    draft = attach(source_draft(data, card, "source"), read_statistics(statistics, "statistics"))
    return Source(card, draft, frozenset(photo_hashes(statistics)))


def measure(
    tree: Tree, source: Source, folder: Path, tell: Callable[[str], object]
) -> dict[str, Any]:
    """Return {"photos", "repairs", "schemes", "activations", "shipped"}: photos are a number.

    Each other one is name -> figures, all of float32 activations but those of "activations".

    Figures are bytes, bits of each weight in the file, mae and iou (means) and worst_iou.
    """
    inputs = list(_held_out(folder, source))
    exact = _maps(finish(run_steps(source.draft, _plain("float32")), source.card), inputs)
    found: dict[str, Any] = {"photos": len(inputs)}
    found |= {group: {} for group in ("repairs", "schemes", "activations", "shipped")}

    def note(group: str, name: str, model: Model, size: int) -> None:
        precision = "auto" if group == "activations" else "float32"
        found[group][name] = _figures(model, size, _maps(model, inputs, precision), exact)
        row = found[group][name]
        tell(f"{group}: {name}: {size:,} bytes, MAE {row['mae']:.4f}, IoU {row['iou']:.4f}")

    for name, steps in REPAIRS.items():
        model = finish(run_steps(source.draft, steps), source.card)
        note("repairs", name, model, len(container.write(model)))
    for name, grid in SCHEME_ROWS.items():
        steps = [SHIFT, EQUALIZE, grid, _round("balanced"), CORRECT]
        model = finish(run_steps(source.draft, steps), source.card)
        note("schemes", name, model, len(container.write(model)))
    for name, steps in ACTIVATIONS.items():
        model = finish(run_steps(source.draft, steps), source.card)
        note("activations", name, model, len(container.write(model)))
    for variant, row in source.card.variants.items():
        data = (tree.models / row.file).read_bytes()
        note("shipped", f"u2netp-{variant}", container.read(data, row.file), len(data))
    return found


def _plain(scheme: str) -> Steps:
    return [_grid(scheme), _round("nearest")]


def _held_out(folder: Path, source: Source) -> Iterator[np.ndarray]:
    """Yield the network inputs, float32 (1, 3, h, w), of photos that nothing was made of."""
    found = 0
    for path in photos_in(folder):
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() in source.calibrated:
            continue
        yield preprocess(files.decode(data, path.name), source.card.input)
        found += 1
        if found == PHOTOS:
            return
    if not found:
        raise BuildError(f"{folder}: has no photo that was not used to calibrate")


def _figures(
    model: Model, size: int, maps: Sequence[np.ndarray], exact: Sequence[np.ndarray]
) -> dict[str, float]:
    pairs = list(zip(maps, exact, strict=True))
    same = [masks.iou(ours, theirs >= 0.5) for ours, theirs in pairs]
    weights = sum(np.prod(t.shape) for t in model.weights.values() if len(t.shape) == 4)
    return {
        "bytes": size,
        "bits": round(float(8 * size / weights), 3),
        "mae": round(float(np.mean([masks.mae(ours, theirs) for ours, theirs in pairs])), 6),
        "iou": round(float(np.mean(same)), 5),
        "worst_iou": round(min(same), 5),
    }


def _maps(
    model: Model, inputs: Sequence[np.ndarray], precision: str = "float32"
) -> list[np.ndarray]:
    """Return the alpha maps, float32 (h, w), computed in float32 or with 8-bit activations."""

    async def run() -> list[np.ndarray]:
        program = await simd.compile(model, precision=precision)
        name = model.card.output.name
        source = model.graph.inputs[0]
        try:
            return [
                (await program.run({source: x}, no_checkpoint))[name][0, 0].copy() for x in inputs
            ]
        finally:
            program.close()

    return asyncio.run(run())
