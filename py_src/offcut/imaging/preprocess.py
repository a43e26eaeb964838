"""From a photo to the network's input, as the model's card says."""

from __future__ import annotations

import numpy as np

from offcut.card import InputSpec
from offcut.imaging.resample import resize

__all__ = ["preprocess"]

BACKDROP = 255  # transparent parts are shown to the network on white, as most viewers show them


def preprocess(image: np.ndarray, spec: InputSpec) -> np.ndarray:
    """Return float32 (1, 3, h, w) for an image, u8 RGBA (H, W, 4).

    The image is shrunk first, so that nothing else has its full size. A black image stays black:
    "max" never divides by less than one step of 255.
    """
    small = resize(image, spec.size)  # (h, w, 4), 0 to 255
    opacity = small[..., 3:] / np.float32(255)
    colours = small[..., :3]
    if (opacity < 1).any():
        whole = resize(_on_backdrop(image), spec.size)
        colours = whole
    largest = np.float32(255) if spec.range == "255" else max(colours.max(), np.float32(1))
    x = colours / largest
    x -= np.asarray(spec.mean, np.float32)
    x /= np.asarray(spec.std, np.float32)
    return np.ascontiguousarray(x.transpose(2, 0, 1)[None])


def _on_backdrop(image: np.ndarray) -> np.ndarray:
    """Return u8 RGB (H, W, 3) of the image over the backdrop, worked off in bands of rows."""
    out = np.empty((*image.shape[:2], 3), np.uint8)
    for row in range(0, image.shape[0], 256):
        band = image[row : row + 256].astype(np.uint16)
        alpha = band[..., 3:]
        mixed = band[..., :3] * alpha + np.uint16(BACKDROP) * (255 - alpha)
        out[row : row + 256] = (mixed + 127) // 255
    return out
