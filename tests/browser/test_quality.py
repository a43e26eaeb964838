"""What the page gives out keeps to the model's floor against the float32 network.

The network runs in onnxruntime on the same photos; the steps around it are Offcut's own.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

from offcut import library
from offcut.evaluate import masks
from offcut.imaging.postprocess import postprocess
from offcut.imaging.preprocess import preprocess
from offcut.imaging.refine import refine
from offcut_build import assets
from offcut_build.tree import Tree
from tests.browser.app import App, png
from tests.test_models import ACTIVATIONS

ROOT = Path(__file__).resolve().parents[2]
PHOTOS = ("astronaut.jpg", "cat.jpg", "coffee.jpg")


def test_downloaded_alpha_keeps_to_the_floor_against_float32(app: App, samples: Path) -> None:
    entry = library.find(app.attribute("model"))
    more, less = ACTIVATIONS[app.attribute("backend")]
    source = assets.ensure(Tree(ROOT))[entry.card.document["source"]["file"]]
    network = onnxruntime.InferenceSession(str(source))
    errors, overlaps = [], []
    for name in PHOTOS:
        photo = np.array(Image.open(samples / name).convert("RGBA"))  # (H, W, 4)

        found = app.cut_out((name, png(photo[..., :3]))).pixels[..., 3] / 255

        x = preprocess(photo, entry.card.input)
        output = network.run([entry.card.output.name], {network.get_inputs()[0].name: x})[0]
        wanted = refine(postprocess(output, entry.card.output), photo, entry.card.output)
        errors.append(masks.mae(found, wanted))
        overlaps.append(masks.iou(found, wanted >= 0.5))

    assert np.mean(errors) <= entry.row.floor["mae"] + more
    assert np.mean(overlaps) >= entry.row.floor["iou"] - less
