"""Make a model file from an ONNX file, in float32 or as a card's variant says."""

from __future__ import annotations

import argparse
from pathlib import Path

from offcut import card as cards
from offcut import container
from offcut.card import ModelCard
from offcut.cli.terminal import read, write
from offcut.convert.commands import convert_file, quantize_model
from offcut.errors import ModelFormatError

__all__ = ["arguments", "run"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("source", metavar="MODEL.onnx")
    parser.add_argument("-o", "--output", metavar="FILE", help="default: MODEL.safetensors")
    parser.add_argument("--card", metavar="CARD.toml", help="what the file does not say of itself")
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
        model, draft = convert_file(source, card)
    data = container.write(model)
    write(options.output or str(source.with_suffix(".safetensors")), data)
    for line in draft.record:
        print(line)
    macs = model.graph.multiply_accumulates() / 1e9
    print(f"{len(model.graph.nodes)} nodes, {macs:.2f} GMAC, {len(data):,} bytes")
    return 0


def _card(path: Path) -> ModelCard:
    return cards.parse(read(path).decode("utf-8", "replace"), str(path))
