"""What quantization changes: Offcut's maps beside onnxruntime's float32 ones, on given photos."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from offcut.container import Model
from offcut.errors import ImageError
from offcut.evaluate import masks
from offcut.evaluate.fidelity import photos_in
from offcut.imaging import files
from offcut.imaging.preprocess import preprocess
from offcut.session import open_session
from offcut_build.bench.native import ort_session
from offcut_build.bench.rows import Row
from offcut_build.console import say

__all__ = ["accuracy", "unseen_photos"]

COUNT = 24


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
    format by photo, stands beside Offcut's.
    """
    session = asyncio.run(open_session(model, backend="simd", threads=threads))
    peers = {name: ort_session(path, threads) for name, path in int8.items()}
    exact = ort_session(float32, threads)
    rows: dict[str, list[float]] = {}
    for at, path in enumerate(photos, 1):
        say(f"  photo {at} of {len(photos)}")
        x = preprocess(files.decode(path.read_bytes(), path.name), model.card.input)
        want = _run(exact, x)
        maps = {"accuracy": asyncio.run(session.run(x))[0, 0]}
        maps |= {f"accuracy/onnxruntime_int8_{name}": _run(p, x) for name, p in peers.items()}
        for name, got in maps.items():
            rows.setdefault(f"{name}/mae", []).append(masks.mae(got, want))
            rows.setdefault(f"{name}/iou", []).append(masks.iou(got, want >= 0.5))
    session.close()
    return [row for name, values in rows.items() for row in _rows(name, values)]


def _rows(name: str, values: list[float]) -> Iterator[Row]:
    worst = max(values) if name.endswith("mae") else min(values)
    yield Row(name, values, "")
    yield Row(f"{name}_mean", [float(np.mean(values))], "")
    yield Row(f"{name}_worst", [worst], "")


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
