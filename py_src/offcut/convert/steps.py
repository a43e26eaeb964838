"""The steps of quantization by name: a card lists them, and the model file records them.

    [quantization.steps]
    int8 = [
        { step = "shift" },
        { step = "equalize", strength = 0.85 },
        { step = "calibrate", scheme = "int8-both-channels", range = "max" },
        { step = "round", method = "balanced" },
        { step = "correct_bias" },
        { step = "store_spans" },
    ]

A step is a function from a Draft to a Draft; the other keys of its row are its parameters. A new
step is one function and one row of STEPS.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from offcut.card import ModelCard
from offcut.container import Model
from offcut.convert.draft import Draft
from offcut.convert.equalize import equalize
from offcut.convert.gptq import Tuning, gptq
from offcut.convert.prune import prune_dead
from offcut.convert.replay import trained
from offcut.convert.rounding import (
    calibrate_weights,
    correct_bias,
    round_weights,
    store_biases,
    stored_weights,
)
from offcut.convert.shift import shift
from offcut.convert.statistics import ranges_of, spans_of
from offcut.errors import ModelFormatError

__all__ = ["STEPS", "finish", "recorded", "run_steps", "steps_of", "store_spans"]

Step = Callable[..., Draft]
Report = Callable[[int, int], None]  # done, of how many


def round_by(
    draft: Draft,
    *,
    method: str = "nearest",
    ridge: float = 0.05,
    damping: float = 0.01,
    rate: float = 0.0,
    photos: int = 0,
    activations: str = "float",
    report: Report = lambda done, of: None,
) -> Draft:
    """Round the weights that have grids. method: see rounding.py; "gptq" alone has the others."""
    if activations not in ("float", "u8"):
        raise ModelFormatError(f"round: activations are {activations!r}, known are float, u8")
    if method == "gptq":
        tuning = Tuning(ridge, damping, rate, activations)
        return gptq(draft, tuning, photos=photos, report=report)
    return round_weights(draft, method=method)


def store_spans(draft: Draft) -> Draft:
    """Let each channel of a value take its own portion of the value's range, in the simd backend.

    After all steps that change values.
    """
    spans = spans_of(draft.graph, draft.statistics)
    narrow = sum(int(np.count_nonzero(row)) for row in spans.values())
    draft = replace(draft, spans=spans)
    return draft.note(
        f"store_spans: {narrow} of {sum(map(len, spans.values()))} channels take less than all"
    )


STEPS: dict[str, Step] = {
    "prune": prune_dead,
    "shift": shift,
    "equalize": equalize,
    "calibrate": calibrate_weights,
    "round": round_by,
    "train": trained,
    "correct_bias": correct_bias,
    "store_biases": store_biases,
    "store_spans": store_spans,
}


def steps_of(card: ModelCard, variant: str) -> list[dict[str, Any]]:
    """Return the rows that the card lists for a variant. Raises ModelFormatError when none."""
    listed = card.document.get("quantization", {}).get("steps", {}).get(variant)
    if not isinstance(listed, list) or not all(isinstance(row, dict) for row in listed):
        raise ModelFormatError(f"card {card.name}: lists no quantization steps for {variant!r}")
    return listed


def run_steps(
    draft: Draft,
    rows: Sequence[Mapping[str, Any]],
    report: Report = lambda done, of: None,
) -> Draft:
    """Run the steps in order. Raises ModelFormatError for a step or parameter that is unknown.

    report: called by steps that take long with how much is done, of how much.
    """
    for row in rows:
        name = row.get("step")
        if name not in STEPS:
            raise ModelFormatError(f"step is {name!r}, known are {', '.join(STEPS)}")
        parameters = {key: value for key, value in row.items() if key != "step"}
        known = [key for key in list(inspect.signature(STEPS[name]).parameters)[1:]]
        given = {"report": report} if "report" in known else {}
        odd = set(parameters) - (set(known) - {"report"})
        if odd:
            has = ", ".join(key for key in known if key != "report") or "none"
            raise ModelFormatError(f"step {name}: parameter {min(odd)!r}, it has {has}")
        draft = STEPS[name](draft, **parameters, **given)
    return draft


def finish(draft: Draft, card: ModelCard) -> Model:
    """Return the draft as a model: weights as they are stored, ranges from the statistics."""
    ranges = ranges_of(draft.statistics)
    model = Model(draft.graph, stored_weights(draft), card, ranges, draft.spans)
    model.check()
    return model


def recorded(card: ModelCard, variant: str, steps: Sequence[Mapping[str, Any]]) -> ModelCard:
    """Return the card that a quantized file carries, with the steps that made it."""
    made = {"variant": variant, "steps": [dict(row) for row in steps]}
    return replace(card, document={**card.document, "made": made})
