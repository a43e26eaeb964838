"""Make the network's input from a photo, as the model's card says."""

from __future__ import annotations

import numpy as np

from offcut.card import InputSpec
from offcut.imaging.resample import Prepare, shrink

__all__ = ["preprocess"]

WHITE, BLACK = 255, 0
BRIGHT = 192  # mean level from which a subject is shown on black


def preprocess(
    image: np.ndarray, spec: InputSpec, *, small: np.ndarray | None = None
) -> np.ndarray:
    """Return the network's input, f32 (1, 3, h, w), for `image`, u8 RGBA (H, W, 4).

    small: `image` shrunk to the network's size, f32 (3, h, w), if that is known.

    A photo with transparency is shown to the network on white paper, on black when what is
    visible is bright. On white, U2-Netp loses 3 % of subjects that are cut out already; 15 % when
    the hidden colours are shown instead, and 5 to 7 % on grey, black or the subject's own mean.
    """
    paper = _on_paper(image)
    if small is None or paper is not None:
        planes = shrink(image, spec.size, prepare=paper)[:3]  # (3, h, w)
    else:
        planes = small.copy()
    brightest = float(planes.max())
    # A black photo has no brightest pixel to scale by.
    planes /= np.float32(brightest if spec.range == "max" and brightest >= 1.0 else 255.0)
    planes -= np.array(spec.mean, np.float32)[:, None, None]
    planes /= np.array(spec.std, np.float32)[:, None, None]
    return planes[None]


def _on_paper(image: np.ndarray) -> Prepare | None:
    """Return the `prepare` that puts an image with transparency on paper; None when opaque."""
    if image[..., 3].min() == 255:
        return None
    paper = BLACK if _visible_level(image) >= BRIGHT else WHITE

    def prepare(band: np.ndarray, rows: slice) -> np.ndarray:
        alpha = band[..., 3:].astype(np.uint16)  # (n, W, 1)
        mixed = band * alpha + paper * (255 - alpha)  # u16 (n, W, 4)
        return ((mixed + 127) // 255).astype(np.uint8)

    return prepare


def _visible_level(image: np.ndarray) -> float:
    """Return the mean level of what can be seen, from at most some 65,000 pixels."""
    step = max(1, int((image.shape[0] * image.shape[1] / 65536) ** 0.5))
    some = image[::step, ::step].astype(np.float32)  # (h, w, 4)
    alpha = some[..., 3]
    seen = float(alpha.sum())
    return float((some[..., :3].mean(axis=2) * alpha).sum()) / seen if seen else 0.0
