"""The options --model, --backend and --threads, and the session that they ask for."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from offcut import library
from offcut.cli.terminal import tell
from offcut.session import Session, open_session

__all__ = ["add_choices", "opened"]


def add_choices(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--model", default=library.DEFAULT, metavar="NAME", help="or a file")
    parser.add_argument("--backend", default="auto", metavar="NAME")
    parser.add_argument("--threads", type=int, metavar="N")


@contextmanager
def opened(options: argparse.Namespace) -> Iterator[Session]:
    """Yield the session that the options ask for, and close it at the end."""
    name, model = asyncio.run(library.load(options.model))
    opening = open_session(model, name=name, backend=options.backend, threads=options.threads)
    session = asyncio.run(opening)
    try:
        for skipped, reason in session.skipped.items():
            tell(f"backend {skipped} is not used: {reason}")
        yield session
    finally:
        session.close()
