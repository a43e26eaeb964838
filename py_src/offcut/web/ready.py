"""A model that waits in a snapshot of Python, read, checked and lowered: the one pages open first.

The build calls `prepare`; a page that wants the model of the same file finds it here, and need
neither fetch nor open the file.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

from offcut import container
from offcut.backends import simd
from offcut.container import Model

__all__ = ["find", "prepare"]

_waiting: dict[str, Model] = {}  # by the sha256 of its file


def prepare(data: bytes | bytearray, where: str) -> str:
    """Let the model of a file wait; return the file's sha256. Raises ModelFormatError."""
    model = container.read(memoryview(data), where)
    weights = {  # copies, so that the file need not wait with them
        name: replace(tensor, parts={key: part.copy() for key, part in tensor.parts.items()})
        for name, tensor in model.weights.items()
    }
    model = replace(model, weights=weights)
    simd.prepare(model)
    name = hashlib.sha256(data).hexdigest()
    _waiting[name] = model
    return name


def find(sha256: str) -> Model | None:
    """Return the model of the file of this hash, None when it does not wait."""
    return _waiting.get(sha256)
