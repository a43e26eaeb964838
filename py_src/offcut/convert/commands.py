"""What quantization is made of: an ONNX file in, a quantized Model out; importer.py makes float32.

source_draft    read, trace and fuse
calibrate_photos    the statistics file of a folder of photos
quantize_model  a variant of a card, from source and statistics
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from offcut.card import InputSpec, ModelCard
from offcut.container import Model
from offcut.convert.calibrate import attach, calibrate
from offcut.convert.draft import Draft
from offcut.convert.fuse import fuse
from offcut.convert.identify import Wishes, identify
from offcut.convert.importer import check_source
from offcut.convert.onnx_reader import OnnxModel, read_onnx
from offcut.convert.statistics import read_statistics, write_statistics
from offcut.convert.steps import finish, recorded, run_steps, steps_of
from offcut.convert.trace import trace
from offcut.errors import ModelFormatError
from offcut.imaging import files
from offcut.imaging.preprocess import preprocess

__all__ = [
    "calibrate_photos",
    "plain_card",
    "quantize_model",
    "source_draft",
]

Report = Callable[[int, int], None]


def source_draft(data: bytes, card: ModelCard, where: str) -> Draft:
    """Return the fused float graph of the ONNX bytes `data`, at the card's input size.

    Raises IntegrityError when the card names other bytes as its source.
    """
    check_source(data, card, where)
    wanted = [card.output.name]
    return fuse(trace(read_onnx(data, where), size=card.input.size, outputs=wanted), wanted)


def plain_card(name: str, model: OnnxModel) -> ModelCard:
    """Return a card for a model that comes without one: see `identify`."""
    return identify(name, model, Wishes())


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
