"""The little of the W3C WebDriver protocol that the tests need, and WebKitGTK's driver for it."""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

START_SECONDS = 60.0
ANSWER_SECONDS = 120.0
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key of an element, from the standard


class WebDriver:
    """A session with a browser."""

    def __init__(self, address: str, capabilities: dict[str, Any]) -> None:
        self.address = address
        asked = {"capabilities": {"alwaysMatch": capabilities}}
        self.session = self._post("/session", asked)["sessionId"]

    def open(self, url: str) -> None:
        """Go to an address."""
        self._post(f"/session/{self.session}/url", {"url": url})

    def run(self, script: str) -> Any:
        """Run the body of a function in the page and return what it returns."""
        return self._post(f"/session/{self.session}/execute/sync", {"script": script, "args": []})

    def choose(self, file: Path) -> None:
        """Put a file into the page's file input."""
        query = {"using": "css selector", "value": ".pick"}
        element = self._post(f"/session/{self.session}/element", query)[ELEMENT]
        self._post(f"/session/{self.session}/element/{element}/value", {"text": str(file)})

    def close(self) -> None:
        """End the browser."""
        self._send(
            urllib.request.Request(f"{self.address}/session/{self.session}", method="DELETE")
        )

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        headers = {"Content-Type": "application/json"}
        data = json.dumps(body).encode()
        return self._send(urllib.request.Request(self.address + path, data, headers))

    def _send(self, request: urllib.request.Request) -> Any:
        """Return the answer's value. Raises RuntimeError with the driver's words."""
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as response:
                return json.load(response)["value"]
        except urllib.error.HTTPError as error:
            with error:
                raise RuntimeError(f"{request.full_url}: {error.read().decode()}") from error


@contextmanager
def webkit(driver: str, browser: str, env: dict[str, str]) -> Iterator[WebDriver]:
    """Run WebKitGTK's MiniBrowser, at `browser`, by its WebDriver, at `driver`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    call = [driver, f"--port={port}"]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(call, stdout=quiet, stderr=quiet, env=env) as process:
        try:
            _wait_for(port, process)
            options = {"binary": browser, "args": ["--automation"]}
            session = WebDriver(f"http://127.0.0.1:{port}", {"webkitgtk:browserOptions": options})
            try:
                yield session
            finally:
                session.close()
        finally:
            process.terminate()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_SECONDS
    while True:
        assert process.poll() is None, "the driver ended at once"
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert time.monotonic() < end, "the driver does not open its port"
            time.sleep(0.1)
