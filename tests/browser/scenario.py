"""What every engine must do, written once against the least that a driver offers."""

from __future__ import annotations

import base64
import time
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

import offcut
from tests.browser.app import BOOT_SECONDS, PHOTO_SECONDS, encoded

# Alpha of the page and of CPython on the same pixels: u8 arithmetic may round differently by one.
ALPHA_ROUNDING = 1
POLL = 0.2

READ_ALPHA = """
const image = document.querySelector('img.after');
const canvas = document.createElement('canvas');
canvas.width = image.naturalWidth;
canvas.height = image.naturalHeight;
const context = canvas.getContext('2d');
context.drawImage(image, 0, 0);
const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
let alpha = '';
for (let k = 3; k < data.length; k += 4) alpha += String.fromCharCode(data[k]);
return [canvas.width, canvas.height, btoa(alpha)];
"""


class Driver(Protocol):
    """A browser that shows one page."""

    def open(self, url: str) -> None:
        """Go to an address."""

    def run(self, script: str) -> Any:
        """Run the body of a function in the page and return what it returns."""

    def choose(self, file: Path) -> None:
        """Put a file into the page's file input."""


def check_engine(driver: Driver, url: str, samples: Path, folder: Path) -> None:
    """Cut out a photo, refuse a broken one, cut out a turned one."""
    driver.open(url)
    assert wait(driver, "ready", "error", seconds=BOOT_SECONDS) == "ready", describe(driver)
    check_cutout(driver, samples, folder)
    check_broken_photo(driver, samples, folder)
    check_turned_photo(driver, samples, folder)
    check_photo_with_alpha(driver, samples, folder)


def check_cutout(driver: Driver, samples: Path, folder: Path) -> None:
    photo = np.asarray(Image.open(samples / "cat.jpg").convert("RGB"))
    file = folder / "cat.png"
    file.write_bytes(encoded(Image.fromarray(photo), "PNG"))

    alpha = cut_out(driver, file)

    assert driver.run("return document.querySelector('.download').download") == "cat-offcut.png"
    assert np.abs(alpha.astype(int) - expected_alpha(driver, photo)).max() <= ALPHA_ROUNDING


def check_broken_photo(driver: Driver, samples: Path, folder: Path) -> None:
    """A cut PNG, which Firefox and WebKit would fill up with white or nothing."""
    file = folder / "broken.png"
    file.write_bytes(encoded(Image.open(samples / "cat.jpg"), "PNG")[:60_000])

    start_over(driver)
    driver.choose(file)

    assert wait(driver, "error", "done") == "error"
    assert "broken.png is damaged: it ends before the picture does" in describe(driver)


def check_turned_photo(driver: Driver, samples: Path, folder: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    file = folder / "turned.jpg"
    file.write_bytes(encoded(Image.open(samples / "cat.jpg"), "JPEG", exif=exif.tobytes()))

    assert cut_out(driver, file).shape == (451, 300)


def check_photo_with_alpha(driver: Driver, samples: Path, folder: Path) -> None:
    photo = np.array(Image.open(samples / "cat.jpg").convert("RGBA"))
    photo[..., 3] = np.linspace(0, 255, photo.shape[1]).astype(np.uint8)
    file = folder / "see-through.png"
    file.write_bytes(encoded(Image.fromarray(photo), "PNG"))

    alpha = cut_out(driver, file)

    assert np.abs(alpha.astype(int) - expected_alpha(driver, photo)).max() <= ALPHA_ROUNDING


def cut_out(driver: Driver, file: Path) -> np.ndarray:
    """Return the cutout's alpha, u8 (H, W)."""
    start_over(driver)
    driver.choose(file)
    assert wait(driver, "done", "error") == "done", describe(driver)
    end = time.monotonic() + 10
    while not driver.run("return document.querySelector('img.after').complete"):
        assert time.monotonic() < end
        time.sleep(POLL)
    width, height, alpha = driver.run(READ_ALPHA)
    return np.frombuffer(base64.b64decode(alpha), np.uint8).reshape(height, width)


def expected_alpha(driver: Driver, photo: np.ndarray) -> np.ndarray:
    """Return what CPython makes of the same pixels with the same model and backend."""
    script = "const { model, backend } = document.documentElement.dataset; return [model, backend]"
    model, backend = driver.run(script)
    session = offcut.new_session(model, backend=backend)
    try:
        return offcut.remove(photo, session=session)[..., 3]
    finally:
        session.close()


def start_over(driver: Driver) -> None:
    driver.run("document.querySelector('.clear').click()")
    wait(driver, "ready")


def wait(driver: Driver, *states: str, seconds: float = PHOTO_SECONDS) -> str:
    """Wait until data-state is one of `states`, and return it."""
    end = time.monotonic() + seconds
    while (state := state_of(driver)) not in states:
        assert time.monotonic() < end, f"{states}: not within {seconds} s; {describe(driver)}"
        time.sleep(POLL)
    return state


def wait_for(driver: Driver, name: str, value: str, seconds: float = 30.0) -> None:
    """Wait until <html data-`name`> is `value`."""
    end = time.monotonic() + seconds
    script = f"return document.documentElement.dataset.{name} ?? ''"
    while (there := driver.run(script)) != value:
        assert time.monotonic() < end, f"data-{name} is {there!r}; {describe(driver)}"
        time.sleep(POLL)


def state_of(driver: Driver) -> str:
    return str(driver.run("return document.documentElement.dataset.state"))


def describe(driver: Driver) -> str:
    """Return what the page shows, for failed tests."""
    script = "return ['.failure', '.boot-text', '.busy-text'].map(s => document.querySelector(s)"
    parts = driver.run(script + ".textContent.split(/\\s+/).join(' '))")
    return f"{state_of(driver)}: {'; '.join(parts)}"
