"""Train a variant of a card: what its steps come to before the step "train", and after it.

    [quantization.steps]
    small = [
        { step = "prune" }, ...
        { step = "calibrate", scheme = "step", width = 0.6, by = "sensitivity" },
        { step = "round", method = "gptq", photos = 32 },
        { step = "train", recipe = "u2netp-small.training.toml" },
        { step = "store_biases" },
    ]

What comes out is the file that quantize_model makes again without photos, from the file itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from offcut import container
from offcut.card import ModelCard
from offcut.container import Model
from offcut.convert.calibrate import attach
from offcut.convert.commands import read_photos
from offcut.convert.draft import Draft
from offcut.convert.sensitivity import read_sensitivity
from offcut.convert.statistics import photo_hashes, read_statistics
from offcut.convert.steps import finish, recorded, run_steps, steps_of
from offcut.errors import ModelFormatError

__all__ = ["completed", "decided", "prepared", "rounding"]

Rows = Sequence[Mapping[str, Any]]


def prepared(
    draft: Draft, card: ModelCard, variant: str, folder: Path, photos: Sequence[Path]
) -> Draft:
    """Return the draft up to its grids, with statistics, sensitivity, and the photos they are of.

    folder: of the card, where the files are that it names. photos: some of them are those of the
    statistics. Raises ModelFormatError for those that are missing.
    """
    named = card.document["quantization"]
    statistics = (folder / named["statistics"]).read_bytes()
    sensitivity = (folder / named["sensitivity"]).read_bytes()
    have = {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in photos}
    wanted = photo_hashes(statistics)
    if missing := [digest for digest in wanted if digest not in have]:
        raise ModelFormatError(
            f"training: lacks {len(missing)} of the {len(wanted)} photos that "
            f"{named['statistics']} is of, such as the one with sha256 {missing[0][:12]}..."
        )
    read = read_photos([have[digest] for digest in wanted], card.input)
    draft = attach(draft, read_statistics(statistics, named["statistics"]))
    known = read_sensitivity(sensitivity, named["sensitivity"])
    draft = replace(draft, photos=read.inputs, sensitivity=known)
    return run_steps(draft, _parts(card, variant)[0])


def decided(draft: Draft, path: Path) -> Draft:
    """Return the draft of `prepared` with levels and biases of a file of the same variant.

    The steps that round follow it. Raises ModelFormatError for a file that cannot be read.
    """
    try:
        model = container.read(path.read_bytes(), path.name)
    except OSError as error:
        raise ModelFormatError(f"{path}: cannot be read: {error.strerror or error}") from error
    return replace(draft, decided=model.weights, photos=())


def rounding(card: ModelCard, variant: str) -> Rows:
    """Return the steps that round, after those of `prepared`."""
    return _parts(card, variant)[1]


def completed(draft: Draft, card: ModelCard, variant: str) -> tuple[Model, Draft]:
    """Return the model and its draft after the steps that follow training."""
    draft = run_steps(draft, _parts(card, variant)[2])
    return finish(draft, recorded(card, variant, steps_of(card, variant))), draft


def _parts(card: ModelCard, variant: str) -> tuple[Rows, Rows, Rows]:
    """Return the steps before the grids, from there to training, and after it."""
    rows = steps_of(card, variant)
    names = [row.get("step") for row in rows]
    if "train" not in names or "calibrate" not in names:
        raise ModelFormatError(f"card {card.name}: {variant!r} has no steps calibrate and train")
    grids, training = names.index("calibrate"), names.index("train")
    return rows[:grids], rows[grids:training], rows[training + 1 :]
