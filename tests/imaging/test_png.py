"""PNGs that every reader reads back exactly, small and in pieces."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage import data

from offcut.errors import ImageError
from offcut.imaging import png
from offcut.imaging.sniff import check_whole, read_header


def read(encoded: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(encoded)) as image:
        image.load()
        return np.asarray(image)


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    channels=st.sampled_from([0, 3, 4]),
    steps=st.integers(1, 256),
    seed=st.integers(0, 99),
)
def test_what_is_written_is_read(
    height: int, width: int, channels: int, steps: int, seed: int
) -> None:
    shape = (height, width, channels) if channels else (height, width)
    pixels = np.random.default_rng(seed).integers(0, steps, shape, dtype=np.uint8)
    assert np.array_equal(read(png.encode(pixels)), pixels)


def test_bands_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = data.astronaut()[:101]
    monkeypatch.setattr(png, "BAND_BYTES", 5000)
    monkeypatch.setattr(png, "CHUNK", 999)
    assert np.array_equal(read(png.encode(pixels)), pixels)


def test_pieces_tell_how_many_rows_are_done(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.zeros((10, 100, 4), np.uint8)
    monkeypatch.setattr(png, "BAND_BYTES", 400 * 4)
    pieces = list(png.deflated(pixels))
    assert [done for done, _ in pieces] == [4, 8, 10, 10]
    assert png.wrap(b"".join(part for _, part in pieces), pixels.shape) == png.encode(pixels)


def test_a_photo_is_about_as_small_as_pillow_makes_it() -> None:
    pixels = data.astronaut()
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, "PNG")
    assert len(png.encode(pixels)) < 1.12 * len(sink.getvalue())


def test_what_is_transparent_costs_next_to_nothing() -> None:
    assert len(png.encode(np.zeros((1000, 1000, 4), np.uint8))) < 20_000


def test_every_chunk_has_its_checksum() -> None:
    encoded = png.encode(data.chelsea())
    check_whole(encoded, read_header(encoded, "result"), "result")
    damaged = bytearray(encoded)
    damaged[len(damaged) // 2] ^= 1
    with pytest.raises(ImageError, match="checksum"):
        check_whole(bytes(damaged), read_header(encoded, "result"), "result")


def test_no_metadata_is_written() -> None:
    encoded = png.encode(np.zeros((3, 3, 4), np.uint8))
    at, kinds = 8, []
    while at < len(encoded):
        kinds.append(encoded[at + 4 : at + 8])
        at += 12 + int.from_bytes(encoded[at : at + 4], "big")
    assert kinds == [b"IHDR", b"IDAT", b"IEND"]
