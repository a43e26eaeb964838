"""Run other programs: output passes through, or is kept and shown only when they fail."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from offcut_build.errors import CommandError

__all__ = ["capture", "run"]

TAIL_LINES = 12


def run(
    arguments: Sequence[str | Path], *, where: Path, env: Mapping[str, str] | None = None
) -> int:
    """Run a program in folder `where` with its output passed through; return its exit code.

    env: variables on top of this process's. Raises CommandError when it cannot be started.
    """
    try:
        return subprocess.run(
            [str(a) for a in arguments], cwd=where, env={**os.environ, **(env or {})}, check=False
        ).returncode
    except OSError as error:
        raise CommandError(f"{arguments[0]}: cannot be started: {error.strerror}") from error


def capture(
    arguments: Sequence[str | Path],
    *,
    where: Path | None = None,
    env: Mapping[str, str] | None = None,
    seconds: float | None = None,
    remedy: str = "",
) -> str:
    """Run a program quietly and return its standard output.

    seconds: the time it may take. Raises CommandError with the end of its output on failure.
    """
    name = " ".join([Path(arguments[0]).name, *map(str, arguments[1:4])])
    try:
        done = subprocess.run(
            [str(a) for a in arguments],
            cwd=where,
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=seconds,
            check=False,
        )
    except OSError as error:
        raise CommandError(f"{name}: cannot be started: {error}", remedy=remedy) from error
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"{name}: no end after {seconds:.0f} s", remedy=remedy) from error
    if done.returncode:
        tail = (done.stderr.strip() or done.stdout.strip()).splitlines()[-TAIL_LINES:]
        text = "\n    ".join([f"{name}: exit code {done.returncode}", *tail])
        raise CommandError(text, remedy=remedy)
    return done.stdout
