"""The command `offcut`: a module per subcommand; only in this package is anything printed.

A command is a module with `arguments(parser)` and `run(options)`, which returns the exit code; its
docstring is its help, and its name one line of COMMANDS. Exit codes: 0 when all went well, 1 when
something failed (the rest is still done), 2 for a call that cannot be understood.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from offcut import __version__
from offcut.cli.terminal import complain
from offcut.errors import OffcutError

__all__ = ["COMMANDS", "main"]

COMMANDS = (
    "remove",
    "evaluate",
    "convert",
    "quantize",
    "train",
    "models",
    "info",
    "bench",
    "serve",
    "verify",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except OffcutError as error:
        complain(error)
        return 1
    except BrokenPipeError:  # whoever read our output has seen enough
        sys.stderr.close()
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="offcut", description="Remove the background of photos.")
    parser.add_argument("--version", action="version", version=f"offcut {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name in COMMANDS:
        module = import_module(f"offcut.cli.{name}")
        title, _, rest = (module.__doc__ or "").partition("\n")
        text = f"{title}\n{rest}".strip()
        command = commands.add_parser(
            name,
            help=title.rstrip("."),
            description=text,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.set_defaults(run=module.run)
        module.arguments(command)
    return parser
