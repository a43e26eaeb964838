"""Compare all quantization levels of a model with float32 and with ground truth, photo by photo.

For each level: how far its alpha map is from the float32 network's (at the network's size), how its
cutouts compare with ground truth, both with intervals, its size, and its time per backend. A folder
holds im/ and gt/ itself, or folders that do (sets of photos, named by their folders).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from offcut import library
from offcut.card import ModelCard
from offcut.container import Model
from offcut.errors import BackendError, ImageError
from offcut.evaluate import masks
from offcut.evaluate.folder import measure, pairs_in, read_truth
from offcut.imaging import files
from offcut.imaging.postprocess import postprocess
from offcut.imaging.preprocess import preprocess
from offcut.imaging.refine import refine
from offcut.session import Session, open_session

__all__ = ["FIDELITY", "TRUTH", "Comparison", "Level", "compare", "interval"]

FIDELITY = ("mae_to_float32", "iou_to_float32")
TRUTH = ("mae", "max_f", "weighted_f", "structure", "iou", "sad", "mse", "gradient")
ROUNDS = 2000  # resamples of a bootstrap interval
TIMED = 5  # runs of which the fastest counts

Figures = Mapping[str, float]
Tell = Callable[[str], object]


@dataclass(slots=True)
class Level:
    """One model file: what it is, and its figures on each photo."""

    name: str
    bytes: int
    sha256: str
    backend: str
    photos: dict[str, dict[str, float]] = field(default_factory=dict)  # "set/stem" -> figures
    milliseconds: dict[str, float] = field(default_factory=dict)  # backend -> of a forward

    def column(self, figure: str, photos: Sequence[str]) -> np.ndarray:
        """Return a figure of those photos that have it, float64 (n,)."""
        rows = (self.photos[photo] for photo in photos)
        return np.array([row[figure] for row in rows if figure in row])


@dataclass(frozen=True, slots=True)
class Comparison:
    """All levels, the float32 network first."""

    levels: tuple[Level, ...]
    sets: Mapping[str, tuple[str, ...]]  # set -> its photos

    def document(self) -> dict[str, Any]:
        """Return means, intervals and worst photos, as plain JSON values."""
        return {
            "photos": {name: len(photos) for name, photos in self.sets.items()},
            "models": {level.name: self._summary(level) for level in self.levels},
        }

    def _summary(self, level: Level) -> dict[str, Any]:
        every = [photo for photos in self.sets.values() for photo in photos]
        return {
            "bytes": level.bytes,
            "sha256": level.sha256,
            "backend": level.backend,
            "milliseconds": level.milliseconds,
            "to_float32": self._fidelity(level, every),
            "truth": {name: self._truth(level, photos) for name, photos in self.sets.items()},
        }

    def _fidelity(self, level: Level, photos: Sequence[str]) -> dict[str, Any]:
        """Return how far a level's maps are from float32's: nothing for float32 itself."""
        if level is self.levels[0]:
            return {}
        worst = sorted(photos, key=lambda photo: -level.photos[photo][FIDELITY[0]])
        found: dict[str, Any] = {}
        for figure, worse in zip(FIDELITY, (max, min), strict=True):
            values = level.column(figure, photos)
            found[figure] = {
                "mean": float(values.mean()),
                "interval": interval(values),
                "worst": float(worse(values)),
            }
        return found | {"worst_photos": worst[:5]}

    def _truth(self, level: Level, photos: Sequence[str]) -> dict[str, Any]:
        """Return the figures against ground truth, and their change from float32's."""
        found: dict[str, Any] = {}
        for figure in TRUTH:
            values = level.column(figure, photos)
            if not values.size:
                continue
            found[figure] = {"mean": float(values.mean())}
            if level is not self.levels[0]:
                change = values - self.levels[0].column(figure, photos)
                found[figure] |= {"change": float(change.mean()), "interval": interval(change)}
        return found


def interval(values: np.ndarray, *, seed: int = 1) -> list[float]:
    """Return the 95 % bootstrap interval of the mean of `values`, float64 (n,)."""
    chosen = np.random.default_rng(seed).integers(0, values.size, (ROUNDS, values.size))
    means = values[chosen].mean(axis=1)
    return [float(bound) for bound in np.quantile(means, (0.025, 0.975))]


def compare(
    folder: Path, float32: str, names: Sequence[str], *, tell: Tell = lambda text: None
) -> Comparison:
    """Run the model `float32` and the models `names` on every photo below `folder`.

    float32: a model file, ONNX or ours. Raises ImageError when there are no pairs of photo and
    truth, and what opening models raises.
    """
    sets = dict(_sets(folder))
    opened = [_open(name) for name in (float32, *names)]
    levels = tuple(
        Level(session.name, size, digest, session.backend) for session, size, digest in opened
    )
    sessions = [session for session, _, _ in opened]
    card = sessions[-1].model.card  # one way in and out for all, or that would be compared too
    levels[0].name = f"{card.name}-float32"
    try:
        for name, pairs in sets.items():
            for at, (photo, truth) in enumerate(pairs):
                tell(f"{name}: [{at + 1}/{len(pairs)}] {photo.name}")
                rows = _photo(photo, read_truth(truth), sessions, card)
                for level, row in zip(levels, rows, strict=True):
                    level.photos[f"{name}/{photo.stem}"] = row
        for level, session in zip(levels, sessions, strict=True):
            tell(f"{level.name}: timing")
            level.milliseconds.update(_times(session.model))
    finally:
        for session in sessions:
            session.close()
    return Comparison(
        levels,
        {name: tuple(f"{name}/{p.stem}" for p, _ in pairs) for name, pairs in sets.items()},
    )


def _open(name: str) -> tuple[Session, int, str]:
    loaded = asyncio.run(library.load_file(name))
    session = asyncio.run(open_session(loaded.model, name=loaded.name))
    return session, loaded.bytes, loaded.sha256


def _sets(folder: Path) -> Iterator[tuple[str, list[tuple[Path, Path]]]]:
    """Yield each set's name and its pairs of photo and truth."""
    inside = [path for path in sorted(folder.iterdir()) if (path / "im").is_dir()]
    if not inside and not (folder / "im").is_dir():
        raise ImageError(
            f"{folder} holds neither im/ and gt/ nor folders with them",
            remedy="name a folder with photos in im/ and ground truth in gt/",
        )
    for path in inside or [folder]:
        yield path.resolve().name, list(pairs_in(path))


def _photo(
    path: Path, truth: np.ndarray, sessions: Sequence[Session], card: ModelCard
) -> list[dict[str, float]]:
    """Return each session's figures on one photo; truth: float32 (H, W)."""
    pixels = files.decode(path.read_bytes(), path.name)  # u8 (H, W, 4)
    x = preprocess(pixels, card.input)  # f32 (1, 3, h, w)
    rows: list[dict[str, float]] = []
    first: np.ndarray | None = None
    for session in sessions:
        output = asyncio.run(session.run(x))
        alpha = postprocess(output, card.output)  # f32 (h, w)
        row = measure(refine(alpha, pixels, card.output), truth)
        if first is None:
            first = alpha
        else:
            row[FIDELITY[0]] = masks.mae(alpha, first)
            row[FIDELITY[1]] = masks.iou(alpha, first >= 0.5)
        rows.append(row)
    return rows


def _times(model: Model) -> Iterator[tuple[str, float]]:
    """Yield each backend that runs here, and the milliseconds of a forward on one thread."""
    x = np.zeros((1, 3, *model.card.input.size), np.float32)
    for backend, runs in (("simd", TIMED), ("reference", 1)):
        try:
            session = asyncio.run(open_session(model, backend=backend, threads=1))
        except BackendError:
            continue
        spent = []
        for _ in range(runs + 1):  # the first one warms up
            begin = time.perf_counter()
            asyncio.run(session.run(x))
            spent.append((time.perf_counter() - begin) * 1e3)
        session.close()
        yield backend, round(min(spent[1:]), 1)
