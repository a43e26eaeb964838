"""The page as tests see it: its state on <html>, its data-testid hooks. Works in Playwright.

wait_for_function would need eval, which the page's content security policy forbids: tests poll
data-state instead.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Error, Page

BOOT_SECONDS = 180.0  # a cold start on a machine that does other things too
PHOTO_SECONDS = 180.0
POLL = 0.05


@dataclass(frozen=True)
class Download:
    """A file that the page gave out."""

    name: str
    data: bytes

    @property
    def pixels(self) -> np.ndarray:
        """The PNG's pixels, u8 RGBA (H, W, 4); fails when it is not RGBA."""
        image = Image.open(io.BytesIO(self.data))
        assert (image.format, image.mode) == ("PNG", "RGBA")
        return np.asarray(image)


@dataclass(frozen=True)
class App:
    """The page in a Playwright page."""

    page: Page

    @property
    def state(self) -> str:
        """What <html data-state> says."""
        return self.attribute("state")

    def attribute(self, name: str) -> str:
        """Return <html data-`name`>, "" when it is not there or the page is being left."""
        return self.evaluate("n => document.documentElement.dataset[n] ?? ''", name)

    def evaluate(self, script: str, argument: Any = None) -> str:
        """Return a script's value as text, "" while the page is being left."""
        try:
            return str(self.page.evaluate(script, argument))
        except Error as error:
            if "navigation" in str(error):
                return ""
            raise

    def wait(self, *states: str, seconds: float = PHOTO_SECONDS) -> str:
        """Wait until data-state is one of `states`, and return it; it may have changed by then."""
        seen: list[str] = []

        def holds() -> bool:
            seen.append(self.state)
            return seen[-1] in states

        self.wait_until(holds, f"data-state is {states}", seconds)
        return seen[-1]

    def wait_until(self, holds: Callable[[], bool], what: str, seconds: float) -> None:
        """Wait until `holds()`."""
        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end, f"{what}: not within {seconds} s; {self.describe()}"
            time.sleep(POLL)

    def describe(self) -> str:
        """Return what the page shows, for failed tests."""
        return f"state {self.state}; error: {self.error}; at work: {self.text('.busy-text')}"

    def text(self, selector: str) -> str:
        """Return the text of the first element."""
        return (self.page.text_content(selector) or "").strip()

    @property
    def error(self) -> str:
        """The error card's words, "" while it is hidden."""
        card = self.page.get_by_test_id("error")
        return " ".join(card.inner_text().split()) if card.is_visible() else ""

    def choose(self, *files: Path | tuple[str, bytes]) -> None:
        """Put files into the file input: paths, or names with bytes."""
        payload: list[Any] = [
            str(file)
            if isinstance(file, Path)
            else {"name": file[0], "mimeType": "image/png", "buffer": file[1]}
            for file in files
        ]
        self.page.get_by_test_id("file-input").set_input_files(payload)

    def cut_out(self, file: Path | tuple[str, bytes]) -> Download:
        """Choose a file, wait for its cutout, download it."""
        self.choose(file)
        state = self.wait("done", "error")
        assert state == "done", self.describe()
        return self.download()

    def fail_with(self, file: Path | tuple[str, bytes]) -> str:
        """Choose a file that cannot be used, and return the error."""
        self.choose(file)
        assert self.wait("done", "error") == "error"
        return self.error

    def download(self) -> Download:
        """Download what is on the stage."""
        with self.page.expect_download() as event:
            self.page.get_by_test_id("download").click()
        return Download(event.value.suggested_filename, Path(event.value.path()).read_bytes())

    def start_over(self) -> None:
        """Forget all photos."""
        self.page.evaluate("document.querySelector('.clear').click()")
        self.wait("ready", seconds=BOOT_SECONDS)


def png(pixels: np.ndarray, **options: Any) -> bytes:
    """Return a PNG of u8 pixels, made by Pillow."""
    return encoded(Image.fromarray(pixels), "PNG", **options)


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    """Return an image file."""
    sink = io.BytesIO()
    image.save(sink, form, **options)
    return sink.getvalue()


def outside(urls: Iterable[str], origin: str) -> list[str]:
    """Return the addresses that are not on `origin`."""
    inside = (origin, f"blob:{origin}", "blob:null")
    return [url for url in urls if not url.startswith(inside)]
