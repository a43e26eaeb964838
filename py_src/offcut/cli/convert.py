"""Make a model file from an ONNX file, in float32 or as a card's variant says.

U2-Net, IS-Net and MODNet are recognised by their graphs; for other networks say how photos are
scaled for them. Each channel of the photo, 0 to 255, is divided by --range (255, or the photo's own
largest value), then --mean is subtracted, then it is divided by --std.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from offcut import card as cards
from offcut import container
from offcut.card import ModelCard
from offcut.cli.terminal import read, write
from offcut.convert.commands import quantize_model
from offcut.convert.families import FAMILIES
from offcut.convert.identify import Wishes
from offcut.convert.importer import import_file
from offcut.errors import ModelFormatError

__all__ = ["arguments", "run"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("source", metavar="MODEL.onnx")
    parser.add_argument("-o", "--output", metavar="FILE", help="default: MODEL.safetensors")
    parser.add_argument(
        "--like", choices=[family.name for family in FAMILIES], help="the family that it is of"
    )
    parser.add_argument("--size", metavar="HxW", type=_size, default=(), help="of the input")
    parser.add_argument("--range", choices=["255", "max"], default="")
    parser.add_argument("--mean", metavar="R,G,B", type=_triple, default=())
    parser.add_argument("--std", metavar="R,G,B", type=_triple, default=())
    parser.add_argument("--map", metavar="NAME", default="", help="the output that is the alpha")
    parser.add_argument(
        "--activation",
        choices=["none", "sigmoid"],
        default="",
        help="what makes alpha of the output; default: by the graph's last operator",
    )
    parser.add_argument("--title", metavar="TEXT", default="", help="for people")
    parser.add_argument("--card", metavar="CARD.toml", help="all of this, as a file")
    parser.add_argument("--variant", metavar="NAME", help="a variant of the card, quantized")


def run(options: argparse.Namespace) -> int:
    """Convert, write the file, and print what was done."""
    source = Path(options.source)
    card = _card(Path(options.card)) if options.card else None
    if options.variant:
        if card is None:
            raise ModelFormatError("--variant needs the card that lists it", remedy="add --card")
        statistics = card.document.get("quantization", {}).get("statistics", "")
        calibrated = read(Path(options.card).parent / str(statistics))
        model, draft = quantize_model(read(source), card, options.variant, calibrated)
    else:
        model, draft = import_file(source, wishes=_wishes(options), card=card)
    data = container.write(model)
    target = options.output or str(source.with_suffix(".safetensors"))
    write(target, data)
    for line in (*draft.record, *_described(model.card)):
        print(line)
    macs = model.graph.multiply_accumulates() / 1e9
    print(f"{len(model.graph.nodes)} nodes, {macs:.2f} GMAC, {len(data):,} bytes: {target}")
    return 0


def _wishes(options: argparse.Namespace) -> Wishes:
    return Wishes(
        like=options.like or "",
        size=options.size,
        mean=options.mean,
        std=options.std,
        range=options.range,
        output=options.map,
        activation=options.activation,
        title=options.title,
    )


def _described(card: ModelCard) -> list[str]:
    """Return in words what the card says, for it may have been guessed."""
    spec, made = card.input, card.output
    size = "x".join(map(str, spec.size))
    family = card.document.get("family")
    return [
        *([f"taken for: {family}; --like says otherwise"] if family else []),
        f"input: {size}, divided by {spec.range}, mean {spec.mean}, std {spec.std}",
        f"output: {made.name}, activation {made.activation}",
    ]


def _card(path: Path) -> ModelCard:
    return cards.parse(read(path).decode("utf-8", "replace"), str(path))


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([1-9][0-9]{0,3})x([1-9][0-9]{0,3})", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r}: expected height x width, such as 320x320")
    return int(found[1]), int(found[2])


def _triple(text: str) -> tuple[float, ...]:
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) not in (1, 3):
        raise argparse.ArgumentTypeError(f"{text!r}: expected three numbers, such as 0.5,0.5,0.5")
    return values * (3 // len(values))
