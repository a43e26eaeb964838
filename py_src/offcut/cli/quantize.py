"""Make a quantized model file from an ONNX or float32 model file and a folder of photos.

--scheme says what a weight becomes, see quant.py; --method how weights are rounded: nearest,
balanced (each kernel's errors cancel) or gptq (each weight's error is made up for by those not yet
rounded, slower and better). A table of what each layer became is printed.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from offcut import card as cards
from offcut import container
from offcut.cli.terminal import read, write
from offcut.convert import report
from offcut.convert.commands import quantize_file
from offcut.convert.progress import progress
from offcut.convert.recipes import Recipe
from offcut.evaluate.fidelity import photos_in
from offcut.quant import SCHEMES

__all__ = ["arguments", "run"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    standard = Recipe()
    add = parser.add_argument
    add("source", metavar="MODEL", help="an ONNX file, or a .safetensors file in float32")
    add("-o", "--output", metavar="FILE", required=True)
    add("--calibration", required=True, metavar="DIR", help="photos like those to come")
    add("--photos", type=int, default=64, metavar="N", help="use the first N of them; 64")
    add("--scheme", default=standard.scheme, metavar="NAME", help=", ".join(SCHEMES))
    add("--method", default=standard.method, metavar="NAME", help="nearest, balanced or gptq")
    add("--range", default=standard.range, metavar="NAME", help="how a grid reaches: max or mse")
    add("--width", type=float, default=standard.width, metavar="X", help="of a step, in rms")
    add("--keep", metavar="NODE,...", help="convolutions that stay in float16")
    add("--card", metavar="CARD.toml", help="what the file does not say of itself")
    add("--sensitivity", type=int, default=0, metavar="N", help="measure it on N photos: slow")
    add("--json", metavar="FILE", help="write the table there")


def run(options: argparse.Namespace) -> int:
    """Quantize, write the file, and print what became of each layer."""
    choice = Recipe(
        scheme=options.scheme,
        method=options.method,
        range=options.range,
        width=options.width,
        keep=tuple(options.keep.split(",")) if options.keep else (),
    )
    photos = photos_in(Path(options.calibration))[: options.photos]
    card = None
    if options.card:
        text = read(Path(options.card)).decode("utf-8", "replace")
        card = cards.parse(text, options.card)
    model, draft = quantize_file(Path(options.source), choice, photos, card, progress)
    data = container.write(model)
    write(options.output, data)
    rows = report.layers(model, draft)
    if options.sensitivity:
        with progress("Sensitivity") as shown:
            rows = report.with_sensitivity(rows, model, draft, shown, photos=options.sensitivity)
    if options.json:
        document = {"bytes": len(data), "record": draft.record, "layers": report.document(rows)}
        write(options.json, json.dumps(document, indent=1).encode() + b"\n")
    print("\n".join((*draft.record, report.as_text(rows))))
    print(f"{options.output}: {len(data):,} bytes")
    return 0
