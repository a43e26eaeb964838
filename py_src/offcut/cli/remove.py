"""Cut the subject out of each photo.

The result is a PNG: beside the photo as NAME-offcut.png, or where -o says. A photo that fails does
not stop the others.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from offcut.cli.choices import add_choices, opened
from offcut.cli.terminal import STANDARD, complain, mention, read, tell, write
from offcut.errors import ImageError, OffcutError
from offcut.imaging import files, png
from offcut.imaging.compose import parse_color
from offcut.imaging.contents import read_notes
from offcut.imaging.profile import read_colours
from offcut.pipeline import Options, cut_out

__all__ = ["arguments", "run"]

PHOTOS = {".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("photos", nargs="+", metavar="IN", help="photos, folders, or - for stdin")
    parser.add_argument("-o", "--output", metavar="DIR|FILE", help="where to; - for stdout")
    parser.add_argument("--only-mask", action="store_true", help="write the mask alone")
    parser.add_argument("--background", metavar="COLOR", help="orange, #ff8800, 255,136,0, ...")
    add_choices(parser)


def run(options: argparse.Namespace) -> int:
    """Cut out all photos; return 1 when one failed."""
    colour = parse_color(options.background) if options.background else None
    wanted = Options(only_mask=options.only_mask, background=colour)
    jobs = _jobs(options.photos, options.output)
    failed = 0
    with opened(options) as session:
        for at, (source, target) in enumerate(jobs):
            tell(f"[{at + 1}/{len(jobs)}] {source}")
            try:
                data = sys.stdin.buffer.read() if source == STANDARD else read(Path(source))
                name = "standard input" if source == STANDARD else source
                pixels = files.decode(data, name)
                for note in read_notes(data, name):
                    mention(f"{name}: {note}")
                cutout = asyncio.run(cut_out(pixels, session))
                result = png.encode(cutout.compose(wanted), colours=read_colours(data))
                write(target, result)
            except OffcutError as error:
                complain(error)
                failed += 1
    return 1 if failed else 0


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
