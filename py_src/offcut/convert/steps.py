"""The steps of quantization by name: a card lists them, and the model file records them.

    [quantization.steps]
    int8 = [
        { step = "shift" },
        { step = "equalize", strength = 0.5 },
        { step = "round", scheme = "int8-per-channel", method = "balanced" },
        { step = "correct_bias" },
    ]

A step is a function from a Draft to a Draft; the other keys of its row are its parameters. A new
step is one function and one row of STEPS.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from offcut.card import ModelCard
from offcut.container import Model
from offcut.convert.draft import Draft
from offcut.convert.equalize import equalize
from offcut.convert.prune import prune_dead
from offcut.convert.rounding import correct_bias, round_weights, stored_weights
from offcut.convert.shift import shift
from offcut.errors import ModelFormatError

__all__ = ["STEPS", "finish", "run_steps", "steps_of"]

Step = Callable[..., Draft]
STEPS: dict[str, Step] = {
    "prune": prune_dead,
    "shift": shift,
    "equalize": equalize,
    "round": round_weights,
    "correct_bias": correct_bias,
}


def steps_of(card: ModelCard, variant: str) -> list[dict[str, Any]]:
    """Return the rows that the card lists for a variant. Raises ModelFormatError when none."""
    listed = card.document.get("quantization", {}).get("steps", {}).get(variant)
    if not isinstance(listed, list) or not all(isinstance(row, dict) for row in listed):
        raise ModelFormatError(f"card {card.name}: lists no quantization steps for {variant!r}")
    return listed


def run_steps(draft: Draft, rows: Sequence[Mapping[str, Any]]) -> Draft:
    """Run the steps in order. Raises ModelFormatError for a step or parameter that is unknown."""
    for row in rows:
        name = row.get("step")
        if name not in STEPS:
            raise ModelFormatError(f"step is {name!r}, known are {', '.join(STEPS)}")
        parameters = {key: value for key, value in row.items() if key != "step"}
        known = list(inspect.signature(STEPS[name]).parameters)[1:]
        odd = set(parameters) - set(known)
        if odd:
            has = ", ".join(known) or "none"
            raise ModelFormatError(f"step {name}: parameter {min(odd)!r}, it has {has}")
        draft = STEPS[name](draft, **parameters)
    return draft


def finish(draft: Draft, card: ModelCard) -> Model:
    """Return the draft as a model: weights as they are stored, ranges from the statistics."""
    model = Model(draft.graph, stored_weights(draft), card, _ranges(draft))
    model.check()
    return model


def _ranges(draft: Draft) -> dict[str, tuple[float, float]]:
    """Return (low, high) of each value that has statistics, over all of its channels.

    Six digits do: the model file is text there, and a quantized activation has eight bits.
    """
    return {
        name: (float(f"{row.minimum.min():.6g}"), float(f"{row.maximum.max():.6g}"))
        for name, row in draft.statistics.items()
    }


def recorded(card: ModelCard, variant: str) -> ModelCard:
    """Return the card that the variant's file carries, with the steps that made it."""
    made = {"variant": variant, "steps": steps_of(card, variant)}
    return replace(card, document={**card.document, "quantization": made})
