"""Compare the model's masks with ground truth, or with another model's; print the means.

--compare does both for all models that are at hand, and the float32 network that --against names:
sizes, differences with intervals, times, and the worst photos.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path

from offcut import library
from offcut.cli.choices import add_choices, opened
from offcut.cli.terminal import tell
from offcut.errors import UnknownModelError
from offcut.evaluate.fidelity import Fidelity, compare_folder
from offcut.evaluate.folder import Evaluation, evaluate_folder
from offcut.evaluate.levels import compare
from offcut.evaluate.levels_text import table
from offcut.evaluate.pictures import write_worst
from offcut.session import open_session

__all__ = ["arguments", "run"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("folder", metavar="DIR", help="holds im/ and gt/ with equal stems")
    parser.add_argument(
        "--against", metavar="MODEL", help="compare with this model on the photos; no gt/ needed"
    )
    parser.add_argument("--compare", action="store_true", help="compare all models at hand")
    parser.add_argument("--models", metavar="NAME,...", help="with --compare: these alone")
    parser.add_argument("--pictures", metavar="DIR", help="with --compare: the worst photos")
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    add_choices(parser)


def run(options: argparse.Namespace) -> int:
    """Measure, write JSON where asked, and print a table."""
    if options.compare:
        return _compare(options)
    report: Evaluation | Fidelity
    with opened(options) as session:
        if options.against:
            name, model = asyncio.run(library.load(options.against))
            other = asyncio.run(open_session(model, name=name, backend="reference"))
            report = compare_folder(Path(options.folder), session, other, tell)
        else:
            report = evaluate_folder(Path(options.folder), session, tell)
    if options.json:
        Path(options.json).write_text(json.dumps(report.document(), indent=1) + "\n")
    print(report.table())
    return 0


def _compare(options: argparse.Namespace) -> int:
    if not options.against:
        raise UnknownModelError(
            "--compare needs the float32 network", remedy="add --against MODEL.onnx"
        )
    here = [entry.name for entry in library.entries() if entry.path.exists()]
    names = options.models.split(",") if options.models else here
    folder = Path(options.folder)
    comparison = compare(folder, options.against, names, tell=tell)
    document = comparison.document()
    if options.json:
        Path(options.json).write_text(json.dumps(document, indent=1) + "\n")
    if options.pictures:
        write_worst(comparison, folder, options.against, names, Path(options.pictures))
    print(table(document))
    return 0
