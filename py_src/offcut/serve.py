"""A local server for dist/: HTTP/1.1 on 127.0.0.1, standard library only.

It sends what a good static host would, so that what works here works there: the headers of the
folder's own `_headers` file (which, as on such hosts, is itself not served), MIME types that
browsers insist on, a strong ETag from the file's content, 304, Range and If-Range, and index.html
for folders. Nothing outside the folder is ever served. `python -m offcut.serve DIR` runs it;
`start(DIR)` runs it in a thread, for tests.
"""

from __future__ import annotations

import argparse
import hashlib
import mimetypes
import os
import re
import sys
import threading
import urllib.parse
import webbrowser
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO

from offcut.errors import OffcutError

__all__ = ["Server", "header_rules", "serve", "start"]

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".md": "text/markdown; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".safetensors": "application/octet-stream",
    ".svg": "image/svg+xml",
    ".ts": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".whl": "application/octet-stream",
    ".zip": "application/zip",
    "": "text/plain; charset=utf-8",
}
RULES_FILE = "_headers"
PORTS_TRIED = 20
CHUNK = 1 << 16  # bytes

Rules = list[tuple[str, list[tuple[str, str]]]]  # path pattern -> headers
OnRequest = Callable[[str, str], None]  # method, path with query


@dataclass(frozen=True, slots=True)
class Site:
    """What a server serves."""

    root: Path
    rules: Rules
    on_request: OnRequest | None = None
    tags: dict[tuple[Path, int, int], str] = field(default_factory=dict)  # by path, size, time

    def tag(self, path: Path, stat: os.stat_result) -> str:
        """Return the file's strong ETag; a file is hashed again only when it has changed."""
        key = (path, stat.st_size, stat.st_mtime_ns)
        if key not in self.tags:
            with path.open("rb") as file:
                self.tags[key] = f'"{hashlib.file_digest(file, "sha256").hexdigest()[:32]}"'
        return self.tags[key]


@dataclass(frozen=True, slots=True)
class Server:
    """A running server; a context manager that closes itself."""

    url: str  # with a final slash
    http: ThreadingHTTPServer
    thread: threading.Thread

    def close(self) -> None:
        """Stop serving and give the port back."""
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def start(
    folder: str | Path, port: int = 0, *, tries: int = 1, on_request: OnRequest | None = None
) -> Server:
    """Serve `folder` on 127.0.0.1 from a thread.

    port: 0 takes any free one. tries: how many ports from there on may be tried.
    on_request: called for every request, from the server's threads.
    Raises OffcutError when there is no such folder or no free port.
    """
    root = Path(folder).resolve()
    if not root.is_dir():
        raise OffcutError(f"{root}: no such folder", remedy="`python3 build.py dist` makes dist/")
    rules_file = root / RULES_FILE
    rules = header_rules(rules_file.read_text(encoding="utf-8")) if rules_file.exists() else []

    class Handler(_Handler):
        site = Site(root, rules, on_request)

    http = _bind(Handler, port, tries)
    thread = threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    return Server(f"http://127.0.0.1:{http.server_address[1]}/", http, thread)


def _bind(handler: type[BaseHTTPRequestHandler], port: int, tries: int) -> ThreadingHTTPServer:
    for number in range(port, port + tries):
        try:
            return _Http(("127.0.0.1", number), handler)
        except (OSError, OverflowError) as error:
            reason = str(error)
    last = f" to {port + tries - 1}" if tries > 1 else ""
    raise OffcutError(f"port {port}{last}: {reason}", remedy="name a free port with --port")


def header_rules(text: str) -> Rules:
    """Read the `_headers` format of Netlify and Cloudflare: a path line, then indented headers."""
    rules: Rules = []
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if not line[0].isspace():
            rules.append((line.strip(), []))
        elif rules and ":" in line:
            name, _, value = line.strip().partition(":")
            rules[-1][1].append((name.strip(), value.strip()))
    return rules


def headers_for(rules: Rules, path: str) -> dict[str, str]:
    """Return the headers of every rule that fits; one that stands twice is joined by commas."""
    headers: dict[str, str] = {}
    for pattern, rows in rules:
        if re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), path):
            for name, value in rows:
                headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    # Windows would let two servers share a port; elsewhere this frees a port that just closed.
    allow_reuse_address = os.name != "nt"
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay quiet about browsers that hang up early."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "offcut", ""
    timeout = 60  # seconds that a kept connection may idle
    disable_nagle_algorithm = True  # else a small file's body waits 40 ms for its head's receipt
    wbufsize = 1 << 16  # head and body in one packet; a longer chunk goes past the buffer
    site: Site

    def do_GET(self) -> None:
        """Send a file, a part of it, or why not."""
        if self.site.on_request is not None:
            self.site.on_request(self.command, self.path)
        found = self._find()
        if isinstance(found, HTTPStatus):
            return self._fail(found)
        if found.is_dir():
            place = found.relative_to(self.site.root).as_posix()
            there = {"Location": urllib.parse.quote(f"/{place}/")}
            return self._fail(HTTPStatus.MOVED_PERMANENTLY, there)
        try:
            with found.open("rb") as file:
                self._send(found, file)
        except FileNotFoundError:
            self._fail(HTTPStatus.NOT_FOUND)

    do_HEAD = do_GET

    def _find(self) -> Path | HTTPStatus:
        """Return the file that the request names, or a folder to redirect to, or why not."""
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        if "\0" in path or "\\" in path or not path.startswith("/"):
            return HTTPStatus.BAD_REQUEST
        root = self.site.root
        target = (root / path.lstrip("/")).resolve()
        if not target.is_relative_to(root) or target == root / RULES_FILE:
            return HTTPStatus.NOT_FOUND
        if target.is_dir() and not path.endswith("/"):
            return target
        if path.endswith("/"):
            target /= "index.html"
        return target if target.is_file() else HTTPStatus.NOT_FOUND

    def _send(self, path: Path, file: BinaryIO) -> None:
        stat = os.fstat(file.fileno())
        tag = self.site.tag(path, stat)
        if tag in self.headers.get("If-None-Match", "").replace(" ", "").split(","):
            return self._head(HTTPStatus.NOT_MODIFIED, {"ETag": tag})
        extra = {"ETag": tag, "Accept-Ranges": "bytes", "Content-Type": _type_of(path)}
        span = self._span(stat.st_size, tag)
        if span is None:
            extra["Content-Range"] = f"bytes */{stat.st_size}"
            return self._fail(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, extra)
        first, last, partial = span
        if partial:
            extra["Content-Range"] = f"bytes {first}-{last}/{stat.st_size}"
        extra["Content-Length"] = str(last - first + 1)
        self._head(HTTPStatus.PARTIAL_CONTENT if partial else HTTPStatus.OK, extra)
        if self.command != "HEAD":
            file.seek(first)
            for chunk in _chunks(file, last - first + 1):
                self.wfile.write(chunk)

    def _span(self, size: int, tag: str) -> tuple[int, int, bool] | None:
        """Return (first, last, is a part) by Range and If-Range; None when it lies outside."""
        whole = (0, size - 1, False)
        wanted = self.headers.get("Range", "").replace(" ", "")
        match = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", wanted)
        if match is None or self.headers.get("If-Range", tag) != tag or match[0] == "bytes=-":
            return whole
        if not match[1]:
            first, last = max(0, size - int(match[2])), size - 1
        else:
            first, last = int(match[1]), min(int(match[2] or size), size - 1)
            if match[2] and int(match[2]) < first:
                return whole
        return (first, last, True) if first < size and first <= last else None

    def _head(self, status: HTTPStatus, extra: dict[str, str]) -> None:
        self.send_response(status)
        path = urllib.parse.urlsplit(self.path).path
        for name, value in (headers_for(self.site.rules, path) | extra).items():
            self.send_header(name, value)
        self.end_headers()

    def _fail(self, status: HTTPStatus, extra: dict[str, str] | None = None) -> None:
        body = f"{status.value} {status.phrase}\n".encode()
        kind = {"Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(body))}
        self._head(status, (extra or {}) | kind)
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing; `on_request` is there for who wants to know."""


def _type_of(path: Path) -> str:
    known = TYPES.get(path.suffix.lower())
    return known or mimetypes.guess_type(path.name)[0] or "application/octet-stream"


def _chunks(file: BinaryIO, count: int) -> Iterator[bytes]:
    while count > 0 and (chunk := file.read(min(CHUNK, count))):
        count -= len(chunk)
        yield chunk


def serve(folder: Path, *, port: int | None = None, open_page: bool = False) -> None:
    """Serve a folder until interrupted. port: None takes the first free one from 8000.

    Raises OffcutError when the folder or the port cannot be had.
    """
    tries = PORTS_TRIED if port is None else 1
    server = start(folder, 8000 if port is None else port, tries=tries)
    print(f"serving {folder} at {server.url}  (Ctrl+C stops)", flush=True)
    if open_page:
        webbrowser.open(server.url)
    with server:
        try:
            server.thread.join()
        except KeyboardInterrupt:
            print()


def main(arguments: list[str] | None = None) -> int:
    """Run this module's own command line, which needs no numpy."""
    parser = argparse.ArgumentParser(prog="python -m offcut.serve", description="Serve a folder.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, help="default: the first free one from 8000")
    parser.add_argument("--open", action="store_true", help="open it in the browser")
    options = parser.parse_args(arguments)
    try:
        serve(options.folder, port=options.port, open_page=options.open)
    except OffcutError as error:
        print(f"error: {error}\n  {error.remedy}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
