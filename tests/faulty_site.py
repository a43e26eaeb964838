"""A local site that serves a folder as offcut.serve does, except where it is told to fail."""

from __future__ import annotations

import gzip
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from offcut.serve import TYPES, header_rules, headers_for

PAGE = b"<!doctype html><title>Sign in to this network</title>"


@dataclass
class Answer:
    """What is sent; a fault changes it."""

    body: bytes
    type: str
    status: int = 200
    cut_at: int | None = None  # bytes of the body after which the connection is closed
    stall: bool = False  # never answer
    headers: dict[str, str] = field(default_factory=dict)  # beside those that are always sent


Fault = Callable[[Answer], None]


def missing(answer: Answer) -> None:
    """Answer 404."""
    answer.status, answer.body = 404, b"not found"


def late(answer: Answer) -> None:
    """Answer after everything else has come."""
    time.sleep(1)


def cut(answer: Answer) -> None:
    """Close the connection halfway."""
    answer.cut_at = len(answer.body) // 2


def shortened(answer: Answer) -> None:
    """Serve half of the file as if it were all."""
    answer.body = answer.body[: len(answer.body) // 2]


def flipped(answer: Answer) -> None:
    """Change one bit in the middle."""
    body = bytearray(answer.body)
    body[len(body) // 2] ^= 1
    answer.body = bytes(body)


def recoded(answer: Answer) -> None:
    """Compress and relabel, as proxies do that mean well, with a clock that is wrong."""
    if not answer.type.startswith("image/"):
        answer.body = gzip.compress(answer.body, 1)
        answer.headers["Content-Encoding"] = "gzip"
    if answer.type.startswith("text/"):
        answer.type = f"{answer.type.partition(';')[0]}; charset=windows-1251"
    answer.headers |= {"Last-Modified": "Fri, 01 Jan 2100 00:00:00 GMT", "Age": "999999999"}
    answer.headers |= {"Expires": "Thu, 01 Jan 1970 00:00:00 GMT", "Via": "1.1 a proxy"}


def before(script: str) -> Fault:
    """Return a fault that runs `script` before the script that is asked for."""

    def changed(answer: Answer) -> None:
        answer.body = script.encode() + b"\n" + answer.body

    return changed


def behind(script: str) -> Fault:
    """Return a fault that runs `script` after the script that is asked for."""

    def changed(answer: Answer) -> None:
        answer.body += b"\n" + script.encode()

    return changed


def plain_text(answer: Answer) -> None:
    """Serve the right bytes as text/plain."""
    answer.type = "text/plain"


def web_page(answer: Answer) -> None:
    """Serve a page in its place, with status 200, as captive portals do."""
    answer.body, answer.type = PAGE, "text/html"


def stalled(answer: Answer) -> None:
    """Accept the request, and never answer it."""
    answer.stall = True


@dataclass
class Site:
    """A folder, the faults of single files, and what was asked for."""

    folder: Path
    faults: dict[str, Fault] = field(default_factory=dict)  # path -> fault
    times: dict[str, int] = field(default_factory=dict)  # path -> how often, when not for ever
    everywhere: Fault | None = None  # befalls every file
    ranges: bool = True  # honour Range
    conditions: bool = True  # honour If-Range
    asked_if: list[str] = field(default_factory=list)  # If-Range headers, of all that had one
    seen: list[tuple[str, str]] = field(default_factory=list)  # path, Range header
    closing: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def answer(self, path: str) -> Answer:
        """Return what is to be sent for `path`, faults included."""
        file = self.folder / (path or "index.html")
        if not file.is_file():
            return Answer(b"not found", "text/plain", 404)
        answer = Answer(file.read_bytes(), TYPES.get(file.suffix, "application/octet-stream"))
        left = self.times.get(path, 1)
        if path in self.faults and left > 0:
            if path in self.times:
                self.times[path] = left - 1
            self.faults[path](answer)
        if self.everywhere:
            self.everywhere(answer)
        return answer


@contextmanager
def faulty_site(folder: Path, **options: Any) -> Iterator[Site]:
    """Serve `folder` on 127.0.0.1."""
    site = Site(folder, **options)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, site))
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_address[1]}/"
    try:
        yield site
    finally:
        site.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, site: Site, *arguments: Any) -> None:
        self.site = site
        super().__init__(*arguments)

    def do_GET(self) -> None:
        path = self.path.partition("?")[0].lstrip("/")
        wanted = self.headers.get("Range", "")
        self.site.seen.append((path, wanted))
        answer = self.site.answer(path)
        if answer.stall:
            self.site.closing.wait(120)
            return
        span = re.fullmatch(r"bytes=(\d+)-(\d+)", wanted) if self._ranged(answer) else None
        data = answer.body
        if span and answer.status == 200 and "Content-Encoding" not in answer.headers:
            begin, end = int(span[1]), min(int(span[2]) + 1, len(data))
            answer.status = 206
            content_range = f"bytes {begin}-{end - 1}/{len(data)}"
            data = data[begin:end]
        self.send_response(answer.status)
        rules = self.site.folder / "_headers"
        if rules.exists():
            for name, value in headers_for(header_rules(rules.read_text()), self.path).items():
                self.send_header(name, value)
        if answer.status == 206:
            self.send_header("Content-Range", content_range)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", answer.type)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self._send(data if answer.cut_at is None else data[: answer.cut_at])

    def _ranged(self, answer: Answer) -> bool:
        """Tell whether Range is to be honoured."""
        condition = self.headers.get("If-Range", "")
        self.site.asked_if += [condition] if condition else []
        held = condition in ("", answer.headers.get("ETag"), answer.headers.get("Last-Modified"))
        return self.site.ranges and (held or not self.site.conditions)

    def _send(self, data: bytes) -> None:
        try:
            self.wfile.write(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the browser has seen enough

    def log_message(self, *_: Any) -> None:
        pass
