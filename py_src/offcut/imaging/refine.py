"""From an alpha map at the network's size to one at the photo's."""

from __future__ import annotations

import numpy as np

from offcut.card import OutputSpec
from offcut.imaging.resample import resize_rows

__all__ = ["refine"]


def refine(alpha: np.ndarray, image: np.ndarray, spec: OutputSpec) -> np.ndarray:
    """Return alpha float32 (H, W) for an image (H, W, 4) from alpha (h, w).

    Bilinear, then contrast about one half, as the card says: the network's edge is as wide as its
    own pixels, so at the photo's size it would be a blur.
    """
    height, width = image.shape[:2]
    across = resize_rows(np.ascontiguousarray(alpha.T), width)  # (W, h)
    y = resize_rows(np.ascontiguousarray(across.T), height)  # (H, W)
    if spec.contrast != 1.0:
        y -= np.float32(0.5)
        y *= np.float32(spec.contrast)
        y += np.float32(0.5)
    return np.clip(y, 0, 1, out=y)
