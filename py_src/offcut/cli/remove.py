"""Cut the subject out of each photo.

The result is a PNG: beside the photo as NAME-offcut.png, or where -o says. A photo that fails does
not stop the others.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from offcut.cli.choices import add_choices, opened
from offcut.cli.jobs import jobs
from offcut.cli.terminal import STANDARD, complain, mention, read, tell, write
from offcut.errors import OffcutError
from offcut.imaging import files, png
from offcut.imaging.compose import parse_color
from offcut.imaging.contents import read_notes
from offcut.imaging.profile import read_colours
from offcut.pipeline import Options, cut_out

__all__ = ["arguments", "run"]


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
    todo = jobs(options.photos, options.output)
    failed = 0
    with opened(options) as session:
        for at, (source, target) in enumerate(todo):
            tell(f"[{at + 1}/{len(todo)}] {source}")
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
