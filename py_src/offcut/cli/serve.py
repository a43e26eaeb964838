"""Serve a folder such as dist/ on 127.0.0.1, with the headers of its _headers file."""

from __future__ import annotations

import argparse
from pathlib import Path

from offcut.serve import serve

__all__ = ["arguments", "run"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--port", type=int, help="default: the first free one from 8000")
    parser.add_argument("--open", action="store_true", help="open it in the browser")


def run(options: argparse.Namespace) -> int:
    """Serve until interrupted."""
    serve(options.folder, port=options.port, open_page=options.open)
    return 0
