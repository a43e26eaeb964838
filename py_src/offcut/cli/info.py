"""Print versions, models, and which backends can be used here, or why not."""

from __future__ import annotations

import argparse
import json
import platform

import numpy as np

from offcut import __version__, backends, library
from offcut.imaging import files

__all__ = ["arguments", "run"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    """Print what is known, for people or as JSON."""
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
