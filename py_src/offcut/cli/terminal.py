"""What commands share: files in and out, with errors that people understand, and progress."""

from __future__ import annotations

import sys
from pathlib import Path

from offcut.errors import ImageError, OffcutError

__all__ = ["STANDARD", "complain", "mention", "read", "tell", "write"]

STANDARD = "-"  # standard input or output


def read(path: Path) -> bytes:
    """Return a file's bytes. Raises ImageError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror or error}") from error


def write(target: str, data: bytes) -> None:
    """Write a file, or standard output for "-". Raises ImageError."""
    if target == STANDARD:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    path = Path(target)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise ImageError(f"{path} cannot be written: {error.strerror or error}") from error


def complain(error: OffcutError) -> None:
    """Say what went wrong and what helps."""
    print(f"offcut: error: {error}", file=sys.stderr)
    if error.remedy:
        print(f"  remedy: {error.remedy}", file=sys.stderr)


def mention(text: str) -> None:
    """Say what the user should know of a result, watched or not."""
    print(f"offcut: {text}", file=sys.stderr)


def tell(text: str) -> None:
    """Show progress where someone is watching."""
    if sys.stderr.isatty():
        print(text, file=sys.stderr)
