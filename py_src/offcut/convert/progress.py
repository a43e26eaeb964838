"""Show how far a long piece of work is: a bar by `rich` where that is installed, else a line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Report", "progress"]

Report = Callable[[int, int], None]  # done, of how many


@contextmanager
def progress(title: str) -> Iterator[Report]:
    """Give a function that shows how much is done; shows nothing where nobody is watching."""
    if not sys.stderr.isatty():
        yield lambda done, of: None
        return
    try:
        from rich.console import Console
        from rich.progress import Progress
    except ImportError:
        yield lambda done, of: _line(title, done, of)
        sys.stderr.write("\n")
        return
    with Progress(console=Console(stderr=True)) as bars:
        task = bars.add_task(title)
        yield lambda done, of: bars.update(task, completed=done, total=of)


def _line(title: str, done: int, of: int) -> None:
    sys.stderr.write(f"\r{title}: {done} of {of}")
    sys.stderr.flush()
