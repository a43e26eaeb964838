"""Photos for training: crops, flips and small changes of colour, made anew for every step.

Which photos a step sees and how they are cut depends on the seed and the step's number alone, so
that a run that was interrupted goes on exactly as it would have.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from offcut.card import InputSpec
from offcut.errors import ImageError
from offcut.imaging import files
from offcut.imaging.preprocess import preprocess

__all__ = ["Photos", "whole"]

LARGEST = 800  # of a photo's sides; crops are smaller than that
WHOLE = 0.4  # of the samples show the whole photo, as use does
SMALLEST = 0.35  # of the photo's area, in a crop
STRETCH = 1.3  # of a crop's sides


class Photos:
    """Decoded photos, u8 (3, h, w) each."""

    def __init__(self, paths: Sequence[Path], spec: InputSpec, *, seed: int = 0) -> None:
        if not paths:
            raise ImageError("there is no photo to train on", remedy="name a folder of photos")
        self.spec, self.seed = spec, seed
        self.images = [_small(files.decode(path.read_bytes(), path.name)) for path in paths]

    def batch(self, step: int, count: int, size: int) -> Tensor:
        """Return network inputs, float32 (count, 3, size, size), of the step."""
        generator = np.random.default_rng((self.seed, step))
        chosen = generator.choice(len(self.images), count, replace=count > len(self.images))
        return torch.cat([self._sample(self.images[at], size, generator) for at in chosen])

    def _sample(self, image: Tensor, size: int, generator: np.random.Generator) -> Tensor:
        crop = image
        if generator.random() >= WHOLE:
            crop = _crop(image, generator)
        x = F.interpolate(
            crop[None].float(), (size, size), mode="bilinear", antialias=True, align_corners=False
        )
        if generator.random() < 0.5:
            x = x.flip(3)
        return _normalized(_recoloured(x, generator), self.spec)


def whole(paths: Sequence[Path], spec: InputSpec) -> Tensor:
    """Return the network inputs of whole photos, float32 (n, 3, h, w), exactly as in use."""
    rows = [preprocess(files.decode(path.read_bytes(), path.name), spec) for path in paths]
    return torch.from_numpy(np.concatenate(rows))


def _small(pixels: np.ndarray) -> Tensor:
    """Return u8 (3, h, w) of RGBA pixels (h, w, 4), with sides up to LARGEST."""
    image = torch.from_numpy(np.ascontiguousarray(pixels[..., :3].transpose(2, 0, 1)))
    shrink = max(image.shape[1:]) / LARGEST
    if shrink <= 1:
        return image
    size = [round(extent / shrink) for extent in image.shape[1:]]
    x = F.interpolate(image[None].float(), size, mode="bilinear", antialias=True)
    return x[0].round().clamp(0, 255).byte()


def _crop(image: Tensor, generator: np.random.Generator) -> Tensor:
    area = generator.uniform(SMALLEST, 1.0)
    stretch = STRETCH ** generator.uniform(-1, 1)
    h = min(round(image.shape[1] * (area * stretch) ** 0.5), image.shape[1])
    w = min(round(image.shape[2] * (area / stretch) ** 0.5), image.shape[2])
    top = int(generator.integers(image.shape[1] - h + 1))
    left = int(generator.integers(image.shape[2] - w + 1))
    return image[:, top : top + h, left : left + w]


def _recoloured(x: Tensor, generator: np.random.Generator) -> Tensor:
    """Return x (1, 3, h, w), 0 to 255, with another exposure and white balance."""
    gain = torch.tensor(generator.uniform(0.85, 1.15, (1, 3, 1, 1)), dtype=torch.float32)
    gamma = float(generator.uniform(0.8, 1.25))
    return ((x / 255).clamp(0, 1) ** gamma * gain).clamp(0, 1) * 255


def _normalized(x: Tensor, spec: InputSpec) -> Tensor:
    """Return x (1, 3, h, w) as imaging/preprocess.py makes inputs."""
    brightest = float(x.max())
    x = x / (brightest if spec.range == "max" and brightest >= 1.0 else 255.0)
    mean, std = (torch.tensor(row).reshape(1, 3, 1, 1) for row in (spec.mean, spec.std))
    return (x - mean) / std
