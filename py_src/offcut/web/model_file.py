"""The file of a model of the bundle: app/model_file.js has fetched it, or download.py does now.

The default model's is not needed where the model waits in the snapshot that Python started from.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from pyodide.ffi import to_js

from offcut.download import Entry, Index, Progress, fetch_index, fetch_model, read_index
from offcut.web import ready
from offcut.web.network import patch_urllib

__all__ = ["Keep", "TakeFetched", "read"]

FOLDER = Path("/tmp/offcut")  # in the worker's memory
INDEX = "models/index.json"

TakeFetched = Callable[[], Awaitable[Any]]  # resolves to app/model_file.js's Fetched, or null
Keep = Callable[[str, Any], None]  # store a verified file for the next visit


async def read(
    name: str, root: str, progress: Progress, *, take: TakeFetched | None, keep: Keep | None
) -> tuple[Index, Entry, bytes]:
    """Return the index, a model's entry in it and its verified bytes, b"" when the model waits.

    name: "" is the default. root: the bundle's address. Raises UnknownModelError, DownloadError,
    IntegrityError.
    """
    fetched = await take() if take else None
    if fetched:
        index = read_index(str(fetched.index), INDEX)
        entry = index.find(name)
        if ready.find(entry.sha256):
            return index, entry, b""
        if entry.file == fetched.file and fetched.data:
            return index, entry, bytes(fetched.data.to_bytes())
    patch_urllib()
    index = await fetch_index(root + INDEX)
    entry = index.find(name)
    if ready.find(entry.sha256):
        return index, entry, b""
    path = await fetch_model(entry, root + "models", FOLDER, progress=progress)
    data = path.read_bytes()
    if keep:
        keep(f"models/{entry.file}", to_js(memoryview(data)))
    path.unlink()  # it is in memory too
    return index, entry, data
