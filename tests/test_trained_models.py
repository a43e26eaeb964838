"""Models that training made: each is what its card says, has fewer products, and keeps its floor.

Photos are those that scikit-image ships; the float32 source comes from assets.lock.toml.
"""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import skimage

from offcut import card as cards
from offcut import container
from offcut.evaluate import masks
from offcut.imaging import files
from offcut.imaging.preprocess import preprocess
from offcut.session import open_session
from offcut_build import assets
from offcut_build.tree import Tree

MODELS = Path(__file__).resolve().parents[1] / "models"
CARD = cards.parse((MODELS / "u2netp-fast.toml").read_text(), "u2netp-fast.toml")
PHOTOS = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png")
TEACHER_MACS = 19.76e9


@pytest.mark.parametrize("variant", CARD.variants)
def test_each_file_is_what_its_card_says(variant: str) -> None:
    row = CARD.variants[variant]
    data = (MODELS / row.file).read_bytes()
    assert len(data) == row.bytes and hashlib.sha256(data).hexdigest() == row.sha256
    model = container.read(data, row.file)
    assert {tensor.scheme for tensor in model.weights.values()} >= {row.scheme}
    assert model.graph.multiply_accumulates() <= 0.6 * TEACHER_MACS


@pytest.mark.parametrize("variant", CARD.variants)
def test_each_file_keeps_to_its_floor(variant: str) -> None:
    teacher = onnxruntime.InferenceSession(str(assets.ensure(Tree(MODELS.parent))["u2netp.onnx"]))
    folder = Path(skimage.__file__).parent / "data"
    row = CARD.variants[variant]
    model = container.read((MODELS / row.file).read_bytes(), row.file)
    session = asyncio.run(open_session(model, backend="simd"))
    errors, overlaps = [], []
    for name in PHOTOS:
        x = preprocess(files.decode((folder / name).read_bytes(), name), CARD.input)
        ours = asyncio.run(session.run(x))[0, 0]
        theirs = teacher.run([CARD.output.name], {teacher.get_inputs()[0].name: x})[0][0, 0]
        errors.append(masks.mae(ours, theirs))
        overlaps.append(masks.iou(ours, theirs >= 0.5))
    session.close()
    assert np.mean(errors) <= row.floor["mae"], errors
    assert np.mean(overlaps) >= row.floor["iou"], overlaps
