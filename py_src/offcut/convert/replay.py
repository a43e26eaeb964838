"""Take what was decided about weights from a model file that was made before.

Rounding by GPTQ and training need photos, which cannot be shipped; training takes an hour, too. The
file is the record of what they decided: each weight's level, and the biases. What the grids are
follows from the card anywhere, and has to agree.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from offcut.convert.draft import Draft
from offcut.errors import ModelFormatError

__all__ = ["replay", "trained"]


def replay(draft: Draft) -> Draft:
    """Take level numbers and biases from `draft.decided`.

    Raises ModelFormatError when its other parts are not what the draft leads to.
    """
    rounded, weights = dict(draft.rounded), dict(draft.weights)
    for node in draft.graph.nodes:
        if node.op != "Conv" or node.inputs[1] not in draft.grids:
            continue
        w, b = node.inputs[1:]
        grid, tensor = draft.grids[w], draft.decided.get(w)
        parts = {} if isinstance(grid, str) else grid.parts
        if (
            tensor is None
            or b not in draft.decided
            or tensor.scheme != (grid if isinstance(grid, str) else grid.scheme)
            or any(not np.array_equal(tensor.parts[key], parts[key]) for key in parts)
        ):
            raise ModelFormatError(f"{w}: the file made before was rounded to another grid")
        rounded[w] = tensor
        weights[b] = draft.decided[b].decode().astype(np.float64)
    return replace(draft, rounded=rounded, weights=weights, exact=draft.exact or draft.weights)


def trained(draft: Draft, *, recipe: str) -> Draft:
    """Take what `offcut train` made of levels and biases; recipe: the file that says how.

    Raises ModelFormatError when there is no file made before.
    """
    if not draft.decided:
        raise ModelFormatError(
            "train: there is no file made before", remedy=f"offcut train with {recipe} makes one"
        )
    return replay(draft).note(f"train: by {recipe}, taken from the file made before")
