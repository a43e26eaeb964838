"""What quantization is made of: an ONNX file in, a quantized Model out; importer.py makes float32.

source_draft    read, trace and fuse
calibrate_photos    the statistics file of a folder of photos
quantize_model  a variant of a card, from source and statistics
quantize_file   any ONNX or float32 model file, by a recipe and a folder of photos
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from offcut import container
from offcut.card import InputSpec, ModelCard
from offcut.container import Model
from offcut.convert.calibrate import attach, calibrate
from offcut.convert.draft import Draft
from offcut.convert.fuse import fuse
from offcut.convert.importer import check_source, import_file
from offcut.convert.onnx_reader import read_onnx
from offcut.convert.recipes import Recipe, recipe
from offcut.convert.sensitivity import read_sensitivity
from offcut.convert.statistics import read_statistics, write_statistics
from offcut.convert.steps import finish, recorded, run_steps, steps_of
from offcut.convert.trace import trace
from offcut.errors import ModelFormatError
from offcut.imaging import files
from offcut.imaging.preprocess import preprocess

__all__ = [
    "Photos",
    "calibrate_photos",
    "quantize_file",
    "quantize_model",
    "read_photos",
    "source_draft",
]

Report = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Photos:
    """Calibration photos: their sha256, and float32 network inputs (1, 3, h, w)."""

    hashes: tuple[str, ...]
    inputs: tuple[np.ndarray, ...]


def quiet(done: int, of: int) -> None:
    """Report nothing."""


@contextmanager
def silent(title: str) -> Iterator[Report]:
    """Show no progress."""
    yield quiet


def source_draft(data: bytes, card: ModelCard, where: str) -> Draft:
    """Return the fused float graph of the ONNX bytes `data`, at the card's input size.

    Raises IntegrityError when the card names other bytes as its source.
    """
    check_source(data, card, where)
    wanted = [card.output.name]
    return fuse(trace(read_onnx(data, where), size=card.input.size, outputs=wanted), wanted)


def calibrate_photos(draft: Draft, photos: Photos, report: Report = quiet) -> bytes:
    """Return the statistics file of the draft over the photos, in the order given."""
    statistics = calibrate(draft, photos.inputs, lambda done: report(done, len(photos.inputs)))
    return write_statistics(statistics, photos.hashes)


def read_photos(paths: Sequence[Path], spec: InputSpec, report: Report = quiet) -> Photos:
    """Decode photos and make network inputs of them. Raises ImageError for what is no photo."""
    hashes, inputs = [], []
    for done, path in enumerate(paths, 1):
        data = _read(path)
        hashes.append(hashlib.sha256(data).hexdigest())
        inputs.append(preprocess(files.decode(data, path.name), spec))  # (1, 3, h, w)
        report(done, len(paths))
    return Photos(tuple(hashes), tuple(inputs))


def quantize_model(
    source: bytes,
    card: ModelCard,
    variant: str,
    statistics: bytes,
    photos: Photos | None = None,
    decided: Model | None = None,
    sensitivity: bytes | None = None,
    report: Report = quiet,
) -> tuple[Model, Draft]:
    """Return the card's `variant`, made by the steps that the card lists, and the final draft.

    source: the ONNX file's bytes. statistics: the statistics file's, and sensitivity: the
    sensitivity file's, for steps that follow it. photos: those that the
    statistics are of, for steps that need more than statistics; decided: a file made before, which
    such steps follow when there are no photos. The same input gives the same model, bit for bit.
    """
    draft = source_draft(source, card, f"{card.name}: source")
    known = read_statistics(statistics, f"{card.name}: statistics")
    draft = attach(draft, known)
    if photos is not None:
        draft = replace(draft, photos=photos.inputs)
    if decided is not None:
        draft = replace(draft, decided=decided.weights)
    if sensitivity is not None:
        known_rows = read_sensitivity(sensitivity, f"{card.name}: sensitivity")
        draft = replace(draft, sensitivity=known_rows)
    draft = run_steps(draft, steps_of(card, variant), report)
    return finish(draft, recorded(card, variant, steps_of(card, variant))), draft


def quantize_file(
    path: Path,
    choice: Recipe,
    photos: Sequence[Path],
    card: ModelCard | None = None,
    progress: Callable[[str], AbstractContextManager[Report]] = silent,
) -> tuple[Model, Draft]:
    """Return a quantized model of an ONNX file, or of a float32 model file, and the final draft.

    photos: to calibrate with; a few dozen, of the kind that the model will see. card: see
    import_onnx; a model file brings its own.
    """
    steps = recipe(choice)
    if path.suffix == ".safetensors":
        model = container.read(_read(path), path.name)
        card, draft = model.card, Draft(model.graph, float_weights(model, path.name))
    else:
        model, draft = import_file(path, card=card)
        card = model.card
    with progress("Reading photos") as report:
        read = read_photos(photos, card.input, report)
    with progress("Calibrating") as report:
        statistics = calibrate(draft, read.inputs, lambda done: report(done, len(photos)))
    draft = replace(attach(draft, statistics), photos=read.inputs)
    with progress("Quantizing") as report:
        draft = run_steps(draft, steps, report)
    return finish(draft, recorded(card, choice.scheme, steps)), draft


def float_weights(model: Model, where: str) -> dict[str, np.ndarray]:
    """Return a model's weights, float64. Raises ModelFormatError when they are quantized."""
    schemes = {tensor.scheme for tensor in model.weights.values()} - {"float32", "float16"}
    if schemes:
        raise ModelFormatError(
            f"{where}: its weights are {min(schemes)} already",
            remedy="start from the float32 model, which `offcut convert` makes",
        )
    return {name: tensor.decode().astype(np.float64) for name, tensor in model.weights.items()}


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelFormatError(f"{path}: cannot be read: {error.strerror or error}") from error
