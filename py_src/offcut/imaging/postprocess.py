"""Make alpha from the network's output, as the model's card says."""

from __future__ import annotations

import numpy as np

from offcut.card import OutputSpec
from offcut.errors import BackendError

__all__ = ["postprocess"]


def postprocess(output: np.ndarray, spec: OutputSpec) -> np.ndarray:
    """Return alpha, f32 (h, w) in [0, 1], for the network's `output`, f32 (1, 1, h, w).

    The map is not stretched to its own extremes: on labelled photos that changes nothing (MAE
    .0575 either way), and it turns the faint noise of a photo without a subject into one.
    Raises BackendError when the output holds what is no number.
    """
    alpha: np.ndarray = output.reshape(output.shape[-2:]).astype(np.float32)  # (h, w), a copy
    if not np.isfinite(alpha).all():
        raise BackendError(
            "the network's output holds values that are not numbers",
            remedy="choose another backend, and report the photo and the browser",
        )
    if spec.activation == "sigmoid":
        # tanh cannot overflow, whatever the logit.
        alpha = np.tanh(alpha * np.float32(0.5)) * np.float32(0.5) + np.float32(0.5)
    return np.clip(alpha, 0.0, 1.0, out=alpha)
