"""Brings modules that the page's start leaves out, from the original archives, when imported.

The page starts from trimmed archives (offcut_build/start/modules.py says how they are made). Next
to them lies start/left_out.json:

    {"pyodide/python_stdlib.zip": ["antigravity", "asyncio.windows_events", ...], ...}

An import that nothing else can satisfy is looked up there. Its archive is fetched from the bundle,
verified, unpacked once, and serves this and all later imports of what it holds.
"""

from __future__ import annotations

import importlib
import io
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from offcut.errors import IntegrityError

__all__ = ["Originals", "install"]

FOLDER = "/lib/offcut-originals"
OURS = {"_pyodide", "numpy", "offcut", "pyodide", "pyodide_http"}
OURS |= {"_sysconfigdata__emscripten_wasm32-emscripten"}  # what sysconfig reads

Fetch = Callable[[str], Any]  # path in dist/ -> {data: Uint8Array, sha256: what it must be}


@dataclass(slots=True)
class Originals:
    """A finder for sys.meta_path, of use after all others."""

    fetch: Fetch
    archives: dict[str, str]  # module -> archive
    unpacked: dict[str, str] = field(default_factory=dict)  # archive -> folder

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where `name` was unpacked to, or None for what the originals do not hold either.

        Raises IntegrityError when an archive is damaged.
        """
        top, _, _ = name.partition(".")
        if top not in OURS and top not in sys.stdlib_module_names:
            return None
        archive = self.archives.get(name)
        if archive is None:
            return None
        parent = name.rpartition(".")[0].replace(".", "/")
        return PathFinder.find_spec(name, [f"{self._unpack(archive)}/{parent}".rstrip("/")], target)

    def _unpack(self, archive: str) -> str:
        if archive not in self.unpacked:
            import zipfile

            folder = f"{FOLDER}/{archive.rpartition('/')[2]}"
            with zipfile.ZipFile(io.BytesIO(self._bytes(archive))) as opened:
                opened.extractall(folder)
            importlib.invalidate_caches()
            self.unpacked[archive] = folder
        return self.unpacked[archive]

    def _bytes(self, path: str) -> bytes:
        import hashlib

        answer = self.fetch(path)
        data = bytes(answer.data.to_bytes())
        got = hashlib.sha256(data).hexdigest()
        if got != answer.sha256:
            raise IntegrityError(
                f"{path}: sha256 is {got[:12]}…, manifest.json says {str(answer.sha256)[:12]}…",
                remedy="reload the page; if it stays, rebuild dist/",
            )
        return data


def _by_module(listed: dict[str, list[str]]) -> dict[str, str]:
    """Return module -> archive; packages without a file of their own are modules too."""
    found: dict[str, str] = {}
    for archive, names in listed.items():
        for name in names:
            parts = name.split(".")
            found |= {".".join(parts[: k + 1]): archive for k in range(len(parts))}
    return found


def install(fetch: Fetch, listed: str) -> None:
    """Let imports of what was left out succeed from now on. listed: the text of left_out.json."""
    sys.meta_path.append(Originals(fetch, _by_module(json.loads(listed))))
