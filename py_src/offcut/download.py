"""Fetch a model part by part, verify every part, resume after a cut, report progress.

A bundle's models/index.json says what there is:

    {"default": "u2netp-int8",
     "models": {"u2netp-int8": {"file", "bytes", "sha256", "title", "licence",
                                "parts": [sha256 of each 1 MiB, the last one shorter],
                                "card", "quality": {"mae", "iou", "worst_iou", "photos"}}}}

Parts are asked for with Range and written one after another to `<sha256>.part`; a later call
starts where the verified bytes end. A server that ignores Range sends the whole file, which is
verified the same way. Parts after the first carry If-Range with what the first one's answer said
of the file's version: a server whose file is another by then sends that whole, not a part of it.
The same code runs on CPython and, with the urllib of pyodide_http, in
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
    got = await _patiently(_Ask(address))
    if got.status != 200:
        raise DownloadError(f"{address}: the server answers {got.status}", remedy=RELOAD)
    return read_index(got.body.decode("utf-8", "replace"), address)


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
    version = ""
    with partial.open("r+b") as sink:
        sink.truncate(have * PART_BYTES)
        sink.seek(0, 2)
        await progress(sink.tell(), entry.bytes)
        while have < len(entry.parts):
            fresh, version = await _parts_from(have, entry, address, version)
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


async def _parts_from(
    have: int, entry: Entry, address: str, version: str
) -> tuple[list[bytes], str]:
    """Return at least the part number `have`, verified, and the version it is of.

    Asks again for a damaged one. version: of the parts before, "" when it is not known.
    """
    begin = have * PART_BYTES
    end = min(begin + PART_BYTES, entry.bytes)
    asked = _Ask(address, (begin, end), version)
    for _ in range(2):  # a damaged part may have come from a cache: ask once more, past it
        got = await _patiently(asked)
        if got.status not in (200, 206):
            raise DownloadError(f"{entry.file}: the server answers {got.status}", remedy=RELOAD)
        body = got.body[begin:] if got.status == 200 else got.body  # 200: this is the whole file
        parts = list(_slices(body)) or [b""]
        right = [_sha256(p) == w for p, w in zip(parts, entry.parts[have:], strict=False)]
        count = right.index(False) if False in right else len(right)
        if count:
            return parts[:count], got.version
        asked = _Ask(address, (begin, end), fresh=True)
    changed = version and got.version not in ("", version)
    since = ", which the server has changed since part 1" if changed else ""
    what = f"{entry.file}{since}, part {have + 1}"
    raise _damaged(what, _sha256(parts[0]), entry.parts[have])


@dataclass(frozen=True, slots=True)
class _Ask:
    address: str
    span: tuple[int, int] | None = None  # bytes from, and up to but without
    version: str = ""  # send the span only if the file is of this version, else the whole
    fresh: bool = False  # past caches

    def headers(self) -> dict[str, str]:
        found = {"Cache-Control": "no-cache"} if self.fresh else {}
        if self.span is not None:
            found["Range"] = f"bytes={self.span[0]}-{self.span[1] - 1}"
        if self.version:
            found["If-Range"] = self.version
        return found


@dataclass(frozen=True, slots=True)
class _Got:
    status: int
    body: bytes
    version: str = ""  # what If-Range takes, "" when the server says nothing that it may


async def _patiently(asked: _Ask) -> _Got:
    """Return the answer; a connection that fails is tried again ATTEMPTS times."""
    address = asked.address
    for attempt in range(ATTEMPTS):
        try:
            return _get(asked)
        except OSError as error:  # urllib.error.URLError is one; so is a timeout
            if attempt + 1 == ATTEMPTS:
                reason = getattr(error, "reason", None) or error
                text = f"{address} cannot be fetched: {reason}"
                raise DownloadError(text, remedy=RELOAD) from error
        await asyncio.sleep(PAUSE * 2**attempt)
    raise AssertionError("the last attempt returns or raises")


def _get(asked: _Ask) -> _Got:
    """Ask once. Raises OSError when there is no whole answer."""
    # Here, because the page starts without them: it brings its first model itself.
    import http.client
    import urllib.error
    import urllib.request

    request = urllib.request.Request(asked.address, headers=asked.headers())
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            status, body = int(response.status), bytes(response.read())
            headers = response.headers
    except urllib.error.HTTPError as error:
        with error:
            return _Got(error.code, b"")
    except (http.client.HTTPException, JsException) as error:  # cut short; XMLHttpRequest failed
        raise OSError(str(error) or type(error).__name__) from error
    sent = headers.get("Content-Range", "")
    if status == 206 and asked.span and not sent.startswith(f"bytes {asked.span[0]}-"):
        raise OSError(f"asked for bytes from {asked.span[0]}, the server sent {sent!r}")
    return _Got(status, body, _version(headers))


def _version(headers: Mapping[str, str]) -> str:
    """Return what an answer says of the file's version, if it is exact enough for If-Range.

    That is a strong ETag, or a date of change at least a second before the answer's own: a file
    that changes twice within a second keeps its date. Source: RFC 9110, 8.8.2.2 and 13.1.5.
    """
    from email.utils import parsedate_to_datetime

    tag = headers.get("ETag", "")
    if tag.startswith('"'):
        return tag
    changed = headers.get("Last-Modified", "")
    try:
        age = parsedate_to_datetime(headers.get("Date", "")) - parsedate_to_datetime(changed)
    except (TypeError, ValueError):
        return ""
    return changed if age.total_seconds() >= 1 else ""


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
