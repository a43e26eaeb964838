"""Verify a bundle, a folder or a site: every file against manifest.json, and a site's headers.

A manifest that lies with its files proves that they belong together, not who made them: compare its
sha256 with that of a build of your own (`--against dist/`).
"""

from __future__ import annotations

import hashlib
import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from offcut.errors import DownloadError, ModelFormatError

__all__ = ["Bundle", "Verdict", "open_bundle", "verify"]

MANIFEST = "manifest.json"
MOST_BYTES = 1 << 30  # of one file; a manifest that names more is not ours
SETTINGS = ("_headers",)  # hosts read these files and do not serve them
TOGETHER = 6  # requests at a time
SECONDS = 30.0  # without an answer

# What a site must send for the page's promises to hold; static/_headers has the same.
POLICY = ("default-src 'none'", "connect-src 'self'")
UNSAFE = ("'unsafe-inline'", "'unsafe-eval'")
ISOLATION = {
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
}


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle that can be read."""

    name: str
    read: Callable[[str, int], bytes]  # (path, most bytes) -> the file; raises OSError
    files: frozenset[str] | None = None  # what a folder holds; None where nobody can tell
    headers: Mapping[str, str] | None = None  # of index.html; None for a folder


@dataclass(slots=True)
class Verdict:
    """What was found. `faults`: path -> what is wrong with it."""

    bundle: str
    version: str
    manifest: str  # sha256 of manifest.json
    files: int
    bytes: int
    faults: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)  # worth knowing, not wrong

    def document(self) -> dict[str, Any]:
        """Return the verdict for JSON."""
        return {name: getattr(self, name) for name in Verdict.__slots__}

    def table(self) -> str:
        """Return the verdict for people."""
        lines = [
            f"{self.bundle}: Offcut {self.version}, {self.files} files, {self.bytes / 1e6:.1f} MB",
            f"{MANIFEST}: sha256 {self.manifest}",
            *(f"  note: {note}" for note in self.notes),
            *(f"  WRONG {path}: {fault}" for path, fault in sorted(self.faults.items())),
            f"{len(self.faults)} faults" if self.faults else "every file is what it should be",
        ]
        return "\n".join(lines)


def open_bundle(place: str) -> Bundle:
    """Return the bundle at a folder or an http(s) address. Raises DownloadError."""
    if not place.startswith(("http://", "https://")):
        return _folder(Path(place))
    base = place.split("?")[0].removesuffix("index.html").rstrip("/") + "/"

    def read(path: str, most: int) -> bytes:
        with _request(base + urllib.parse.quote(path)) as answer:
            data: bytes = answer.read(most + 1)
        return data

    try:
        with _request(base) as answer:
            headers = {key.lower(): value for key, value in answer.headers.items()}
    except (OSError, http.client.HTTPException, ValueError) as error:
        remedy = "check the address and the connection"
        raise DownloadError(f"{base}: cannot be read: {error}", remedy=remedy) from error
    return Bundle(base, read, headers=headers)


def _request(url: str) -> Any:
    request = urllib.request.Request(url, headers={"Cache-Control": "no-cache"})
    return urllib.request.urlopen(request, timeout=SECONDS)


def _folder(root: Path) -> Bundle:
    if not root.is_dir():
        raise DownloadError(f"{root}: no such folder", remedy="name a folder, or an http address")

    def read(path: str, most: int) -> bytes:
        with (root / path).open("rb") as file:
            return file.read(most + 1)

    files = (path for path in root.rglob("*") if path.is_file())
    return Bundle(str(root), read, frozenset(path.relative_to(root).as_posix() for path in files))


def verify(bundle: Bundle, against: Bundle | None = None) -> Verdict:
    """Check every file of `bundle`, and whether it is the same build as `against`.

    Raises DownloadError when there is no manifest, ModelFormatError when it is not one.
    """
    data, rows, version = _manifest(bundle)
    total = sum(size for _, size in rows.values())
    verdict = Verdict(bundle.name, version, hashlib.sha256(data).hexdigest(), len(rows), total)
    with ThreadPoolExecutor(TOGETHER) as pool:
        found = pool.map(lambda path: (path, _fault(bundle, path, *rows[path])), rows)
        verdict.faults.update((path, fault) for path, fault in found if fault)
    for path in (bundle.files or frozenset()) - rows.keys() - {MANIFEST}:
        verdict.faults[path] = f"{MANIFEST} does not name it"
    if against is not None:
        _compare(verdict, rows, _manifest(against)[1], against.name)
    if bundle.headers is not None:
        _check_headers(verdict, bundle.headers)
    return verdict


def _manifest(bundle: Bundle) -> tuple[bytes, dict[str, tuple[str, int]], str]:
    """Return the manifest's bytes, path -> (sha256, bytes), and the version."""
    try:
        data = bundle.read(MANIFEST, 1 << 22)
    except (OSError, http.client.HTTPException) as error:
        remedy = "name the folder or address that holds Offcut's index.html"
        raise DownloadError(
            f"{bundle.name}: {MANIFEST} cannot be read: {error}", remedy=remedy
        ) from error
    try:
        document = json.loads(data)
        rows = {
            path: (str(row["sha256"]), int(row["bytes"])) for path, row in document["files"].items()
        }
        version = str(document["version"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelFormatError(f"{bundle.name}: {MANIFEST} is not a manifest: {error}") from error
    for path, (_, size) in rows.items():
        parts = PurePosixPath(path).parts
        if path.startswith("/") or ".." in parts or "\\" in path or not 0 <= size <= MOST_BYTES:
            raise ModelFormatError(f"{bundle.name}: {MANIFEST} names {path!r}, {size} bytes")
    return data, rows, version


def _fault(bundle: Bundle, path: str, sha256: str, size: int) -> str:
    """Return what is wrong with a file, "" when nothing is."""
    try:
        data = bundle.read(path, size)
    except urllib.error.HTTPError as error:
        missing = path in SETTINGS and error.code in (403, 404)
        return "" if missing else f"the server answers {error.code}"
    except (OSError, http.client.HTTPException) as error:
        return f"cannot be read: {error}"
    got = hashlib.sha256(data).hexdigest()
    if got == sha256:
        return ""
    length = f"more than {size}" if len(data) > size else str(len(data))
    return f"sha256 {got[:12]}..., {length} bytes; expected {sha256[:12]}..., {size} bytes"


def _compare(
    verdict: Verdict, rows: Mapping[str, Any], wanted: Mapping[str, Any], name: str
) -> None:
    for path in rows.keys() | wanted.keys():
        if rows.get(path) != wanted.get(path):
            state = "is not in" if path not in wanted else "differs from that in"
            missing = f"is in {name}, not here"
            verdict.faults.setdefault(path, f"{state} {name}" if path in rows else missing)
    if not verdict.faults:
        verdict.notes.append(f"the same build as {name}")


def _check_headers(verdict: Verdict, headers: Mapping[str, str]) -> None:
    """Note what the host does not send; the page makes up for some of it."""
    policy = headers.get("content-security-policy", "")
    if not policy:
        verdict.notes.append(
            "no Content-Security-Policy header: the page's own policy and its worker's proof of it "
            "remain; _headers in the bundle has what to send"
        )
    elif not all(part in policy for part in POLICY) or any(part in policy for part in UNSAFE):
        verdict.faults["Content-Security-Policy"] = f"is weaker than the page's own: {policy}"
    absent = [key for key, value in ISOLATION.items() if headers.get(key) != value]
    if absent:
        verdict.notes.append(f"without {', '.join(absent)}: one thread, until the page is reloaded")
