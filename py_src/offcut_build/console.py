"""What a build says while it runs: one line a stage, and progress for what takes long."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TextIO

__all__ = ["Meter", "Report", "megabytes", "say"]

Report = Callable[[int], None]  # called with the bytes that have arrived so far

REDRAW_SECONDS = 0.1  # on a terminal
LOG_SHARE = 0.25  # in a log: a line for each quarter


def say(text: str) -> None:
    """Write one line now, so that it stands before the output of a program started next."""
    print(text, flush=True)


def megabytes(count: int) -> str:
    """Return `count` bytes as text in MB (10**6), or in kB below 0.1 MB."""
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{count / 1e3:.1f} kB"


@dataclass(slots=True)
class Meter:
    """Progress of one download: redrawn in place on a terminal, a few lines in a log."""

    name: str
    size: int  # bytes
    stream: TextIO = field(default_factory=lambda: sys.stderr)
    _drawn: float = 0.0
    _logged: float = 0.0
    _started: float = field(default_factory=time.monotonic)

    def __call__(self, have: int) -> None:
        """Show that `have` bytes are there."""
        share = have / max(1, self.size)
        if not self.stream.isatty():
            if share - self._logged >= LOG_SHARE and self.size > 1_000_000:
                self._logged = share
                self.stream.write(f"  {self._line(have, share)}\n")
                self.stream.flush()
            return
        now = time.monotonic()
        if now - self._drawn >= REDRAW_SECONDS or have >= self.size:
            self._drawn = now
            end = "\n" if have >= self.size else ""
            self.stream.write(f"\r\x1b[K  {self._line(have, share)}{end}")
            self.stream.flush()

    def _line(self, have: int, share: float) -> str:
        speed = have / max(1e-3, time.monotonic() - self._started)
        of = f"{megabytes(have)} of {megabytes(self.size)}"
        return f"{self.name}: {of} ({share:.0%}, {megabytes(int(speed))}/s)"
