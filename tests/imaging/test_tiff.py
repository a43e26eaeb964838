"""A deflated TIFF becomes one that libtiff reads without zlib, of the same pixels."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from offcut.errors import ImageError
from offcut.imaging import files, tiff

RNG = np.random.default_rng(8)
NOISE = RNG.integers(0, 256, (90, 70, 4)).astype(np.uint8)


def written(image: Image.Image, **options: Any) -> bytes:
    sink = io.BytesIO()
    image.save(sink, "TIFF", **options)
    return sink.getvalue()


def read(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


@pytest.mark.parametrize("way", ["tiff_deflate", "tiff_adobe_deflate"])
@pytest.mark.parametrize("predictor", [1, 2])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "1", "I;16", "I;16B"])
def test_I8_pixels_are_those_of_the_deflated_file(mode: str, predictor: int, way: str) -> None:
    if mode.startswith("I;16"):
        image = Image.frombytes(mode, (140, 90), NOISE.tobytes())
    else:
        image = Image.fromarray(NOISE, "RGBA").convert(mode)
    data = written(image, compression=way, tiffinfo={317: predictor} if mode != "1" else {})

    made = tiff.without_deflate(data)

    assert tiff.compression(data) == "Deflate" and tiff.compression(made) == ""
    assert np.array_equal(read(made), read(data))


def test_I8_pieces_of_any_length_come_back() -> None:
    for height in (1, 2, 83, 84, 1000, 5300):
        image = Image.fromarray(np.resize(NOISE, (height, 250, 3)))
        data = written(image, compression="tiff_deflate", strip_size=1 << 24)
        assert np.array_equal(read(tiff.without_deflate(data)), np.asarray(image))


def test_what_is_not_deflated_stays_as_it_is() -> None:
    data = written(Image.fromarray(NOISE), compression="tiff_lzw")
    assert tiff.without_deflate(data) is data


def test_I3_strip_that_holds_more_than_the_picture_is_refused() -> None:
    data = bytearray(written(Image.fromarray(NOISE[..., 0]), compression="tiff_deflate"))
    bomb = zlib.compress(bytes(50_000_000), 9)
    entries = dict(tiff._entries(bytes(data)))
    for tag, value in ((273, len(data)), (279, len(bomb))):
        struct.pack_into("<I", data, entries[tag][0] + 8, value)
        struct.pack_into("<HI", data, entries[tag][0] + 2, 4, 1)

    with pytest.raises(ValueError, match="more than its picture needs"):
        tiff.without_deflate(bytes(data) + bomb)


@pytest.mark.parametrize("seed", range(200))
def test_damaged_file_ends_in_pixels_or_an_error_of_its_own(seed: int) -> None:
    data = bytearray(written(Image.fromarray(NOISE), compression="tiff_deflate"))
    rng = np.random.default_rng(seed)
    places = rng.integers(4, len(data), 3) if seed % 2 else len(data) - rng.integers(1, 250, 3)
    for place in places:
        data[place] = rng.integers(256)
    try:
        tiff.without_deflate(bytes(data))
    except (zlib.error, struct.error, ValueError):
        pass


def test_kind_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    data = written(Image.fromarray(NOISE[..., :3]), compression="jpeg")

    def refuse(*_: Any) -> None:
        raise OSError("decoder error -2")

    monkeypatch.setattr(files, "from_pil", refuse)
    with pytest.raises(ImageError, match=r"a\.tif is TIFF compressed by JPEG, which cannot"):
        files.decode(data, "a.tif")
