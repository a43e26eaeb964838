"""Models that the visitor brings: a file from this device becomes a Model, for this visit only."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from offcut import container
from offcut.backends import Checkpoint
from offcut.container import Model
from offcut.errors import ModelFormatError

__all__ = ["MAX_BYTES", "read_model"]

MAX_BYTES = 1 << 29  # of a file; Python's memory in a browser ends at some gigabytes


async def read_model(file: Any, name: str, checkpoint: Checkpoint) -> Model:
    """Return the model of a Blob called `name`: Offcut's own format, or ONNX, which is converted.

    Raises ModelFormatError and UnsupportedOperatorError.
    """
    ending = PurePosixPath(name).suffix.lower()
    if ending not in (".onnx", ".safetensors"):
        raise ModelFormatError(f"{name} is no model", remedy="choose an .onnx or .safetensors file")
    if file.size > MAX_BYTES:
        raise ModelFormatError(
            f"{name} has {int(file.size) >> 20} MiB, the page takes at most {MAX_BYTES >> 20}",
            remedy="convert and quantize it in a terminal: `offcut convert`, `offcut quantize`",
        )
    data = bytes((await file.arrayBuffer()).to_bytes())
    if ending == ".safetensors":
        await checkpoint(0, 1)
        return container.read(data, name)
    # Few visits need it, so it is loaded when one does.
    from offcut.convert.importer import import_onnx

    model, _ = await import_onnx(data, name, checkpoint=checkpoint)
    return model
