"""What a training run is told, in the table [training] of a TOML file (of a card, for instance):

    [training]
    seed = 0
    losses = { output = 1.0, sides = 0.5, features = 0.05 }
    student = { budget = 10e9, multiple = 8 }       # fewer channels, or:
    quantization = { scheme = "step", width = 1.0, method = "gptq" }    # or:
    variant = "small"                               # what the card's steps make of it
    start = "first.safetensors"                     # and what was made of that, beside the card
    phases = [
        { steps = 600, size = 192, batch = 4, rate = 5e-4, precision = "bfloat16" },
        { steps = 100, size = 320, batch = 2, rate = 1e-4, precision = "float32" },
    ]

In each phase the rate warms up over its first twentieth and then falls to zero along a cosine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from offcut.convert.recipes import Recipe as Quantization
from offcut.errors import ModelFormatError

__all__ = ["Losses", "Phase", "Recipe", "from_document"]

PRECISIONS = ("bfloat16", "float32")
WARM_UP = 20  # part of a phase


@dataclass(frozen=True, slots=True)
class Phase:
    """steps of `batch` crops of `size` x `size` pixels, at the highest learning rate `rate`."""

    steps: int
    size: int
    batch: int = 4
    rate: float = 5e-4
    precision: str = "float32"

    def rate_at(self, step: int) -> float:
        """Return the learning rate of a step, counted from the phase's first."""
        warm = max(self.steps // WARM_UP, 1)
        if step < warm:
            return self.rate * (step + 1) / warm
        return self.rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(self.steps - warm, 1)))


@dataclass(frozen=True, slots=True)
class Losses:
    """Weights of the losses; see losses.py for what they are.

    size: of how far the file is beyond the bytes that the recipe allows, as a part of them.
    """

    output: float = 1.0
    sides: float = 0.5
    features: float = 0.05
    size: float = 0.2


@dataclass(frozen=True, slots=True)
class Slimming:
    """How a smaller student is made.

    budget: multiply-accumulates that may be left. multiple: of channels that stay in each
    convolution. least_split: see split.py. photos: how many the moments and the refit use.
    ridge: of the refit, see refit.py.
    """

    budget: float
    multiple: int = 8
    least_split: float = 4e8
    photos: int = 32
    ridge: float = 2e-3


@dataclass(frozen=True, slots=True)
class Recipe:
    """A run, as data; one of student, quantization and variant says what is trained.

    start: a file that training goes on from, made of the same variant before. bytes: of the file,
    beyond which its size is a loss; 0 for none. biases: part of the rate with which biases learn
    beside weights that are quantized, in their root mean square. scales: times that part, the one
    of a grid's scales, in units of each scale; 0 keeps them as they are. every: steps between
    measurements.
    """

    phases: tuple[Phase, ...]
    losses: Losses = field(default_factory=Losses)
    student: Slimming | None = None
    quantization: Quantization | None = None
    variant: str = ""
    start: str = ""
    seed: int = 0
    clip: float = 1.0  # largest norm of the gradient
    bytes: float = 0.0
    scales: float = 1.0
    biases: float = 0.01
    every: int = 100

    @property
    def steps(self) -> int:
        """Steps of all phases."""
        return sum(phase.steps for phase in self.phases)

    def phase_at(self, step: int) -> tuple[Phase, int]:
        """Return the phase of a step and how far into it the step is."""
        for phase in self.phases:
            if step < phase.steps:
                return phase, step
            step -= phase.steps
        raise IndexError(step)

    def document(self) -> dict[str, Any]:
        """Return the recipe as plain values."""
        return asdict(self)


def from_document(document: Mapping[str, Any], where: str) -> Recipe:
    """Read a recipe. Raises ModelFormatError, which names `where`, for what cannot be run."""
    try:
        recipe = Recipe(
            phases=tuple(Phase(**row) for row in document["phases"]),
            losses=Losses(**document.get("losses", {})),
            student=Slimming(**document["student"]) if "student" in document else None,
            quantization=(
                Quantization(**document["quantization"]) if "quantization" in document else None
            ),
            variant=str(document.get("variant", "")),
            start=str(document.get("start", "")),
            seed=int(document.get("seed", 0)),
            clip=float(document.get("clip", 1.0)),
            bytes=float(document.get("bytes", 0.0)),
            scales=float(document.get("scales", 1.0)),
            biases=float(document.get("biases", 0.01)),
            every=max(int(document.get("every", 100)), 1),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFormatError(
            f"{where}: the training recipe lacks or misstates {error}"
        ) from error
    for phase in recipe.phases:
        if min(phase.steps, phase.batch) < 1 or phase.size < 32 or phase.size % 32:
            raise ModelFormatError(
                f"{where}: {phase}: size must be a multiple of 32, counts from 1"
            )
        if phase.precision not in PRECISIONS:
            raise ModelFormatError(
                f"{where}: precision is {phase.precision!r}, one of {PRECISIONS}"
            )
    if [recipe.student is None, recipe.quantization is None, not recipe.variant].count(False) != 1:
        raise ModelFormatError(
            f"{where}: the training recipe needs one of student, quantization and variant"
        )
    if recipe.start and not recipe.variant:
        raise ModelFormatError(f"{where}: only the training of a variant has a start")
    return recipe
