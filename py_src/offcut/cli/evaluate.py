"""Compare the model's masks with ground truth, or with another model's; print the means."""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path

from offcut import library
from offcut.cli.choices import add_choices, opened
from offcut.cli.terminal import tell
from offcut.evaluate.fidelity import Fidelity, compare_folder
from offcut.evaluate.folder import Evaluation, evaluate_folder
from offcut.session import open_session

__all__ = ["arguments", "run"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("folder", metavar="DIR", help="holds im/ and gt/ with equal stems")
    parser.add_argument(
        "--against", metavar="MODEL", help="compare with this model on the photos; no gt/ needed"
    )
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    add_choices(parser)


def run(options: argparse.Namespace) -> int:
    """Measure, write JSON where asked, and print a table."""
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
