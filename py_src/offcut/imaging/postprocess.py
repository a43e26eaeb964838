"""From the network's output to an alpha map at the network's size."""

from __future__ import annotations

import numpy as np

from offcut.card import OutputSpec
from offcut.ops.elementwise import sigmoid

__all__ = ["postprocess"]


def postprocess(output: np.ndarray, spec: OutputSpec) -> np.ndarray:
    """Return alpha float32 (h, w) in [0, 1] from output (1, 1, h, w).

    The map is not stretched to its own extremes: a photo without a subject gives an empty alpha
    instead of amplified noise.
    """
    alpha: np.ndarray = output[0, 0]
    if spec.activation == "sigmoid":
        alpha = sigmoid(alpha)
    return np.asarray(np.clip(np.nan_to_num(alpha), 0, 1), np.float32)
