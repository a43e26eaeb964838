"""Make a card for an ONNX file: from its family, from what the user says, from the file itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from offcut import card as cards
from offcut.card import ModelCard
from offcut.convert.families import FAMILIES, Family, family_called, recognised
from offcut.convert.onnx_reader import OnnxModel
from offcut.errors import ModelFormatError

__all__ = ["Wishes", "identify"]

BOUNDED = ("Sigmoid", "HardSigmoid", "Clip", "Softmax")  # what makes an output alpha already
PASSING = ("Cast", "Identity", "Squeeze", "Reshape", "DequantizeLinear", "QuantizeLinear")


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user says about a file; "" and () leave it to the family and the file."""

    like: str = ""  # a family's name
    size: tuple[int, ...] = ()  # height, width
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    range: str = ""
    output: str = ""  # a name
    activation: str = ""
    title: str = ""

    @property
    def scaling(self) -> dict[str, Any]:
        """Return what is said about the input's numbers."""
        said = {"range": self.range, "mean": list(self.mean), "std": list(self.std)}
        return {key: value for key, value in said.items() if value}


def identify(name: str, model: OnnxModel, wishes: Wishes) -> ModelCard:
    """Return the card of the model called `name`.

    Raises ModelFormatError when neither file nor user say how photos are scaled for it, when the
    output named is not there, or when a wish is malformed.
    """
    family = family_called(wishes.like) if wishes.like else recognised(model)
    if family is None and not wishes.scaling:
        known = ", ".join(row.name for row in FAMILIES)
        raise ModelFormatError(
            f"{name}: the graph looks like none of {known}, so how photos are scaled for it is "
            "unknown",
            remedy="say it: --like NAME, or --range, --mean and --std; "
            "see docs/models-of-your-own.md",
        )
    output = _output(name, model, wishes.output)
    document = {
        "name": name,
        "title": wishes.title or name,
        "input": {
            **(dict(family.input) if family else {"range": "255"}),
            **wishes.scaling,
            "size": list(wishes.size or _size(name, model, family)),
        },
        "output": {"name": output, "activation": wishes.activation or _activation(model, output)},
        "family": family.title if family else "",
    }
    return cards.from_document(document, name)


def _output(name: str, model: OnnxModel, wanted: str) -> str:
    names = [info.name for info in model.outputs]
    if not names or (wanted and wanted not in names):
        raise ModelFormatError(
            f"{name}: output {wanted or 'none'!r} is not there; it has {', '.join(names) or 'none'}"
        )
    return wanted or names[0]


def _size(name: str, model: OnnxModel, family: Family | None) -> list[int]:
    """Return height and width: the file's where it fixes both, else the family's."""
    stated = [extent for info in model.inputs[:1] for extent in info.shape[2:]]
    if len(stated) == 2 and None not in stated:
        return [int(extent or 0) for extent in stated]
    if family is None:
        raise ModelFormatError(
            f"{name}: the file leaves its input's size open", remedy="say it with --size"
        )
    pairs = zip(stated, family.size, strict=True) if len(stated) == 2 else ()
    return [extent or usual for extent, usual in pairs] or list(family.size)


def _activation(model: OnnxModel, output: str) -> str:
    """Return "none" when the output lies in [0, 1] by its last operator, else "sigmoid"."""
    makers: Mapping[str, Any] = {name: node for node in model.nodes for name in node.outputs}
    for _ in range(len(PASSING)):
        node = makers.get(output)
        if node is None or node.op not in PASSING or not node.inputs:
            break
        output = node.inputs[0]
    node = makers.get(output)
    return "none" if node is not None and node.op in BOUNDED else "sigmoid"
