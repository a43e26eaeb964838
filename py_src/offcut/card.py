"""Model cards: all that the pipeline must know about a model, as data.

A card is a TOML file in models/; it covers every variant (quantization level) of one network:

    name = "u2netp"                 # with a variant: "u2netp-int8"
    title = "..."                   # for people
    licence = "Apache-2.0"
    default = "int8"                # the variant meant by the bare name

    [source]                        # where the float32 weights come from
    file, sha256, bytes, url, paper

    [input]                         # image (h, w, 3) u8 -> float32 (1, 3, height, width)
    size = [320, 320]               # height, width
    range = "max"                   # divide by "max" (the photo's largest value) or by "255"
    mean = [0.485, 0.456, 0.406]    # then subtract, per channel
    std = [0.229, 0.224, 0.225]     # then divide, per channel

    [output]
    name = "1959"                   # the value of the graph that is the alpha map
    activation = "none"             # "none" or "sigmoid", applied after the network
    contrast = 1.5                  # slope of the alpha map about 0.5, at full resolution

    [training]                      # how its student was made (train/recipe.py); such a model's
                                    # files are kept as they are, not made again from the source

    [quantization]                  # how the variants are made; read by convert/ only, except:
    float32 = ["1959"]              # values of the graph that a run keeps in float32, never in u8

    [variants.int8]                 # one shipped file
    file, bytes, sha256, scheme
    floor = { mae = 0.0015, iou = 0.99 }    # against float32; a test holds the file to it

Each model file also carries [input], [output] and the names, so that a file is usable alone, and
under "made" the variant's name and the steps that made it.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from offcut.errors import ModelFormatError

__all__ = ["InputSpec", "ModelCard", "OutputSpec", "Variant", "parse"]


@dataclass(frozen=True, slots=True)
class InputSpec:
    """How an image becomes the network's input."""

    size: tuple[int, int]  # height, width
    range: str = "255"  # divide by "255", or by the image's own "max"
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)  # per channel, after the division
    std: tuple[float, ...] = (1.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """How the network's output becomes alpha."""

    name: str
    activation: str = "none"  # or "sigmoid"
    contrast: float = 1.0


@dataclass(frozen=True, slots=True)
class Variant:
    """One file of the model."""

    file: str
    bytes: int
    sha256: str
    scheme: str
    floor: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A model as data; `variants` is empty in the card that a model file carries."""

    name: str
    title: str
    licence: str
    input: InputSpec
    output: OutputSpec
    default: str
    variants: Mapping[str, Variant]
    document: Mapping[str, Any]  # the whole TOML document, for convert/ and for display
    float32: tuple[str, ...] = ()  # values that are never kept in u8

    def to_metadata(self) -> dict[str, Any]:
        """Return what a model file stores, as plain JSON values."""
        made = {
            "name": self.name,
            "title": self.title,
            "licence": self.licence,
            "input": asdict(self.input),
            "output": asdict(self.output),
        }
        if self.float32:
            made["quantization"] = {"float32": list(self.float32)}
        if "made" in self.document:
            made["made"] = self.document["made"]
        return made


def parse(text: str, where: str) -> ModelCard:
    """Read a card from TOML text; `where` names it in errors. Raises ModelFormatError."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ModelFormatError(f"{where}: not TOML: {error}") from error
    return from_document(document, where)


def from_document(document: Mapping[str, Any], where: str) -> ModelCard:
    """Build a card from a TOML document or from a model file's metadata."""
    try:
        source, result = document["input"], document["output"]
        card = ModelCard(
            name=str(document["name"]),
            title=str(document.get("title", document["name"])),
            licence=str(document.get("licence", "unknown")),
            input=InputSpec(
                size=_size(source["size"]),
                range=str(source.get("range", "255")),
                mean=tuple(map(float, source.get("mean", (0, 0, 0)))),
                std=tuple(map(float, source.get("std", (1, 1, 1)))),
            ),
            output=OutputSpec(
                name=str(result["name"]),
                activation=str(result.get("activation", "none")),
                contrast=float(result.get("contrast", 1.0)),
            ),
            default=str(document.get("default", "")),
            variants={
                key: Variant(
                    file=str(row["file"]),
                    bytes=int(row["bytes"]),
                    sha256=str(row["sha256"]),
                    scheme=str(row["scheme"]),
                    floor=dict(row.get("floor", {})),
                )
                for key, row in document.get("variants", {}).items()
            },
            document=document,
            float32=tuple(map(str, document.get("quantization", {}).get("float32", ()))),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelFormatError(f"{where}: the card lacks or misstates {error}") from error
    _check(card, where)
    return card


def _size(value: Any) -> tuple[int, int]:
    height, width = (int(extent) for extent in value)
    return height, width


def _check(card: ModelCard, where: str) -> None:
    if not all(1 <= extent <= 8192 for extent in card.input.size):
        raise ModelFormatError(f"{where}: input size is {card.input.size}, expected 1 to 8192")
    if card.input.range not in ("255", "max"):
        raise ModelFormatError(f"{where}: range is {card.input.range!r}, expected '255' or 'max'")
    if len(card.input.mean) != 3 or len(card.input.std) != 3 or 0.0 in card.input.std:
        raise ModelFormatError(f"{where}: mean and std need three values each, std without zeros")
    if not all(map(math.isfinite, (*card.input.mean, *card.input.std, card.output.contrast))):
        raise ModelFormatError(f"{where}: mean, std or contrast is not a finite number")
    if card.output.activation not in ("none", "sigmoid"):
        raise ModelFormatError(f"{where}: output activation is {card.output.activation!r}")
    if card.default and card.variants and card.default not in card.variants:
        raise ModelFormatError(f"{where}: default is {card.default!r}, which is no variant")
