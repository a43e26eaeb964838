"""A local HTTP server that serves one file the way bad servers and bad networks do."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Faults:
    """What the server does; the tests change it between requests."""

    body: bytes
    status: int = 0  # answer every request with it; 0 is as it should be
    cut_after: int | None = None  # bytes of body after which a connection is closed...
    cuts: int = 1  # ...in so many requests
    ranges: bool = True  # honour Range
    shift: int = 0  # begin a partial reply so many bytes off
    lengths: bool = True  # send Content-Length
    seen: list[str] = field(default_factory=list)  # the Range header of each request


@contextmanager
def faulty_server(faults: Faults) -> Iterator[str]:
    """Serve on 127.0.0.1 and yield the file's URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self, faults)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/file.bin"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def answer(handler: BaseHTTPRequestHandler, faults: Faults) -> None:
    wanted = handler.headers.get("Range", "")
    faults.seen.append(wanted)
    body, first, status = faults.body, 0, 200
    if faults.ranges and (match := re.fullmatch(r"bytes=(\d+)-", wanted)):
        first = int(match[1]) + faults.shift
        status = 206 if first < len(body) else 416
    if faults.status:
        status = faults.status
    handler.send_response(status)
    data = body[first:] if status in (200, 206) else b""
    if status == 206:
        handler.send_header("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}")
    if faults.lengths:
        handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    if faults.cut_after is not None and faults.cuts > 0:
        faults.cuts -= 1
        data = data[: faults.cut_after]
    handler.wfile.write(data)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
