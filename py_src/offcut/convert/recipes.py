"""Steps for those who bring a model and name a scheme, but no card that lists steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from offcut.errors import ModelFormatError
from offcut.quant import SCHEMES

__all__ = ["Recipe", "recipe"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What can be chosen about quantizing.

    scheme: a row of SCHEMES. method: how to round, see rounding.py and gptq.py. range: how far the
    grid reaches, see grids.py. width: of a step, in root mean squares of a row, for the scheme
    "step". keep: nodes whose weights become float16.
    """

    scheme: str = "int8-both-channels"
    method: str = "balanced"
    range: str = "max"
    width: float = 0.4
    keep: Sequence[str] = ()


def recipe(choice: Recipe) -> list[dict[str, Any]]:
    """Return the rows of steps. Raises ModelFormatError for an unknown scheme.

    Where input channels have scales of their own the activations are levelled, mostly; elsewhere
    weights and activations share the difficulty.
    """
    if choice.scheme not in SCHEMES:
        raise ModelFormatError(f"scheme is {choice.scheme!r}, known are {', '.join(SCHEMES)}")
    grid: dict[str, Any] = {"step": "calibrate", "scheme": choice.scheme}
    if choice.scheme == "step":
        grid["width"] = choice.width
    elif SCHEMES[choice.scheme].levels:
        grid["range"] = choice.range
    rows: list[dict[str, Any]] = [
        {"step": "shift"},
        {"step": "equalize", "strength": 0.85 if SCHEMES[choice.scheme].inputs else 0.5},
        grid,
    ]
    if choice.keep:
        rows.append({"step": "calibrate", "scheme": "float16", "only": list(choice.keep)})
    rows.append({"step": "round", "method": choice.method})
    if choice.method != "gptq":  # which corrects as it goes
        rows.append({"step": "correct_bias"})
    rows.append({"step": "store_spans"})
    return rows
