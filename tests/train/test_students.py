"""Students with quantized weights: kept and read again, and finished as they were trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from offcut.card import from_document
from offcut.convert.calibrate import attach, calibrate
from offcut.convert.steps import run_steps
from offcut.train.network import Network
from offcut.train.students import Pupil, finished, load, quantized, save
from tests.train import small

CARD = {
    "name": "small",
    "licence": "Apache-2.0",
    "input": {"size": [small.SIZE, small.SIZE], "range": "max"},
    "output": {"name": "alpha"},
}
EQUAL = 1e-5  # float32 sums in another order


@pytest.fixture
def pupil() -> Pupil:
    draft = small.draft()
    draft = attach(draft, calibrate(draft, [x.numpy() for x in small.photos(3)]))
    rows = [{"step": "calibrate", "scheme": "step", "width": 0.5}, {"step": "round"}]
    return quantized(run_steps(draft, rows))


def test_every_quantized_weight_has_the_mean_of_what_it_sees(pupil: Pupil) -> None:
    assert set(pupil.means) == set(pupil.student.quantized)
    weights = zip(pupil.student.names, pupil.student.tensors, strict=True)
    assert all(len(pupil.means[n]) == w.shape[1] for n, w in weights if n in pupil.means)


def test_a_pupil_that_was_kept_trains_like_the_one_that_was_made(
    pupil: Pupil, tmp_path: Path
) -> None:
    save(pupil, tmp_path, from_document(CARD, "test"))
    known = load(tmp_path)
    assert known is not None
    for one in (pupil, known):
        one.student.centre(one.means)
    for ours, theirs in zip(known.student.tensors, pupil.student.tensors, strict=True):
        assert torch.equal(ours, theirs)


def test_a_finished_student_computes_what_was_trained(pupil: Pupil) -> None:
    student, x = pupil.student, small.photos(1, seed=4)[0]
    student.centre(pupil.means)
    random = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for tensor in student.tensors:  # what training may do
            tensor += 0.3 * tensor.abs().mean() * torch.randn(tensor.shape, generator=random)
        trained = student(x)["alpha"]
    made = finished(pupil)
    exact = {name: tensor.decode().astype(np.float64) for name, tensor in made.rounded.items()}
    again = Network(made.graph, {**made.weights, **exact})(x)["alpha"].detach()
    assert torch.allclose(again, trained, atol=EQUAL)
    before = pupil.draft.rounded
    assert any((made.rounded[n].parts["q"] != before[n].parts["q"]).any() for n in exact)
