"""The little of Firefox's Marionette protocol that the tests need.

Each message is `<length>:<JSON>`: [0, id, command, parameters] to Firefox, [1, id, error, result]
back. Firefox writes the port it listens on into its profile.
"""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

START_SECONDS = 90.0
ANSWER_SECONDS = 120.0
ELEMENT = (
    "element-6066-11e4-a52e-4f735466cecf"  # the key of an element, from the WebDriver standard
)
PREFERENCES: dict[str, Any] = {
    "marionette.port": 0,
    "app.normandy.enabled": False,
    "app.update.disabledForTesting": True,
    "browser.newtabpage.enabled": False,
    "browser.safebrowsing.downloads.remote.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.page": 0,
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,",
    "startup.homepage_welcome_url": "about:blank",
    "toolkit.telemetry.enabled": False,
}


class Marionette:
    """A connection to a Firefox; commands are WebDriver's."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), ANSWER_SECONDS)
        self.stream = self.socket.makefile("rb")
        self.count = 0
        self._receive()  # a greeting
        self.command("WebDriver:NewSession", {})

    def command(self, name: str, parameters: dict[str, Any]) -> Any:
        """Send a command and return its value. Raises RuntimeError with Firefox's words."""
        self.count += 1
        message = json.dumps([0, self.count, name, parameters]).encode()
        self.socket.sendall(b"%d:%b" % (len(message), message))
        _, _, error, result = self._receive()
        if error:
            raise RuntimeError(f"{name}: {error['error']}: {error['message']}")
        return result.get("value") if isinstance(result, dict) else result

    def _receive(self) -> Any:
        digits = b""
        while (digit := self.stream.read(1)) != b":":
            digits += digit
        return json.loads(self.stream.read(int(digits)))

    def open(self, url: str) -> None:
        """Go to an address."""
        self.command("WebDriver:Navigate", {"url": url})

    def run(self, script: str) -> Any:
        """Run the body of a function in the page and return what it returns."""
        return self.command("WebDriver:ExecuteScript", {"script": script, "args": []})

    def choose(self, file: Path) -> None:
        """Put a file into the page's file input."""
        query = {"using": "css selector", "value": ".pick"}
        element = self.command("WebDriver:FindElement", query)[ELEMENT]
        self.command("WebDriver:ElementSendKeys", {"id": element, "text": str(file)})

    def close(self) -> None:
        """Close the connection."""
        self.stream.close()
        self.socket.close()


@contextmanager
def firefox(program: str, profile: Path) -> Iterator[Marionette]:
    """Run a headless Firefox with a new profile in the folder `profile`."""
    profile.mkdir()
    rows = [f"user_pref({json.dumps(k)}, {json.dumps(v)});" for k, v in PREFERENCES.items()]
    (profile / "user.js").write_text("\n".join(rows))
    call = [program, "--marionette", "--headless", "--no-remote", "--profile", str(profile)]
    with subprocess.Popen(call, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            marionette = Marionette(_port(profile / "MarionetteActivePort", process))
            try:
                yield marionette
            finally:
                marionette.close()
        finally:
            process.terminate()


def _port(file: Path, process: subprocess.Popen[bytes]) -> int:
    end = time.monotonic() + START_SECONDS
    while not (file.exists() and file.read_text().strip()):
        assert process.poll() is None, "Firefox ended at once"
        assert time.monotonic() < end, "Firefox does not open its Marionette port"
        time.sleep(0.1)
    return int(file.read_text())
