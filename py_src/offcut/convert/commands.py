"""What the command line and the build call: an ONNX file in, a Model out.

source_draft    read, trace and fuse
convert_file    the float32 model of an ONNX file
calibrate_photos    the statistics file of a folder of photos
quantize_model  a variant of a card, from source and statistics
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from offcut import card as cards
from offcut.card import InputSpec, ModelCard
from offcut.container import Model
from offcut.convert.calibrate import attach, calibrate
from offcut.convert.draft import Draft
from offcut.convert.fuse import fuse
from offcut.convert.onnx_reader import OnnxModel, read_onnx
from offcut.convert.statistics import read_statistics, write_statistics
from offcut.convert.steps import finish, recorded, run_steps, steps_of
from offcut.convert.trace import trace
from offcut.errors import IntegrityError, ModelFormatError
from offcut.imaging import files
from offcut.imaging.preprocess import preprocess

__all__ = [
    "calibrate_photos",
    "convert_file",
    "plain_card",
    "quantize_model",
    "source_draft",
]

IMAGENET_MEAN, IMAGENET_STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
Report = Callable[[int, int], None]


def source_draft(data: bytes, card: ModelCard, where: str) -> Draft:
    """Return the fused float graph of the ONNX bytes `data`, at the card's input size.

    Raises IntegrityError when the card names other bytes as its source.
    """
    want = str(card.document.get("source", {}).get("sha256", ""))
    got = hashlib.sha256(data).hexdigest()
    if want and got != want:
        raise IntegrityError(
            f"{where}: sha256 is {got[:12]}..., card {card.name} says {want[:12]}...",
            remedy="fetch the source file again",
        )
    wanted = [card.output.name]
    return fuse(trace(read_onnx(data, where), size=card.input.size, outputs=wanted), wanted)


def convert_file(path: Path, card: ModelCard | None = None) -> tuple[Model, Draft]:
    """Return the float32 model of the ONNX file at `path`, and the draft with its record.

    card: without one, a plain card is made of the file (see plain_card).
    """
    data = _read(path)
    if card is None:
        card = plain_card(path.stem, read_onnx(data, path.name))
    draft = source_draft(data, card, path.name)
    return finish(draft, card), draft


def plain_card(name: str, model: OnnxModel) -> ModelCard:
    """Return a card for a model that comes without one: U2-Net's input, the first output.

    Raises ModelFormatError when the file leaves the input's size open.
    """
    sizes = [extent for info in model.inputs[:1] for extent in info.shape[2:]]
    if len(sizes) != 2 or None in sizes or not model.outputs:
        raise ModelFormatError(
            f"{name}: the file leaves its input's size open",
            remedy="write a card that states input.size, see models/README.md",
        )
    document = {
        "name": name,
        "input": {"size": sizes, "range": "max", "mean": IMAGENET_MEAN, "std": IMAGENET_STD},
        "output": {"name": model.outputs[0].name},
    }
    return cards.from_document(document, name)


def calibrate_photos(
    draft: Draft, spec: InputSpec, photos: Sequence[Path], report: Report = lambda done, of: None
) -> bytes:
    """Return the statistics file of the draft over the photos, in the order given."""
    hashes: list[str] = []

    def inputs() -> Iterator[np.ndarray]:
        for path in photos:
            data = _read(path)
            hashes.append(hashlib.sha256(data).hexdigest())
            yield preprocess(files.decode(data, path.name), spec)  # (1, 3, h, w)

    statistics = calibrate(draft, inputs(), lambda done: report(done, len(photos)))
    return write_statistics(statistics, hashes)


def quantize_model(
    source: bytes, card: ModelCard, variant: str, statistics: bytes
) -> tuple[Model, Draft]:
    """Return the card's `variant`, made by the steps that the card lists, and the final draft.

    source: the ONNX file's bytes. statistics: the statistics file's. The same input gives the same
    model, bit for bit, on any machine.
    """
    draft = source_draft(source, card, f"{card.name}: source")
    known = read_statistics(statistics, f"{card.name}: statistics")
    draft = run_steps(attach(draft, known), steps_of(card, variant))
    return finish(draft, recorded(card, variant)), draft


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelFormatError(f"{path}: cannot be read: {error.strerror or error}") from error
