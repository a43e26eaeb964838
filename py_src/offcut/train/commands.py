"""What the command line calls: source, recipe and photos in, a trained model out.

prepare     the student and its teacher, before any training
train_file  prepare, train (or go on), and finish a model
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from offcut import container
from offcut.card import ModelCard
from offcut.container import Model
from offcut.convert.calibrate import attach, calibrate
from offcut.convert.commands import float_weights, quiet
from offcut.convert.draft import Draft
from offcut.convert.importer import import_file
from offcut.convert.recipes import recipe as steps_for
from offcut.convert.rounding import store_biases
from offcut.convert.statistics import ChannelStatistics
from offcut.convert.steps import finish, run_steps, store_spans
from offcut.errors import ModelFormatError
from offcut.train import variants
from offcut.train.data import Photos, whole
from offcut.train.loop import Run, train
from offcut.train.losses import targets
from offcut.train.recipe import Recipe
from offcut.train.students import Pupil, finished, load, pruned, quantized, save

__all__ = ["Folders", "prepare", "train_file"]

CALIBRATION = 64  # photos that statistics are made of, and that GPTQ sees
Report = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Folders:
    """photos: to train with; held: to measure on, none of them in photos; run: what is kept.

    card: where the files are that a card names, for a recipe that names one of its variants.
    """

    photos: Sequence[Path]
    held: Sequence[Path]
    run: Path
    card: Path = Path()


def train_file(
    source: Path,
    card: ModelCard | None,
    recipe: Recipe,
    folders: Folders,
    *,
    tell: Callable[[str], object] = lambda text: None,
    report: Report = quiet,
) -> tuple[Model, Draft]:
    """Return the trained model and its draft. An interrupted run goes on where it was.

    source: an ONNX file or a float32 model file, the teacher.
    """
    torch.set_num_threads(1)  # so that the order of sums, and with it the result, is the same
    draft, card = _source(source, card)
    if recipe.variant:
        draft = variants.prepared(draft, card, recipe.variant, folders.card, folders.photos)
    pupil = prepare(draft, card, recipe, folders, report=report)
    run = Run(
        teacher=pupil.teacher,
        photos=Photos(folders.photos, card.input, seed=recipe.seed),
        what=targets(pupil.teacher.graph, pupil.student.graph, pupil.kept),
        recipe=recipe,
        held=whole(folders.held, card.input),
        folder=folders.run,
        others=_others(pupil, draft.statistics, card),
        every=recipe.every,
    )
    pupil.student.centre(pupil.means)
    train(pupil.student, run, tell)
    made = finished(pupil)
    if recipe.variant:
        return variants.completed(replace(made, statistics=draft.statistics), card, recipe.variant)
    if made.rounded:  # trained weights make other values: backends need their ranges
        inputs = (x[None].numpy() for x in whole(folders.photos[:CALIBRATION], card.input))
        exact = {name: tensor.decode() for name, tensor in made.rounded.items()}
        seen = replace(made, weights={**made.weights, **exact})
        made = store_spans(attach(made, calibrate(seen, inputs)))
    return finish(made, card), made


def prepare(
    draft: Draft, card: ModelCard, recipe: Recipe, folders: Folders, *, report: Report = quiet
) -> Pupil:
    """Return student and teacher; both are kept in the run's folder, and taken from there."""
    if (known := load(folders.run)) is not None:
        return known
    if recipe.variant:
        if recipe.start:
            draft = variants.decided(draft, folders.card / recipe.start)
        pupil = quantized(run_steps(draft, variants.rounding(card, recipe.variant), report))
        save(pupil, folders.run, card)
        return pupil
    inputs = whole(folders.photos[:CALIBRATION], card.input)
    draft = attach(draft, calibrate(draft, (x[None].numpy() for x in inputs)))
    if recipe.student is not None:
        pupil = pruned(draft, inputs.split(1), recipe.student, report)
    else:
        assert recipe.quantization is not None
        draft = replace(draft, photos=tuple(x[None].numpy() for x in inputs))
        rounded = run_steps(draft, steps_for(recipe.quantization), report)
        pupil = quantized(replace(rounded, spans={}))  # trained weights make other values
    save(pupil, folders.run, card)
    return pupil


def _others(pupil: Pupil, statistics: Mapping[str, ChannelStatistics], card: ModelCard) -> int:
    """Return the bytes of a quantized student's file that are not levels; 0 for others."""
    if not pupil.draft.rounded:
        return 0
    start = replace(pupil.draft, statistics=statistics)  # those that a run's folder does not keep
    file = container.write(finish(store_biases(start), card))
    with torch.no_grad():
        return len(file) - round(float(pupil.student.coded_bytes()))


def _source(path: Path, card: ModelCard | None) -> tuple[Draft, ModelCard]:
    """Return the float draft of an ONNX file or a float32 model file, and its card."""
    if path.suffix != ".safetensors":
        model, draft = import_file(path, card=card)
        return draft, model.card
    try:
        model = container.read(path.read_bytes(), path.name)
    except OSError as error:
        raise ModelFormatError(f"{path}: cannot be read: {error.strerror or error}") from error
    return Draft(model.graph, float_weights(model, path.name)), model.card
