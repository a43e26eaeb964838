"""Every exception that Offcut raises on purpose.

OffcutError                 base: message, and a remedy where there is one
├── ImageError              the photo cannot be read, is damaged, or is too large
├── ModelFormatError        a model file, card or graph breaks its format
├── UnsupportedOperatorError    a graph needs an operator or attribute that nobody implements
├── UnknownModelError       no model of that name
├── BackendError            a backend that was asked for cannot be had, or failed
│   └── StoppedError        it stopped in the middle of its work, and is of no more use
├── DownloadError           a file could not be fetched
│   └── IntegrityError      a file was fetched, but its bytes are not the expected ones
└── Cancelled               the caller asked to stop
"""

from __future__ import annotations

__all__ = [
    "BackendError",
    "Cancelled",
    "DownloadError",
    "ImageError",
    "IntegrityError",
    "ModelFormatError",
    "OffcutError",
    "StoppedError",
    "UnknownModelError",
    "UnsupportedOperatorError",
]


class OffcutError(Exception):
    """Base of all errors: `str(error)` says what and where, `remedy` what the user can do."""

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


class ImageError(OffcutError):
    """The photo cannot be read, is damaged, or is too large."""


class ModelFormatError(OffcutError):
    """A model file, card or graph breaks its format."""


class UnsupportedOperatorError(OffcutError):
    """A graph needs an operator, opset or attribute that nobody implements."""


class UnknownModelError(OffcutError):
    """No model of that name is known here."""


class BackendError(OffcutError):
    """A backend that was asked for cannot be had here, or failed."""


class StoppedError(BackendError):
    """A backend stopped in the middle of its work, and is of no more use."""


class DownloadError(OffcutError):
    """A file could not be fetched."""


class IntegrityError(DownloadError):
    """A file was fetched, but its bytes are not the expected ones."""


class Cancelled(OffcutError):
    """The caller asked to stop."""
