"""Training runs: they lower the loss, go on after an interruption, and refuse what does not fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from offcut.card import InputSpec
from offcut.convert.steps import run_steps
from offcut.errors import ImageError, ModelFormatError
from offcut.train.data import Photos, whole
from offcut.train.loop import Run, train
from offcut.train.losses import targets
from offcut.train.network import Network
from offcut.train.recipe import Losses, Phase, Recipe, Slimming, from_document
from offcut.train.students import quantized
from tests.train import small

SPEC = InputSpec((small.SIZE, small.SIZE), range="max", mean=(0.5,) * 3, std=(0.25,) * 3)
RECIPE = Recipe(
    phases=(Phase(6, 32, batch=2, rate=5e-3), Phase(4, 64, batch=1, rate=2e-3)),
    student=Slimming(1e9),
    seed=3,
)


def run_of(paths: list[Path], folder: Path, recipe: Recipe = RECIPE) -> tuple[Network, Run]:
    """Return a student with noise on its weights, and the run in which it finds back."""
    draft, random = small.draft(), np.random.default_rng(1)
    noisy = {
        name: array + random.normal(0, 0.1 * array.std(), array.shape)
        for name, array in draft.weights.items()
    }
    teacher = Network(draft.graph, draft.weights)
    what = targets(draft.graph, draft.graph)
    photos = Photos(paths[:3], SPEC, seed=recipe.seed)
    held = whole(paths[3:], SPEC)
    return Network(draft.graph, noisy), Run(teacher, photos, what, recipe, held, folder, every=2)


def test_a_short_run_brings_the_student_nearer(paths: list[Path], tmp_path: Path) -> None:
    recipe = replace(RECIPE, phases=(Phase(40, 32, batch=2, rate=5e-3),))
    history = train(*run_of(paths, tmp_path, recipe))
    assert history[-1]["loss"] < 0.5 * history[1]["loss"]
    assert history[-1]["mae"] < history[0]["mae"]


def test_an_interrupted_run_ends_with_the_same_weights(paths: list[Path], tmp_path: Path) -> None:
    whole_run, run = run_of(paths, tmp_path / "whole")
    train(whole_run, run)

    class Interrupted(Exception):
        pass

    def interrupt(text: str) -> None:
        if text.startswith("[6/"):
            raise Interrupted

    first, run = run_of(paths, tmp_path / "parts")
    with pytest.raises(Interrupted):
        train(first, run, interrupt)
    second, run = run_of(paths, tmp_path / "parts")
    history = train(second, run)
    assert [row["step"] for row in history] == [0, 2, 4, 6, 8, 10]
    for ours, theirs in zip(second.tensors, whole_run.tensors, strict=True):
        assert torch.equal(ours, theirs)


def test_a_folder_of_another_recipe_is_refused(paths: list[Path], tmp_path: Path) -> None:
    train(*run_of(paths, tmp_path))
    with pytest.raises(ModelFormatError, match="another recipe"):
        train(*run_of(paths, tmp_path, replace(RECIPE, seed=4)))


def test_a_step_sees_the_same_crops_whenever_it_runs(paths: list[Path]) -> None:
    photos = Photos(paths, SPEC, seed=1)
    assert torch.equal(photos.batch(7, 2, 32), photos.batch(7, 2, 32))
    assert not torch.equal(photos.batch(7, 2, 32), photos.batch(8, 2, 32))


def test_training_without_photos_is_an_error() -> None:
    with pytest.raises(ImageError, match="no photo"):
        Photos([], SPEC)


def test_losses_compare_side_maps_and_sums(paths: list[Path]) -> None:
    graph = small.draft().graph
    what = targets(graph, graph)
    assert (
        what.output == "alpha" and what.sides == ("side", "large") and what.features == ("total",)
    )


def test_a_recipe_is_read_from_a_table() -> None:
    recipe = from_document(
        {
            "seed": 2,
            "losses": {"sides": 0.1},
            "student": {"budget": 1e9},
            "phases": [{"steps": 3, "size": 64}],
        },
        "a test",
    )
    assert recipe.phases == (Phase(3, 64),) and recipe.losses == Losses(sides=0.1)
    assert recipe.student == Slimming(1e9) and recipe.steps == 3


@pytest.mark.parametrize(
    ("odd", "named"),
    [
        ({"phases": []}, "one of student, quantization and variant"),
        ({"phases": [{"steps": 1, "size": 33}], "student": {"budget": 1}}, "multiple of 32"),
        ({"phases": [{"steps": 1, "size": 32, "speed": 1}], "student": {"budget": 1}}, "speed"),
        ({"student": {"budget": 1}}, "phases"),
        (
            {"phases": [{"steps": 1, "size": 32, "precision": "int1"}], "student": {"budget": 1}},
            "int1",
        ),
        ({"phases": [], "student": {"budget": 1}, "start": "first"}, "variant has a start"),
    ],
)
def test_a_recipe_that_cannot_be_run_is_refused(odd: dict[str, object], named: str) -> None:
    with pytest.raises(ModelFormatError, match=named):
        from_document(odd, "a test")


def test_a_student_beyond_its_bytes_becomes_smaller(paths: list[Path], tmp_path: Path) -> None:
    draft = replace(small.draft(), statistics={})
    rows: list[dict[str, object]] = [
        {"step": "calibrate", "scheme": "step", "width": 0.5},
        {"step": "round", "method": "nearest"},
    ]
    pupil = quantized(run_steps(draft, rows))
    before = float(pupil.student.coded_bytes().detach())
    recipe = replace(
        RECIPE,
        phases=(Phase(40, 32, batch=1, rate=5e-2),),
        losses=Losses(size=50.0),
        bytes=0.9 * before,
    )
    what = targets(draft.graph, draft.graph)
    photos, held = Photos(paths[:3], SPEC, seed=1), whole(paths[3:], SPEC)
    history = train(
        pupil.student, Run(pupil.teacher, photos, what, recipe, held, tmp_path, every=20)
    )
    assert history[0]["bytes"] == round(before)
    assert history[-1]["bytes"] <= 0.95 * before


def test_a_quantized_student_starts_as_what_was_rounded() -> None:
    rows: list[dict[str, object]] = [
        {"step": "calibrate", "scheme": "step", "width": 0.5},
        {"step": "round", "method": "nearest"},
    ]
    draft = run_steps(small.draft(), rows)
    arrays = quantized(draft).student.arrays()
    assert all(np.allclose(arrays[name], t.decode()) for name, t in draft.rounded.items())


def test_small_scales_learn_as_slowly_as_large_ones(paths: list[Path], tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"step": "calibrate", "scheme": "int3-group-16"},
        {"step": "round", "method": "nearest"},
    ]
    draft = run_steps(small.draft(), rows)
    pupil = quantized(draft)
    before = [row.detach().clone() for row in pupil.student.quantizers.parameters()]
    recipe = replace(RECIPE, phases=(Phase(4, 32, rate=0.01),), scales=2.0, biases=0.5)
    what = targets(draft.graph, draft.graph)
    photos, held = Photos(paths[:3], SPEC), whole(paths[3:], SPEC)
    train(pupil.student, Run(pupil.teacher, photos, what, recipe, held, tmp_path))
    after = pupil.student.quantizers.parameters()
    changes = [(new / old - 1).abs().max() for new, old in zip(after, before, strict=True)]
    assert 0.001 < min(changes) and max(changes) < 4 * 0.01
