"""Fetch a model part by part, verify every part, resume after a cut, report progress.

A bundle's models/index.json says what there is:

    {"default": "u2netp-int8",
     "models": {"u2netp-int8": {"file", "bytes", "sha256", "title", "licence",
                                "parts": [sha256 of each 1 MiB, the last one shorter],
                                "card", "quality": {"mae", "iou", "worst_iou", "photos"}}}}

Parts are asked for with Range and written one after another to `<sha256>.part`; a later call
starts where the verified bytes end. A server that ignores Range sends the whole file, which is
verified the same way. The same code runs on CPython and, with the urllib of pyodide_http, in
the browser.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from offcut.errors import DownloadError, IntegrityError, UnknownModelError

try:
    from pyodide.ffi import JsException
except ImportError:  # CPython

    class JsException(Exception):  # type: ignore[no-redef]
        """What a browser throws; never raised here."""


__all__ = ["PART_BYTES", "Entry", "Index", "Progress", "fetch_index", "fetch_model", "read_index"]

PART_BYTES = 1 << 20
ATTEMPTS = 3  # of one part, before the download is given up
PAUSE = 0.4  # seconds before the second attempt, doubled for the next
TIMEOUT = 30.0  # seconds without an answer, on CPython; a browser has its own
RELOAD = "check the connection and try again; what has arrived is kept"


class Progress(Protocol):
    """`await progress(done, total)` in bytes: show it, yield to the event loop, raise Cancelled."""

    def __call__(self, done: int, total: int) -> Awaitable[None]: ...


@dataclass(frozen=True, slots=True)
class Entry:
    """One model file of the index."""

    name: str
    file: str
    bytes: int
    sha256: str
    parts: tuple[str, ...]  # sha256 of each PART_BYTES
    title: str = ""
    licence: str = ""
    card: str = ""  # the model card's address, from the bundle's; "" when there is none
    quality: Mapping[str, float] = field(default_factory=dict)  # to float32: mae, iou, ...


@dataclass(frozen=True, slots=True)
class Index:
    """The models that a bundle offers."""

    default: str
    models: Mapping[str, Entry]

    def find(self, name: str = "") -> Entry:
        """Return the model called `name`: "" is the default one, a bare name its first variant."""
        wanted = name or self.default
        if wanted in self.models:
            return self.models[wanted]
        variants = [key for key in self.models if key.rpartition("-")[0] == wanted]
        if self.default in variants:
            return self.models[self.default]
        if variants:
            return self.models[variants[0]]
        known = ", ".join(self.models)
        raise UnknownModelError(f"no model is called {wanted!r}", remedy=f"choose one of {known}")


def read_index(text: str, where: str) -> Index:
    """Read models/index.json; `where` names it in errors. Raises IntegrityError."""
    try:
        document = json.loads(text)
        models = {str(name): _entry(name, row) for name, row in document["models"].items()}
        index = Index(str(document["default"]), models)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise IntegrityError(
            f"{where} is not an index of models: {error}", remedy="reload, or rebuild the bundle"
        ) from error
    index.find()
    return index


async def fetch_index(address: str) -> Index:
    """Fetch and read the index at `address`. Raises DownloadError."""
    status, body = await _patiently(address, None)
    if status != 200:
        raise DownloadError(f"{address}: the server answers {status}", remedy=RELOAD)
    return read_index(body.decode("utf-8", "replace"), address)


async def fetch_model(
    entry: Entry, address: str, folder: Path, *, progress: Progress | None = None
) -> Path:
    """Return the path of the verified model file in `folder`, downloading what is missing.

    address: of the folder that holds `entry.file`. Raises DownloadError, IntegrityError, and
    Cancelled when `progress` does; the parts that have arrived stay for the next call.
    """
    progress = progress or _no_progress
    folder.mkdir(parents=True, exist_ok=True)
    whole = folder / f"{entry.sha256}.safetensors"
    if whole.exists() and _sha256(whole.read_bytes()) == entry.sha256:
        await progress(entry.bytes, entry.bytes)
        return whole
    partial = folder / f"{entry.sha256}.part"
    await _fill(partial, entry, address.rstrip("/") + "/" + entry.file, progress)
    got = _sha256(partial.read_bytes())
    if got != entry.sha256:
        partial.unlink()
        raise _damaged(entry.file, got, entry.sha256)
    partial.replace(whole)
    return whole


async def _fill(partial: Path, entry: Entry, address: str, progress: Progress) -> None:
    """Append to `partial` until it holds every part."""
    partial.touch()
    have = _verified_parts(partial, entry)
    with partial.open("r+b") as sink:
        sink.truncate(have * PART_BYTES)
        sink.seek(0, 2)
        await progress(sink.tell(), entry.bytes)
        while have < len(entry.parts):
            fresh = await _parts_from(have, entry, address)
            for part in fresh:
                sink.write(part)
            sink.flush()
            have += len(fresh)
            await progress(sink.tell(), entry.bytes)


def _verified_parts(partial: Path, entry: Entry) -> int:
    """Return how many parts at the beginning of `partial` are whole and right."""
    count = 0
    for part, want in zip(_slices(partial.read_bytes()), entry.parts, strict=False):
        if _sha256(part) != want:
            break
        count += 1
    return count


async def _parts_from(have: int, entry: Entry, address: str) -> list[bytes]:
    """Return at least the part number `have`, verified; asks again for a damaged one."""
    begin = have * PART_BYTES
    end = min(begin + PART_BYTES, entry.bytes)
    wrong = ""
    for _ in range(2):  # a damaged part may have come from a cache: ask once more, past it
        status, body = await _patiently(address, (begin, end), fresh=bool(wrong))
        if status == 200:  # Range was ignored: this is the whole file
            body = body[begin:]
        elif status != 206:
            raise DownloadError(f"{entry.file}: the server answers {status}", remedy=RELOAD)
        parts = list(_slices(body)) or [b""]
        right = [_sha256(p) == w for p, w in zip(parts, entry.parts[have:], strict=False)]
        count = right.index(False) if False in right else len(right)
        if count:
            return parts[:count]
        wrong = _sha256(parts[0])
    raise _damaged(f"{entry.file}, part {have + 1}", wrong, entry.parts[have])


async def _patiently(
    address: str, span: tuple[int, int] | None, *, fresh: bool = False
) -> tuple[int, bytes]:
    """Return status and body; a connection that fails is tried again ATTEMPTS times."""
    for attempt in range(ATTEMPTS):
        try:
            return _get(address, span, fresh=fresh)
        except OSError as error:  # urllib.error.URLError is one; so is a timeout
            if attempt + 1 == ATTEMPTS:
                reason = getattr(error, "reason", None) or error
                text = f"{address} cannot be fetched: {reason}"
                raise DownloadError(text, remedy=RELOAD) from error
        await asyncio.sleep(PAUSE * 2**attempt)
    raise AssertionError("the last attempt returns or raises")


def _get(address: str, span: tuple[int, int] | None, *, fresh: bool) -> tuple[int, bytes]:
    """Ask once. Raises OSError when there is no whole answer."""
    # Here, because the page starts without them: it brings its first model itself.
    import http.client
    import urllib.error
    import urllib.request

    headers = {"Cache-Control": "no-cache"} if fresh else {}
    if span is not None:
        headers["Range"] = f"bytes={span[0]}-{span[1] - 1}"
    request = urllib.request.Request(address, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            status, body = int(response.status), bytes(response.read())
            sent = response.headers.get("Content-Range", "")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, b""
    except (http.client.HTTPException, JsException) as error:  # cut short; XMLHttpRequest failed
        raise OSError(str(error) or type(error).__name__) from error
    if status == 206 and span is not None and not sent.startswith(f"bytes {span[0]}-"):
        raise OSError(f"asked for bytes from {span[0]}, the server sent {sent!r}")
    return status, body


def _slices(data: bytes) -> Iterator[bytes]:
    return (data[at : at + PART_BYTES] for at in range(0, len(data), PART_BYTES))


def _entry(name: str, row: Mapping[str, Any]) -> Entry:
    entry = Entry(
        name=str(name),
        file=str(row["file"]),
        bytes=row["bytes"],
        sha256=str(row["sha256"]),
        parts=tuple(map(str, row["parts"])),
        title=str(row.get("title", name)),
        licence=str(row.get("licence", "unknown")),
        card=str(row.get("card", "")),
        quality={str(key): float(value) for key, value in row.get("quality", {}).items()},
    )
    if (
        type(entry.bytes) is not int
        or len(entry.parts) != -(-entry.bytes // PART_BYTES)
        or not re.fullmatch(r"\w[\w.-]*", entry.file)
        or not re.fullmatch("[0-9a-f]{64}", entry.sha256)
        or not re.fullmatch(r"(models/\w[\w.-]*)?", entry.card)
    ):
        raise ValueError(f"{name} misstates its parts or its file")
    return entry


def _damaged(what: str, got: str, want: str) -> IntegrityError:
    return IntegrityError(
        f"{what}: sha256 is {got[:12]}…, the index says {want[:12]}…",
        remedy="reload the page; if it stays, the bundle on the server is damaged: rebuild it",
    )


def _sha256(data: bytes) -> str:
    import hashlib  # takes a while in the browser, where the page has hashed the model

    return hashlib.sha256(data).hexdigest()


async def _no_progress(done: int, total: int) -> None:
    """Neither report nor stop."""
