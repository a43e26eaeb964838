"""A card's variant is trained from its steps; its file is made again from the file itself."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from offcut import container
from offcut.card import ModelCard, from_document
from offcut.convert.calibrate import attach, calibrate
from offcut.convert.commands import read_photos
from offcut.convert.draft import Draft
from offcut.convert.sensitivity import write_sensitivity
from offcut.convert.statistics import read_statistics, write_statistics
from offcut.convert.steps import finish, recorded, run_steps, steps_of
from offcut.errors import ModelFormatError
from offcut.train import variants
from offcut.train.sensitivity import measure_sensitivity
from offcut.train.students import finished, quantized
from tests.train import small

GRID = {"step": "calibrate", "scheme": "step", "width": 0.1, "by": "sensitivity"}
STEPS = [
    {"step": "shift"},
    GRID,
    {"step": "round", "method": "gptq"},
    {"step": "train", "recipe": "small.toml"},
    {"step": "store_biases"},
]
CARD = {
    "name": "small",
    "licence": "Apache-2.0",
    "input": {"size": [small.SIZE, small.SIZE], "range": "max"},
    "output": {"name": "alpha"},
    "quantization": {
        "statistics": "statistics",
        "sensitivity": "sensitivity",
        "steps": {"coarse": STEPS, "plain": STEPS[:3]},
    },
}


@pytest.fixture
def card(paths: list[Path], tmp_path: Path) -> ModelCard:
    """A card, with the files that it names in tmp_path."""
    made = from_document(CARD, "test")
    draft, photos = small.draft(), read_photos(paths[:3], made.input)
    hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths[:3]]
    statistics = calibrate(draft, photos.inputs)
    inputs = [torch.from_numpy(x) for x in photos.inputs]
    (tmp_path / "statistics").write_bytes(write_statistics(statistics, hashes))
    sensitivity = measure_sensitivity(draft, inputs)
    (tmp_path / "sensitivity").write_bytes(write_sensitivity(sensitivity))
    return made


def prepared(card: ModelCard, folder: Path, paths: list[Path]) -> Draft:
    return variants.prepared(small.draft(), card, "coarse", folder, paths)


def test_a_trained_variant_is_made_again_from_its_file(
    card: ModelCard, paths: list[Path], tmp_path: Path
) -> None:
    draft = prepared(card, tmp_path, paths)
    pupil = quantized(run_steps(draft, variants.rounding(card, "coarse")))
    with torch.no_grad():  # what training may do
        for name, quantizer in zip(pupil.student.quantized, pupil.student.quantizers, strict=True):
            w = pupil.student.tensor(name)
            w += quantizer.wide(w[0].numel())[:, :1].reshape(-1, 1, 1, 1)
    made = replace(finished(pupil), statistics=draft.statistics)
    model, _ = variants.completed(made, card, "coarse")
    rows = steps_of(card, "coarse")
    known = attach(small.draft(), read_statistics((tmp_path / "statistics").read_bytes(), "test"))
    bare = replace(known, sensitivity=draft.sensitivity, decided=model.weights)
    again = finish(run_steps(bare, rows), recorded(card, "coarse", rows))
    assert container.write(again) == container.write(model)


def test_training_goes_on_from_a_file_of_the_variant(
    card: ModelCard, paths: list[Path], tmp_path: Path
) -> None:
    draft = prepared(card, tmp_path, paths)
    first = run_steps(draft, variants.rounding(card, "coarse"))
    rounded = {
        name: replace(tensor, parts={**tensor.parts, "q": -tensor.parts["q"]})
        for name, tensor in first.rounded.items()
    }
    biases = {name: w + (w.ndim == 1) for name, w in first.weights.items()}
    model, _ = variants.completed(replace(first, rounded=rounded, weights=biases), card, "coarse")
    (tmp_path / "first.safetensors").write_bytes(container.write(model))
    again = variants.decided(draft, tmp_path / "first.safetensors")
    pupil = quantized(run_steps(again, variants.rounding(card, "coarse")))
    for name, tensor in model.weights.items():
        w = pupil.student.tensor(name).detach().numpy()
        assert np.allclose(w, tensor.decode(), atol=1e-6)
    assert np.allclose(pupil.teacher.tensor("low.w").detach(), draft.weights["low.w"], atol=1e-6)


def test_a_start_that_is_not_there_is_named(
    card: ModelCard, paths: list[Path], tmp_path: Path
) -> None:
    with pytest.raises(ModelFormatError, match="cannot be read"):
        variants.decided(prepared(card, tmp_path, paths), tmp_path / "first.safetensors")


def test_photos_that_the_statistics_name_must_be_there(
    card: ModelCard, paths: list[Path], tmp_path: Path
) -> None:
    with pytest.raises(ModelFormatError, match="lacks 2 of the 3 photos"):
        prepared(card, tmp_path, paths[2:])


def test_a_variant_without_training_is_refused(card: ModelCard) -> None:
    with pytest.raises(ModelFormatError, match="no steps calibrate and train"):
        variants.rounding(card, "plain")
