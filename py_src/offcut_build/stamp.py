"""Stamps: a stage is skipped while the hash of its inputs stands.

A stamp is a JSON file in .cache/stamps/ that holds the fingerprint of the inputs of the stage's
last good run. Whether the outputs are still there, each stage checks itself.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from offcut_build.errors import DiskError
from offcut_build.tree import Tree

__all__ = ["files_below", "fingerprint", "put", "read", "sha256", "write"]

LEFT_OUT = {"__pycache__", "node_modules"}


def sha256(data: bytes) -> str:
    """Return the hash of `data` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def files_below(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield (relative name with forward slashes, path), sorted; no hidden files, no caches."""
    if not folder.is_dir():
        return
    found = []
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        if path.is_file() and not any(p.startswith(".") or p in LEFT_OUT for p in parts):
            found.append(("/".join(parts), path))
    yield from sorted(found)


def fingerprint(paths: Iterable[Path], *, also: Any = None) -> str:
    """Return one hash over files and folders (names and bytes) and the JSON value `also`."""
    digest = hashlib.sha256(json.dumps(also, sort_keys=True).encode())
    for top in paths:
        rows = files_below(top) if top.is_dir() else [("", top)] if top.is_file() else []
        digest.update(f"{top.name}\n".encode())
        for name, path in rows:
            digest.update(f"{name} {sha256(path.read_bytes())}\n".encode())
    return digest.hexdigest()


def read(tree: Tree, stage: str) -> dict[str, Any]:
    """Return the stage's stamp, or {} when there is none that can be read."""
    try:
        value = json.loads(_path(tree, stage).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def write(tree: Tree, stage: str, value: dict[str, Any]) -> None:
    """Keep the stage's stamp."""
    put(_path(tree, stage), json.dumps(value, sort_keys=True).encode())


def put(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: beside its place first, then renamed. Raises DiskError."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise DiskError.of(path, error) from error


def _path(tree: Tree, stage: str) -> Path:
    return tree.cache / "stamps" / f"{stage}.json"
