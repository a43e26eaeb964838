"""Print the models that are at hand."""

from __future__ import annotations

import argparse

from offcut import library

__all__ = ["arguments", "run"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add nothing: the command has no arguments."""


def run(options: argparse.Namespace) -> int:
    """Print a line for each variant of each card."""
    rows = [("name", "bytes", "here", "licence", "title")]
    rows += [
        (e.name, str(e.row.bytes), "yes" if e.path.exists() else "no", e.card.licence, e.card.title)
        for e in library.entries()
    ]
    for row in rows:
        print(f"{row[0]:<16} {row[1]:>9}  {row[2]:<4} {row[3]:<11} {row[4]}")
    return 0
