"""What quantization changes: Offcut's maps beside onnxruntime's float32 ones, on given photos.

Where the network is unsure, the rounding of activations is amplified like noise, so that a worst
photo is partly chance. Draws tell how far: the same model with the range of each value up to 6 %
wider, at random, whose errors are as large, but others.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from offcut.container import Model
from offcut.doubt import is_doubtful
from offcut.errors import ImageError
from offcut.evaluate import masks
from offcut.evaluate.fidelity import photos_in
from offcut.imaging import files
from offcut.imaging.preprocess import preprocess
from offcut.session import open_session
from offcut_build.bench.native import ort_session
from offcut_build.bench.rows import Row
from offcut_build.console import say

__all__ = ["accuracy", "draw", "unseen_photos"]

COUNT = 24
DRAWS, WIDER = 8, 0.06


def unseen_photos(folder: Path, statistics: Path) -> list[Path]:
    """Return the first 24 photos, by path, that the model was not calibrated with.

    statistics: the file that lists the sha256 of those used. Raises ImageError when none is left.
    """
    used = set(_photos_of(statistics))
    found: list[Path] = []
    for path in photos_in(folder):
        if hashlib.sha256(path.read_bytes()).hexdigest() not in used:
            found.append(path)
        if len(found) == COUNT:
            return found
    if not found:
        raise ImageError(f"{folder} holds only photos that the model was calibrated with")
    return found


def accuracy(
    model: Model, float32: Path, int8: dict[str, Path], photos: list[Path], threads: int
) -> list[Row]:
    """Return rows of the mean absolute difference and of IoU at one half, a value per photo.

    The kernels give the same bits natively and as WebAssembly. The peer's 8-bit model, better
    format by photo, stands beside Offcut's, and what Offcut gives without its second look
    (offcut/doubt.py) at the photos of which the network is unsure.
    """
    inputs = [preprocess(files.decode(p.read_bytes(), p.name), model.card.input) for p in photos]
    exact = ort_session(float32, threads)
    wanted = [_run(exact, x) for x in inputs]
    made = {
        "accuracy": _maps(model, inputs, threads),
        "accuracy/first_look": _maps(model, inputs, threads, second_look=False),
    }
    doubtful = sum(is_doubtful(alpha) for alpha in made["accuracy/first_look"])
    for name, path in int8.items():
        peer = ort_session(path, threads)
        made[f"accuracy/onnxruntime_int8_{name}"] = [_run(peer, x) for x in inputs]
    rows = [row for name, maps in made.items() for row in _rows(name, *_beside(maps, wanted))]
    drawn = [
        _beside(_maps(draw(model, seed), inputs, threads), wanted) for seed in range(1, DRAWS + 1)
    ]
    means, worst = [float(np.mean(mae)) for mae, _ in drawn], [min(iou) for _, iou in drawn]
    rows.append(Row("accuracy/second_looks", [doubtful], ""))
    rows.append(Row("accuracy/draws/mae_mean", means, ""))
    rows.append(Row("accuracy/draws/iou_worst", worst, ""))
    return rows


def draw(model: Model, seed: int) -> Model:
    """Return the model with the range of each value wider by a random factor."""
    random = np.random.default_rng(seed)
    factors = {name: 1.0 + WIDER * random.random() for name in model.ranges}
    ranges = {
        name: (low * factors[name], high * factors[name])
        for name, (low, high) in model.ranges.items()
    }
    return replace(model, ranges=ranges)


def _maps(
    model: Model, inputs: list[np.ndarray], threads: int, *, second_look: bool = True
) -> list[np.ndarray]:
    say(f"  {len(inputs)} photos")
    session = asyncio.run(open_session(model, backend="simd", threads=threads))
    session = replace(session, second_look=second_look)
    maps = [asyncio.run(session.run(x))[0, 0] for x in inputs]
    session.close()
    return maps


def _beside(maps: list[np.ndarray], wanted: list[np.ndarray]) -> tuple[list[float], list[float]]:
    """Return the mean absolute difference and the IoU at one half of each photo."""
    pairs = list(zip(maps, wanted, strict=True))
    return [masks.mae(*pair) for pair in pairs], [masks.iou(a, b >= 0.5) for a, b in pairs]


def _rows(name: str, mae: list[float], iou: list[float]) -> Iterator[Row]:
    for kind, values, worst in (("mae", mae, max(mae)), ("iou", iou, min(iou))):
        yield Row(f"{name}/{kind}", values, "")
        yield Row(f"{name}/{kind}_mean", [float(np.mean(values))], "")
        yield Row(f"{name}/{kind}_worst", [worst], "")


def _run(session: object, x: np.ndarray) -> np.ndarray:
    """Return the first output of onnxruntime, (h, w)."""
    run, inputs, outputs = (getattr(session, n) for n in ("run", "get_inputs", "get_outputs"))
    output: np.ndarray = run([outputs()[0].name], {inputs()[0].name: x})[0]
    return output[0, 0]


def _photos_of(statistics: Path) -> list[str]:
    """Return the hashes that a statistics file lists; offcut/convert/statistics.py has its form."""
    data = statistics.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return [str(digest) for digest in json.loads(header["__metadata__"]["photos"])]
