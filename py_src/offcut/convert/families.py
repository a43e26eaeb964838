"""Families of networks: what an ONNX file does not say of itself, and how to recognise them.

A file holds neither how photos are scaled for it nor what its output means. A family's row says
both. To add a family: one row of FAMILIES. Sources of the numbers: the inference scripts of the
networks' authors (U-2-Net, DIS, ormbg, MODNet).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from offcut.convert.onnx_reader import OnnxModel, RawNode
from offcut.errors import ModelFormatError

__all__ = ["FAMILIES", "Family", "family_called", "recognised"]

IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


@dataclass(frozen=True, slots=True)
class Traits:
    """What can be seen in a graph without running it."""

    ops: frozenset[str]
    dilations: frozenset[int]
    depthwise: bool  # a convolution per channel
    stem_stride: int  # of the first convolution


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of network; `input` is a card's, without the size."""

    name: str
    title: str
    size: tuple[int, int]  # height, width, where the file leaves them open
    input: Mapping[str, object] = field(default_factory=dict)
    looks_like: Callable[[Traits], bool] = lambda traits: False  # by default chosen by name alone


def _is_nested_u(traits: Traits) -> bool:
    """U-blocks in a U: pools, and dilations up to 8 at the bottom."""
    nested = {"MaxPool", "Concat"} <= traits.ops and {2, 4, 8} <= traits.dilations
    return nested and "InstanceNormalization" not in traits.ops


FAMILIES: tuple[Family, ...] = (
    Family(
        "u2net",
        "U2-Net (u2net, u2netp, silueta)",
        (320, 320),
        {"range": "max", **IMAGENET},
        lambda traits: _is_nested_u(traits) and traits.stem_stride == 1,
    ),
    Family(
        "isnet",
        "IS-Net (isnet-general-use, isnet-anime)",
        (1024, 1024),
        {"range": "255", "mean": [0.5, 0.5, 0.5], "std": [1.0, 1.0, 1.0]},
        lambda traits: _is_nested_u(traits) and traits.stem_stride == 2,
    ),
    # IS-Net's graph, trained on other numbers: no file tells the two apart.
    Family("ormbg", "ormbg, an IS-Net fed with plain 0 to 1", (1024, 1024), {"range": "255"}),
    Family(
        "modnet",
        "MODNet, portraits",
        (512, 512),
        {"range": "255", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
        lambda traits: "InstanceNormalization" in traits.ops and traits.depthwise,
    ),
)


def family_called(name: str) -> Family:
    """Return the family called `name`. Raises ModelFormatError, which lists them."""
    for family in FAMILIES:
        if family.name == name:
            return family
    known = ", ".join(family.name for family in FAMILIES)
    raise ModelFormatError(f"no family is called {name!r}", remedy=f"known are {known}")


def recognised(model: OnnxModel) -> Family | None:
    """Return the family that the graph looks like; None when it looks like none."""
    traits = _traits(model)
    return next((family for family in FAMILIES if family.looks_like(traits)), None)


def _traits(model: OnnxModel) -> Traits:
    convolutions = [node for node in model.nodes if node.op == "Conv"]
    dilations = {max(_list(node, "dilations")) for node in convolutions}
    groups = [node.attributes.get("group", 1) for node in convolutions]
    return Traits(
        ops=frozenset(node.op for node in model.nodes),
        dilations=frozenset(dilations),
        depthwise=any(isinstance(group, int) and group > 1 for group in groups),
        stem_stride=max(_list(convolutions[0], "strides")) if convolutions else 0,
    )


def _list(node: RawNode, name: str) -> tuple[int, ...]:
    values = node.attributes.get(name, (1,))
    whole = isinstance(values, tuple) and all(isinstance(value, int) for value in values)
    return values if whole and values else (1,)
