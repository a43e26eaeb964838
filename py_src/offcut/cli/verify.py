"""Verify a hosted or built bundle: every file against its manifest, and what the host sends.

Exit code 1 when anything is wrong. A manifest only proves that the files belong together; --against
compares with a bundle you trust, such as dist/ of your own build.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from offcut.verify import open_bundle, verify

__all__ = ["arguments", "run"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("bundle", metavar="URL|DIR")
    parser.add_argument("--against", metavar="URL|DIR", help="must be the same build as this one")
    parser.add_argument("--json", metavar="FILE", help="write the verdict there")


def run(options: argparse.Namespace) -> int:
    """Verify and print; return 1 when something is wrong."""
    against = open_bundle(options.against) if options.against else None
    verdict = verify(open_bundle(options.bundle), against)
    if options.json:
        Path(options.json).write_text(json.dumps(verdict.document(), indent=1) + "\n")
    print(verdict.table())
    return 1 if verdict.faults else 0
