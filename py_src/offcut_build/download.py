"""Fetch one URL into a partial file, going on where an earlier try stopped.

An address that does not answer costs seconds once: its host is remembered for the rest of the run.
The partial file's bytes are trusted by nobody; the caller checks the hash of the whole.
"""

from __future__ import annotations

import http.client
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from offcut_build.console import Report
from offcut_build.errors import DiskError, SourceError

__all__ = ["Network", "download"]

CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0  # without a single byte
ATTEMPTS = 5  # a cut connection is resumed as long as it brings new bytes
CHUNK = 1 << 16  # bytes


@dataclass(slots=True)
class Network:
    """What one run has learnt about hosts, and how long it waits for them."""

    connect_seconds: float = CONNECT_SECONDS
    read_seconds: float = READ_SECONDS
    silent: dict[str, str] = field(default_factory=dict)  # host -> why it cannot be reached

    def opener(self) -> urllib.request.OpenerDirector:
        """Return an opener that gives up connecting sooner than reading."""
        connect, read = self.connect_seconds, self.read_seconds

        def hurry(kind: type[http.client.HTTPConnection]) -> type[http.client.HTTPConnection]:
            class Connection(kind):  # type: ignore[misc, valid-type]  # one body for two bases
                def connect(self) -> None:
                    self.timeout = connect
                    super().connect()
                    self.sock.settimeout(read)

            return Connection

        class Plain(urllib.request.HTTPHandler):
            def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
                return self.do_open(hurry(http.client.HTTPConnection), request)

        class Secure(urllib.request.HTTPSHandler):
            def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
                return self.do_open(hurry(http.client.HTTPSConnection), request)

        return urllib.request.build_opener(Plain, Secure)


class _CutError(Exception):
    """The connection ended before the file did."""


def download(url: str, part: Path, size: int, *, network: Network, report: Report) -> None:
    """Bring `part` to `size` bytes from `url`, from where it stands.

    Raises SourceError when the address cannot give them, DiskError when they cannot be written.
    """
    host = urllib.parse.urlsplit(url).netloc
    if host in network.silent:
        raise SourceError(f"{network.silent[host]} (not asked again in this run)")
    for _ in range(ATTEMPTS):
        before = _size(part)
        if before > size:
            part.unlink()
        if before == size:
            return
        try:
            _fetch_rest(url, part, size, network, report)
            return
        except _CutError as error:
            if _size(part) <= before:
                raise SourceError(f"connection cut at byte {before}: {error}") from error
        except urllib.error.HTTPError as error:
            error.close()
            if error.code != 416:
                raise SourceError(f"HTTP status {error.code}") from error
            part.unlink(missing_ok=True)  # the server's file is shorter than ours: start again
        except (OSError, http.client.HTTPException) as error:
            network.silent[host] = f"{host} cannot be reached: {_reason(error)}"
            raise SourceError(network.silent[host]) from error
    raise SourceError(f"connection cut {ATTEMPTS} times, {_size(part)} of {size} bytes are kept")


def _fetch_rest(url: str, part: Path, size: int, network: Network, report: Report) -> None:
    have = _size(part)
    headers = {"User-Agent": "offcut-build", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    request = urllib.request.Request(url, headers=headers)
    with network.opener().open(request, timeout=network.connect_seconds) as response:
        if have and not _continues(response, have):
            have = 0
        length = response.headers.get("Content-Length")
        if length is not None and have + int(length) != size:
            raise SourceError(f"the file there has {have + int(length)} bytes, expected {size}")
        _copy(response, part, have, size, report)


def _continues(response: Any, have: int) -> bool:
    """Tell whether the reply begins at byte `have`; a server may send the whole file instead."""
    if response.status != 206:
        return False
    if not str(response.headers.get("Content-Range", "")).startswith(f"bytes {have}-"):
        raise SourceError("the server's reply to a Range request does not begin where asked")
    return True


def _copy(response: Any, part: Path, have: int, size: int, report: Report) -> None:
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        file = part.open("ab" if have else "wb")
    except OSError as error:
        raise DiskError.of(part, error) from error
    with file:
        while True:
            try:
                chunk = response.read(CHUNK)
            except (OSError, http.client.HTTPException) as error:
                raise _CutError(_reason(error)) from error
            if not chunk:
                break
            have += len(chunk)
            if have > size:
                raise SourceError(f"the file there has more than the expected {size} bytes")
            try:
                file.write(chunk)
                file.flush()
            except OSError as error:
                raise DiskError.of(part, error) from error
            report(have)
    if have < size:
        raise _CutError("no more bytes came")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _reason(error: BaseException) -> str:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    return str(cause) or type(cause).__name__
