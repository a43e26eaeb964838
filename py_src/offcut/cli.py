"""The command `offcut`: one function per subcommand; only here is anything printed.

Exit codes: 0 when all went well, 1 when something failed (the rest is still done), 2 for a call
that cannot be understood.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from offcut import __version__, backends, container, library
from offcut import card as cards
from offcut.card import ModelCard
from offcut.errors import ImageError, ModelFormatError, OffcutError
from offcut.imaging import files, png
from offcut.imaging.compose import parse_color
from offcut.pipeline import Options, cut_out
from offcut.session import Session, open_session

__all__ = ["main"]

PHOTOS = {".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
STANDARD = "-"  # standard input or output


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code."""
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except OffcutError as error:
        _complain(error)
        return 1
    except BrokenPipeError:  # whoever read our output has seen enough
        sys.stderr.close()
        return 1
    except KeyboardInterrupt:
        return 130


def remove(options: argparse.Namespace) -> int:
    """Cut the subject out of each photo; a photo that fails does not stop the others."""
    colour = parse_color(options.background) if options.background else None
    wanted = Options(only_mask=options.only_mask, background=colour)
    jobs = list(_jobs(options.photos, options.output))
    failed = 0
    with _Opened(options) as session:
        for at, (source, target) in enumerate(jobs):
            _tell(f"[{at + 1}/{len(jobs)}] {source}")
            try:
                data = sys.stdin.buffer.read() if source == STANDARD else _read(Path(source))
                pixels = files.decode(data, "standard input" if source == STANDARD else source)
                cutout = asyncio.run(cut_out(pixels, session))
                _write(target, png.encode(cutout.compose(wanted)))
            except OffcutError as error:
                _complain(error)
                failed += 1
    return 1 if failed else 0


def evaluate(options: argparse.Namespace) -> int:
    """Compare the model's masks with ground truth, or with another model's; print the means."""
    from offcut.evaluate.fidelity import Fidelity, compare_folder
    from offcut.evaluate.folder import Evaluation, evaluate_folder

    report: Evaluation | Fidelity
    with _Opened(options) as session:
        if options.against:
            name, model = asyncio.run(library.load(options.against))
            other = asyncio.run(open_session(model, name=name, backend="reference"))
            report = compare_folder(Path(options.folder), session, other, _tell)
        else:
            report = evaluate_folder(Path(options.folder), session, _tell)
    if options.json:
        Path(options.json).write_text(json.dumps(report.document(), indent=1) + "\n")
    print(report.table())
    return 0


def convert(options: argparse.Namespace) -> int:
    """Make a model file from an ONNX file, in float32 or as a card's variant says."""
    from offcut.convert.commands import convert_file, quantize_model

    source = Path(options.source)
    card = _card(Path(options.card)) if options.card else None
    if options.variant:
        if card is None:
            raise ModelFormatError("--variant needs the card that lists it", remedy="add --card")
        statistics = card.document.get("quantization", {}).get("statistics", "")
        calibrated = _read(Path(options.card).parent / str(statistics))
        model, draft = quantize_model(_read(source), card, options.variant, calibrated)
    else:
        model, draft = convert_file(source, card)
    data = container.write(model)
    _write(options.output or str(source.with_suffix(".safetensors")), data)
    for line in draft.record:
        print(line)
    macs = model.graph.multiply_accumulates() / 1e9
    print(f"{len(model.graph.nodes)} nodes, {macs:.2f} GMAC, {len(data):,} bytes")
    return 0


def models(options: argparse.Namespace) -> int:
    """Print the models that are at hand."""
    rows = [("name", "bytes", "here", "licence", "title")]
    rows += [
        (e.name, str(e.row.bytes), "yes" if e.path.exists() else "no", e.card.licence, e.card.title)
        for e in library.entries()
    ]
    for row in rows:
        print(f"{row[0]:<16} {row[1]:>9}  {row[2]:<4} {row[3]:<11} {row[4]}")
    return 0


def info(options: argparse.Namespace) -> int:
    """Print versions, models, and which backends can be used here, or why not."""
    document = {
        "offcut": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "platform": platform.platform(),
        "backends": {
            name: backends.load(name).unavailable() or "available" for name in backends.BACKENDS
        },
        "models": [entry.name for entry in library.entries()],
        "formats": files.formats(),
    }
    if options.json:
        print(json.dumps(document, indent=1))
        return 0
    for key, value in document.items():
        if isinstance(value, dict):
            value = "; ".join(f"{name}: {state}" for name, state in value.items())
        print(f"{key:<10} {', '.join(value) if isinstance(value, list) else value}")
    return 0


class _Opened:
    """The session that the options ask for, closed at the end."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options

    def __enter__(self) -> Session:
        name, model = asyncio.run(library.load(self.options.model))
        opening = open_session(
            model, name=name, backend=self.options.backend, threads=self.options.threads
        )
        self.session = asyncio.run(opening)
        for skipped, reason in self.session.skipped.items():
            _tell(f"backend {skipped} is not used: {reason}")
        return self.session

    def __exit__(self, *reason: object) -> None:
        self.session.close()


def _jobs(photos: Sequence[str], output: str | None) -> list[tuple[str, str]]:
    """Return (source, target) of every photo; folders give the photos below them."""
    sources: list[tuple[str, Path]] = []  # photo, its path below the output folder
    for given in photos:
        path = Path(given)
        if given != STANDARD and path.is_dir():
            below = sorted(p for p in path.rglob("*") if p.suffix.lower() in PHOTOS)
            sources += [(str(p), p.relative_to(path)) for p in below]
        else:
            sources.append((given, Path(path.name)))
    if not sources:
        raise ImageError("there is no photo to work on", remedy="name files, folders, or -")
    single = len(sources) == 1 and not Path(photos[0]).is_dir()
    return [(source, _target(source, below, output, single)) for source, below in sources]


def _target(source: str, below: Path, output: str | None, single: bool) -> str:
    if output == STANDARD or (output is None and source == STANDARD):
        return STANDARD
    name = f"{below.stem if source != STANDARD else 'image'}-offcut.png"
    if output is None:
        return str(Path(source).with_name(name))
    if single and not Path(output).is_dir() and Path(output).suffix.lower() == ".png":
        if source != STANDARD and Path(output).resolve() == Path(source).resolve():
            raise ImageError(f"{output} is the photo itself", remedy="choose another output")
        return output
    if single and not Path(output).is_dir() and Path(output).suffix:
        raise ImageError(f"{output}: the result is a PNG", remedy="end the name in .png")
    return str(Path(output) / below.with_name(name))


def _card(path: Path) -> ModelCard:
    return cards.parse(_read(path).decode("utf-8", "replace"), str(path))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror or error}") from error


def _write(target: str, data: bytes) -> None:
    if target == STANDARD:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    path = Path(target)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise ImageError(f"{path} cannot be written: {error.strerror or error}") from error


def _complain(error: OffcutError) -> None:
    print(f"offcut: error: {error}", file=sys.stderr)
    if error.remedy:
        print(f"  remedy: {error.remedy}", file=sys.stderr)


def _tell(text: str) -> None:
    """Show progress where someone is watching."""
    if sys.stderr.isatty():
        print(text, file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="offcut", description="Remove the background of photos.")
    parser.add_argument("--version", action="version", version=f"offcut {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(function: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        text = (function.__doc__ or "").partition(";")[0].rstrip(".")
        added = commands.add_parser(function.__name__, help=text, description=text + ".")
        added.set_defaults(command=function)
        return added

    cut = command(remove)
    cut.add_argument("photos", nargs="+", metavar="IN", help="photos, folders, or - for stdin")
    cut.add_argument("-o", "--output", metavar="DIR|FILE", help="where to; - for stdout")
    cut.add_argument("--only-mask", action="store_true", help="write the mask alone")
    cut.add_argument("--background", metavar="COLOR", help="white, #ff8800, 255,136,0, ...")
    _add_choices(cut)
    measure = command(evaluate)
    measure.add_argument("folder", metavar="DIR", help="holds im/ and gt/ with equal stems")
    measure.add_argument(
        "--against", metavar="MODEL", help="compare with this model on the photos; no gt/ needed"
    )
    measure.add_argument("--json", metavar="FILE", help="write all figures there")
    _add_choices(measure)
    make = command(convert)
    make.add_argument("source", metavar="MODEL.onnx")
    make.add_argument("-o", "--output", metavar="FILE", help="default: MODEL.safetensors")
    make.add_argument("--card", metavar="CARD.toml", help="what the file does not say of itself")
    make.add_argument("--variant", metavar="NAME", help="a variant of the card, quantized")
    command(models)
    command(info).add_argument("--json", action="store_true", help="print JSON")
    return parser


def _add_choices(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default=library.DEFAULT, metavar="NAME", help="or a file")
    parser.add_argument("--backend", default="auto", metavar="NAME")
    parser.add_argument("--threads", type=int, metavar="N")
