"""A second origin on 127.0.0.1 that notes whatever reaches it: requests, datagrams, connections."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

STUN = b"\x21\x12\xa4\x42"  # the magic cookie of RFC 5389, bytes 4 to 8 of each message
QUIET = 0.2  # seconds between looks at whether to stop


@dataclass
class Listener:
    """What has come: names of ways out, as tests/browser/pages/leak.js has them."""

    url: str = ""
    hits: set[str] = field(default_factory=set)
    connections: int = 0
    requests: int = 0

    @property
    def ways(self) -> set[str]:
        """The hits, and a connection that brought no request."""
        bare = self.connections > self.requests
        return self.hits | ({"page-preconnect"} if bare else set())


@contextmanager
def listening() -> Iterator[Listener]:
    """Listen on one port for TCP and UDP."""
    listener, stop = Listener(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def handle(self) -> None:
            listener.connections += 1
            super().handle()

        def do_GET(self) -> None:
            listener.requests += 1
            if "/hit/" in self.path:  # else the icon of the page that a navigation leads to
                listener.hits.add(self.path.partition("/hit/")[2])
            self.send_response(200)
            self.send_header("Access-Control-Allow-Origin", "*")
            kind = "text/javascript" if "import" in self.path else "text/plain"
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_HEAD = do_OPTIONS = do_GET

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads, server.block_on_close = True, False
    port = server.server_address[1]
    listener.url = f"http://127.0.0.1:{port}"
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(("127.0.0.1", port))
    datagrams.settimeout(QUIET)

    def receive() -> None:
        while not stop.is_set():
            try:
                data = datagrams.recv(2048)
            except TimeoutError:
                continue
            listener.hits.add("page-rtc" if data[4:8] == STUN else "page-webtransport")

    threads = [
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True),
        threading.Thread(target=receive, daemon=True),
    ]
    for thread in threads:
        thread.start()
    try:
        yield listener
    finally:
        stop.set()
        server.shutdown()
        server.server_close()
        for thread in threads:
            thread.join()
        datagrams.close()
