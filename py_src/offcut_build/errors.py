"""What can go wrong in a build; build.py prints the message with its remedy and exits with 1.

BuildError              base: message, and a remedy where there is one
├── CommandError        a program that the build runs is missing or failed
├── DiskError           a file could not be written
├── IntegrityError      a Python package is not the one that requirements.lock names
├── LockError           assets.lock.toml, requirements.lock or a card breaks its format
└── AssetError          no source gave the right bytes of a third-party file
    └── SourceError     one source did not
"""

from __future__ import annotations

import errno
from pathlib import Path

__all__ = [
    "AssetError",
    "BuildError",
    "CommandError",
    "DiskError",
    "IntegrityError",
    "LockError",
    "SourceError",
]


class BuildError(Exception):
    """Base of all errors: `str(error)` says what and where, `remedy` what the user can do."""

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


class CommandError(BuildError):
    """A program that the build runs is missing or failed."""


class IntegrityError(BuildError):
    """A Python package is not the one that requirements.lock names."""


class LockError(BuildError):
    """assets.lock.toml, requirements.lock or a model card breaks its format."""


class AssetError(BuildError):
    """No source gave the right bytes of a third-party file."""


class SourceError(AssetError):
    """One source of a third-party file could not be used; the next one is tried."""


class DiskError(BuildError):
    """A file could not be written."""

    @classmethod
    def of(cls, path: Path, error: OSError) -> DiskError:
        """Return the error for a failed write to `path`, with a remedy that fits its cause."""
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = f"free some space on the disk of {path.parent}, then run the same command again"
        return cls(
            f"{path}: cannot write: {'the disk is full' if full else error.strerror or error}",
            remedy=remedy if full else f"check the permissions of {path.parent}",
        )
