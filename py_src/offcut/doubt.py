"""Whether the network is unsure of a photo, so that it is worth a second look without rounding.

Values rounded to 8 bits move the map by little, but for photos of which the network itself is
unsure: there a small difference decides whether something belongs to the subject. They are few, and
known by their maps. DESIGN.md has the figures that the limits below were chosen by.
"""

from __future__ import annotations

import numpy as np

__all__ = ["is_doubtful"]

LEAST, MOST = 0.25, 0.75  # alpha of cells that might be the subject, and of those that surely are
SHARE = 0.25  # of the former that may be unsure


def is_doubtful(alpha: np.ndarray) -> bool:
    """Return whether much of what might be the subject is unsure. alpha: f32 (h, w)."""
    possible = np.count_nonzero(alpha > LEAST)
    return bool(possible - np.count_nonzero(alpha >= MOST) > SHARE * possible)
