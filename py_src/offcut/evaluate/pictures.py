"""Pictures of what a model loses: photo, float32's cutout, the model's, and their difference."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from offcut import library
from offcut.errors import ImageError
from offcut.evaluate.levels import Comparison
from offcut.imaging import files, png
from offcut.imaging.compose import compose
from offcut.pipeline import cut_out
from offcut.session import Session, open_session

__all__ = ["side_by_side", "write_worst"]

WORST = 5  # photos of each model
GROUND = (233, 233, 228)  # behind cutouts
GAP = 6  # pixels between the pictures


def side_by_side(image: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return u8 (H, W', 3): the photo, u8 (H, W, 4), both cutouts, and where they differ.

    first, second: alpha, f32 (H, W). The difference is red where only the first has the subject,
    blue where only the second has it.
    """
    height = image.shape[0]
    cutouts = [
        compose(image, alpha, only_mask=False, background=GROUND, decontaminate=True)[..., :3]
        for alpha in (first, second)
    ]
    change = np.full((*image.shape[:2], 3), 255, np.float32)
    lost, won = np.maximum(first - second, 0), np.maximum(second - first, 0)
    change[..., 1:] -= 255 * lost[..., None]
    change[..., :2] -= 255 * won[..., None]
    gap = np.full((height, GAP, 3), 255, np.uint8)
    shown = np.clip(change, 0, 255).astype(np.uint8)
    return np.concatenate([image[..., :3], gap, cutouts[0], gap, cutouts[1], gap, shown], axis=1)


def write_worst(
    comparison: Comparison, folder: Path, float32: str, names: Sequence[str], target: Path
) -> None:
    """Write the worst photos of each model to target/MODEL/NUMBER-STEM.png.

    The arguments are those of the comparison.
    """
    document = comparison.document()["models"]
    base = _session(float32)
    for level, name in zip(comparison.levels[1:], names, strict=True):
        photos = document[level.name]["to_float32"]["worst_photos"][:WORST]
        session = _session(name)
        for number, photo in enumerate(photos, 1):
            image = _image(folder, photo)
            first, second = _alphas(image, (base, session))
            path = target / level.name / f"{number}-{photo.rpartition('/')[2]}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png.encode(side_by_side(image, first, second)))
        session.close()
    base.close()


def _session(name: str) -> Session:
    full, model = asyncio.run(library.load(name))
    return asyncio.run(open_session(model, name=full))


def _image(folder: Path, photo: str) -> np.ndarray:
    group, _, stem = photo.partition("/")
    for place in (folder / group / "im", folder / "im"):
        for path in sorted(place.glob(f"{stem}.*")):
            return files.decode(path.read_bytes(), path.name)
    raise ImageError(f"{photo} is no longer in {folder}")


def _alphas(image: np.ndarray, sessions: Sequence[Session]) -> list[np.ndarray]:
    """Return each session's alpha, all by the last one's card."""
    card = sessions[-1].model.card
    found = []
    for session in sessions:
        output = replace(card.output, name=session.model.card.output.name)
        model = replace(session.model, card=replace(card, output=output))
        alike = replace(session, model=model)
        found.append(asyncio.run(cut_out(image, alike)).alpha)
    return found
