"""Evaluate a model on a folder of photos with ground truth: DIR/im and DIR/gt, equal stems."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from offcut.errors import ImageError
from offcut.evaluate import masks, mattes
from offcut.imaging import files
from offcut.pipeline import cut_out
from offcut.session import Session

__all__ = ["Evaluation", "evaluate_folder", "measure", "pairs_in", "read_truth"]

SOFT = 0.02  # share of truth pixels strictly between 0 and 1 from which it counts as a matte


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The figures of each photo, by stem, and what was measured."""

    model: str
    backend: str
    photos: Mapping[str, Mapping[str, float]]
    set_max_f: float  # the maximum of the mean F-measure curve

    @property
    def means(self) -> dict[str, float]:
        """The mean of each figure over the photos that have it."""
        keys = dict.fromkeys(key for row in self.photos.values() for key in row)
        return {
            key: float(np.mean([row[key] for row in self.photos.values() if key in row]))
            for key in keys
        }

    def document(self) -> dict[str, Any]:
        """Return everything, as plain JSON values."""
        return {
            "model": self.model,
            "backend": self.backend,
            "photos": {stem: dict(row) for stem, row in self.photos.items()},
            "means": self.means | {"set_max_f": self.set_max_f},
        }

    def table(self) -> str:
        """Return the means as text for people."""
        lines = [f"{self.model} on {len(self.photos)} photos, backend {self.backend}"]
        for key, value in (self.means | {"set_max_f": self.set_max_f}).items():
            lines.append(f"  {TITLES[key]:<34} {value:10.4f}")
        return "\n".join(lines)


TITLES = {
    "mae": "mean absolute error",
    "max_f": "max F-measure, mean over photos",
    "set_max_f": "max F-measure of the mean curve",
    "weighted_f": "weighted F-measure",
    "structure": "S-measure",
    "iou": "IoU at 0.5",
    "sad": "SAD (thousands)",
    "mse": "MSE",
    "gradient": "gradient error (thousands)",
}


def evaluate_folder(
    folder: Path, session: Session, tell: Callable[[str], object] = lambda text: None
) -> Evaluation:
    """Run `session` on every photo of folder/im and compare with folder/gt.

    Raises ImageError when the folder has no such pairs, or a pair's sizes disagree.
    """
    rows: dict[str, dict[str, float]] = {}
    curves = []
    pairs = list(pairs_in(folder))
    for at, (photo, truth_path) in enumerate(pairs):
        tell(f"[{at + 1}/{len(pairs)}] {photo.name}")
        pixels = files.decode(photo.read_bytes(), photo.name)
        truth = read_truth(truth_path)
        if truth.shape != pixels.shape[:2]:
            raise ImageError(
                f"{truth_path.name} is {truth.shape[1]}x{truth.shape[0]}, its photo is "
                f"{pixels.shape[1]}x{pixels.shape[0]}",
                remedy="give both the same size",
            )
        alpha = asyncio.run(cut_out(pixels, session)).alpha
        rows[photo.stem] = measure(alpha, truth)
        curves.append(masks.f_curve(alpha, truth >= 0.5))
    best = float(np.mean(curves, axis=0).max())
    return Evaluation(session.name, session.backend, rows, best)


def measure(alpha: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Return every figure of one photo; both float32 (h, w) in [0, 1].

    The matte figures are given only where the truth is soft.
    """
    binary = truth >= 0.5
    row = {
        "mae": masks.mae(alpha, truth),
        "max_f": masks.max_f(alpha, binary),
        "weighted_f": masks.weighted_f(alpha, binary),
        "structure": masks.structure(alpha, binary),
        "iou": masks.iou(alpha, binary),
    }
    if np.mean((truth > 0) & (truth < 1)) >= SOFT:
        row["sad"] = mattes.sad(alpha, truth)
        row["mse"] = mattes.mse(alpha, truth)
        row["gradient"] = mattes.gradient_error(alpha, truth)
    return row


def pairs_in(folder: Path) -> Iterator[tuple[Path, Path]]:
    """Yield each photo of folder/im with its ground truth in folder/gt, of the same stem."""
    truths = {path.stem: path for path in sorted((folder / "gt").glob("*"))}
    found = False
    for photo in sorted((folder / "im").glob("*")):
        if photo.stem in truths:
            found = True
            yield photo, truths[photo.stem]
    if not found:
        raise ImageError(
            f"{folder} holds no pairs im/NAME and gt/NAME", remedy="see `offcut evaluate --help`"
        )


def read_truth(path: Path) -> np.ndarray:
    """Return the ground truth as float32 (h, w) in [0, 1]."""
    pixels = files.decode(path.read_bytes(), path.name)  # u8 (h, w, 4)
    return pixels[..., 0].astype(np.float32) / np.float32(255)
