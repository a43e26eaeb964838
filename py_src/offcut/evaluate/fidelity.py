"""Compare two models on a folder of photos: what quantization or a backend changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from offcut.errors import ImageError
from offcut.evaluate import masks
from offcut.imaging import files
from offcut.imaging.preprocess import preprocess
from offcut.session import Session

__all__ = ["Fidelity", "compare_folder", "photos_in"]

PHOTOS = {".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
FIGURES = ("mae", "iou")


@dataclass(frozen=True, slots=True)
class Fidelity:
    """Per photo: mean absolute difference of the two maps, and IoU of the maps cut at one half."""

    model: str
    other: str
    photos: Mapping[str, Mapping[str, float]]

    def document(self) -> dict[str, Any]:
        """Return everything, as plain JSON values."""
        return {"model": self.model, "against": self.other} | {
            "photos": {name: dict(row) for name, row in self.photos.items()},
            "summary": self.summary,
        }

    @property
    def summary(self) -> dict[str, float]:
        """Mean and worst of each figure."""
        columns = {key: [row[key] for row in self.photos.values()] for key in FIGURES}
        return {
            "mae": float(np.mean(columns["mae"])),
            "mae_worst": max(columns["mae"]),
            "iou": float(np.mean(columns["iou"])),
            "iou_worst": min(columns["iou"]),
        }

    def table(self) -> str:
        """Return the summary as text for people."""
        s = self.summary
        return (
            f"{self.model} against {self.other}, {len(self.photos)} photos\n"
            f"  mean absolute difference  {s['mae']:.5f}, worst photo {s['mae_worst']:.5f}\n"
            f"  IoU at 0.5                {s['iou']:.4f}, worst photo {s['iou_worst']:.4f}"
        )


def compare_folder(
    folder: Path,
    session: Session,
    other: Session,
    tell: Callable[[str], object] = lambda text: None,
) -> Fidelity:
    """Run both sessions on every photo below `folder` (gt/ left out); compare at network size.

    Raises ImageError when there is no photo.
    """
    rows: dict[str, dict[str, float]] = {}
    photos = photos_in(folder)
    for at, path in enumerate(photos):
        tell(f"[{at + 1}/{len(photos)}] {path.name}")
        pixels = files.decode(path.read_bytes(), path.name)
        ours, theirs = (_map(pixels, opened) for opened in (session, other))
        rows[str(path.relative_to(folder))] = {
            "mae": masks.mae(ours, theirs),
            "iou": masks.iou(ours, theirs >= 0.5),
        }
    return Fidelity(f"{session.name} ({session.backend})", f"{other.name} ({other.backend})", rows)


def photos_in(folder: Path) -> Sequence[Path]:
    """Return the photos below `folder`, sorted; ground truth and trimaps are none."""
    found = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in PHOTOS and path.parent.name not in ("gt", "trimap1")
    ]
    if not found:
        raise ImageError(f"{folder} holds no photo", remedy="name a folder of photos")
    return found


def _map(pixels: np.ndarray, session: Session) -> np.ndarray:
    """Return the network's output for a photo, float32 (h, w)."""
    x = preprocess(pixels, session.model.card.input)
    output: np.ndarray = asyncio.run(session.run(x))
    return output[0, 0]
