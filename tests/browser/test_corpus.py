"""The page's worker decodes files to the pixels that native Pillow gives, or says why not.

All files, over a thousand, go to the worker as one, and a hash of each one's pixels comes back.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from offcut.errors import ImageError
from offcut.imaging.files import decode
from offcut.imaging.sniff import read_header
from tests.browser.python_page import PythonPage
from tests.corpus import ladders, png_suite, turned, unusual
from tests.corpus.bombs import bombs
from tests.corpus.pillow_images import pillow_images
from tests.record import record

SECONDS = 2.0  # for one file,
ATTEMPTS = 4  # once in so many, since the machine may do other things too
LEAST_FILES = 1_000
SOURCE = """
import base64, hashlib, time
import js
from offcut.errors import OffcutError
from offcut.web import photo

whole = await (await js.fetch("/corpus.bin")).arrayBuffer()
rows, at = [], 0
for name, size in FILES:
    blob = js.Blob.new([whole.slice(at, at + size)])
    at += size
    for attempt in range(ATTEMPTS):
        begin = time.perf_counter()
        try:
            pixels = (await photo.decode(blob, name, load_package)).pixels
            row = [name, hashlib.sha256(pixels.tobytes()).hexdigest(), list(pixels.shape)]
        except OffcutError as error:
            row, pixels = [name, "", str(error)], None
        row.append(time.perf_counter() - begin)
        if row[-1] < SECONDS:
            break
    wanted = pixels is not None and name in IN_FULL
    rows.append([*row, base64.b64encode(pixels.tobytes()).decode() if wanted else ""])
rows
"""
# Of these both decoders make something, not the same, and none is right: name -> why.
DISPUTED = {
    "1_trns.png": "its transparent colour is none that one bit can hold",
    "avif/star.avifs": "of an AVIF animation the alpha differs by decoder",
    "bmp/b/badrle.bmp": "its run lengths are damaged",
    "bmp/q/pal4rletrns.bmp": "its run lengths leave pixels out, which have no colour",
    "bmp/q/pal8rletrns.bmp": "the same",
    "mmap_error.bmp": "its pixels begin inside its palette",
}
# Kinds that only the browser decodes, or rounds in its own way: levels may differ by this much.
ROUNDING = {"AVIF": 3, "JPEG": 2, "BMP": 1}


@dataclass(frozen=True)
class Outcome:
    """What came of a file in the page."""

    sha256: str  # of the pixels; "" where they are none
    result: object  # the shape, or the error's words
    seconds: float
    pixels: str  # base64, where they were asked for


def cases() -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of every file."""
    for png in png_suite.files():
        yield png.name, png_suite.encode(png)
    yield from png_suite.corrupt()
    yield from ladders.cut()
    yield from ladders.flipped()
    yield from ((name, data) for name, data, _ in turned.turned())
    yield from unusual.inks()
    yield from ((name, data) for name, data, _ in unusual.several())
    yield "twelve-bits", unusual.twelve_bits()
    yield from ((f"bomb-{name}", data) for name, data in bombs())
    yield from pillow_images()


@pytest.fixture(scope="module")
def corpus() -> dict[str, bytes]:
    return dict(cases())


@pytest.fixture(scope="module")
def native(corpus: dict[str, bytes]) -> dict[str, np.ndarray | str]:
    """What CPython makes of each file: pixels, or an error's words."""
    results: dict[str, np.ndarray | str] = {}
    for name, data in corpus.items():
        try:
            results[name] = decode(data, name)
        except ImageError as error:
            results[name] = str(error)
    return results


@pytest.fixture(scope="module")
def page(
    python: PythonPage, corpus: dict[str, bytes], native: dict[str, np.ndarray | str]
) -> dict[str, Outcome]:
    """What the page's worker makes of each."""
    (python.folder / "corpus.bin").write_bytes(b"".join(corpus.values()))
    files = [[name, len(data)] for name, data in corpus.items()]
    rounded = [name for name in corpus if rounding(corpus[name], name) and shape(native[name])]
    given = f"FILES, IN_FULL = {files!r}, set({rounded!r})\n"
    given += f"SECONDS, ATTEMPTS = {SECONDS}, {ATTEMPTS}\n"
    rows = python.run(given + SOURCE)
    assert isinstance(rows, list)
    return {name: Outcome(*row) for name, *row in rows}


def rounding(data: bytes, name: str) -> int:
    """Return by how much levels of a file may differ."""
    try:
        return ROUNDING.get(read_header(data, name).kind, 0)
    except ImageError:
        return 0


def shape(result: np.ndarray | str) -> list[int]:
    return [] if isinstance(result, str) else list(result.shape)


@pytest.mark.slow
def test_I1_I2_every_file_ends_in_pixels_or_an_error_with_its_name(
    corpus: dict[str, bytes], page: dict[str, Outcome]
) -> None:
    record("files: tried in the page's worker", len(page))
    assert page.keys() == corpus.keys() and len(page) >= LEAST_FILES
    for name, outcome in page.items():
        assert outcome.sha256 or name in str(outcome.result)
    assert [name for name, outcome in page.items() if outcome.seconds > SECONDS] == []


@pytest.mark.slow
def test_I5_I6_I8_pixels_are_those_that_native_pillow_gives(
    corpus: dict[str, bytes], page: dict[str, Outcome], native: dict[str, np.ndarray | str]
) -> None:
    equal, wrong = 0, []
    for name, there in native.items():
        here = page[name]
        if isinstance(there, str) or not here.sha256 or name in DISPUTED:
            continue
        if here.sha256 == hashlib.sha256(there.tobytes()).hexdigest() or nearly(
            here, there, rounding(corpus[name], name)
        ):
            equal += 1
        else:
            wrong.append(name)

    record("files: with the pixels of native Pillow there", equal)
    assert wrong == []


def nearly(here: Outcome, there: np.ndarray, most: int) -> bool:
    """Tell whether pixels differ by `most` levels at most, where they are opaque."""
    if not most or here.result != list(there.shape):
        return False
    pixels = np.frombuffer(base64.b64decode(here.pixels), np.uint8).reshape(there.shape)
    difference = np.abs(pixels.astype(int) - there)[there[..., 3] == 255]
    return int(difference.max(initial=0)) <= most


@pytest.mark.slow
def test_I2_what_cpython_refuses_the_page_does_too(
    page: dict[str, Outcome], native: dict[str, np.ndarray | str], corpus: dict[str, bytes]
) -> None:
    taken = [
        name
        for name, there in native.items()
        if isinstance(there, str) and page[name].sha256 and not may_take(name, there)
    ]
    assert taken == []


def may_take(name: str, refusal: str) -> bool:
    """Tell whether browsers may read a file that Pillow does not, or that has a flipped bit."""
    return (
        "a kind of BMP that cannot be read" in refusal or "-flip-" in name or "MAX_TEXT" in refusal
    )


@pytest.mark.slow
def test_I8_only_rare_kinds_of_tiff_are_refused_by_the_page_alone(
    page: dict[str, Outcome], native: dict[str, np.ndarray | str]
) -> None:
    refused = [str(page[name].result) for name in native if shape(native[name])]
    refused = [text for text in refused if text.startswith(tuple(native)) and "TIFF" not in text]
    assert refused == []
