"""assets.lock.toml: every third-party file, what it must be, and where it may come from.

    [pyodide]
    version = "314.0.3"             # the one Pyodide version of the project
    python, abi_version, arch, platform     # as in the "info" of Pyodide's own lock file

    [[asset]]
    name = "numpy"                  # what it belongs to, for THIRD_PARTY.md
    version = "2.4.3"
    file = "numpy-...whl"           # its name in the cache and in messages
    sha256, bytes                   # what it must be; the hash decides, a source needs no trust
    licence = "BSD-3-Clause"        # SPDX
    notice = "https://..."          # where its licence text stands
    ship = "pyodide/numpy-...whl"   # its place in dist/; absent: needed for building alone
    package = "numpy"               # for wheels: the key in Pyodide's lock file,
    imports = ["numpy"]             # the modules it brings,
    depends = []                    # and the keys of the packages it needs
    sources = [                     # tried in this order
        { url = "https://..." },
        { npm = "pyodide", version = "314.0.3", member = "package/..." },
        { pypi = "open-webui", version = "0.12.4", member = "...", python = "3.12" },
    ]

A pypi source without `member` is the wheel itself; `python` is the version to ask pip for.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from offcut_build.errors import LockError

__all__ = ["KINDS", "Asset", "Lock", "Source", "read"]

FIELDS: dict[str, tuple[set[str], set[str]]] = {  # kind -> fields it must have, may have
    "url": (set(), set()),
    "npm": ({"version", "member"}, {"version", "member"}),
    "pypi": ({"version"}, {"version", "member", "python"}),
}
KINDS = tuple(FIELDS)
INFO = ("abi_version", "arch", "platform", "python")


@dataclass(frozen=True, slots=True)
class Source:
    """One place that has, or may have, the bytes of an asset."""

    kind: str  # one of KINDS
    place: str  # the URL, or the name of the package
    version: str = ""
    member: str = ""  # path inside the package; "" is the package file itself
    python: str = ""  # the Python version that pip is asked for; "" is the running one
    sdist: bool = False  # the archive of a PyPI package's sources; for the tests, not in the file

    def __str__(self) -> str:
        if self.kind == "url":
            return self.place
        inside = f", member {self.member}" if self.member else ""
        return f"{self.kind} package {self.place} {self.version}{inside}"


@dataclass(frozen=True, slots=True)
class Asset:
    """One third-party file."""

    name: str
    version: str
    file: str
    sha256: str
    bytes: int
    licence: str
    notice: str
    ship: str  # path in dist/; "" is not shipped
    package: str  # key in Pyodide's lock file; "" is not a wheel
    imports: tuple[str, ...]
    depends: tuple[str, ...]
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Lock:
    """The whole lock file."""

    pyodide: str  # version
    info: dict[str, str]  # as in Pyodide's own lock file
    assets: tuple[Asset, ...]


def read(path: Path) -> Lock:
    """Read the lock file. Raises LockError naming the row and the field."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LockError(f"{path}: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise LockError(f"{path}: not TOML: {error}") from error
    try:
        pyodide = str(document["pyodide"]["version"])
        info = {field: str(document["pyodide"][field]) for field in INFO}
        rows = document["asset"]
    except (KeyError, TypeError) as error:
        raise LockError(f"{path}: lacks {error}") from error
    assets = tuple(_asset(row, f"{path.name}: asset {i + 1}") for i, row in enumerate(rows))
    for field in ("file", "sha256", "ship"):
        values = [getattr(asset, field) for asset in assets if getattr(asset, field)]
        twice = sorted({value for value in values if values.count(value) > 1})
        if twice:
            raise LockError(f"{path.name}: {field} {twice[0]} stands twice")
    return Lock(pyodide, info, assets)


def _asset(row: dict[str, Any], where: str) -> Asset:
    try:
        where = f"{where} ({row['file']})"
        asset = Asset(
            name=str(row["name"]),
            version=str(row["version"]),
            file=str(row["file"]),
            sha256=str(row["sha256"]),
            bytes=int(row["bytes"]),
            licence=str(row["licence"]),
            notice=str(row["notice"]),
            ship=str(row.get("ship", "")),
            package=str(row.get("package", "")),
            imports=tuple(map(str, row.get("imports", ()))),
            depends=tuple(map(str, row.get("depends", ()))),
            sources=tuple(_source(source, where) for source in row["sources"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise LockError(f"{where}: lacks or misstates {error}") from error
    if not re.fullmatch("[0-9a-f]{64}", asset.sha256):
        raise LockError(f"{where}: sha256 is {asset.sha256!r}, expected 64 hexadecimal digits")
    if asset.bytes < 1 or not asset.sources:
        raise LockError(f"{where}: needs bytes above 0 and at least one source")
    for field, value in (("file", asset.file), ("ship", asset.ship)):
        parts = PurePosixPath(value).parts
        if value and (value.startswith("/") or ".." in parts or "\\" in value):
            raise LockError(f"{where}: {field} is {value!r}, expected a path that stays inside")
    if "/" in asset.file:
        raise LockError(f"{where}: file is {asset.file!r}, expected a bare name")
    return asset


def _source(row: dict[str, str], where: str) -> Source:
    kinds = [kind for kind in KINDS if kind in row]
    if len(kinds) != 1:
        raise LockError(f"{where}: a source names one of {', '.join(KINDS)}, not {sorted(row)}")
    kind = kinds[0]
    extra: dict[str, Any] = {key: str(row[key]) for key in row if key != kind}
    needed, allowed = FIELDS[kind]
    if not needed <= set(extra) <= allowed:
        raise LockError(f"{where}: {kind} source has {sorted(extra)}, needs {sorted(needed)}")
    return Source(kind, str(row[kind]), **extra)
