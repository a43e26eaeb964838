"""Headers, sizes and damage are found before any decoder sees a file."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from offcut.errors import ImageError
from offcut.imaging.sniff import MAX_PIXELS, check_size, check_whole, read_header


def encoded(
    form: str, mode: str = "RGB", size: tuple[int, int] = (37, 23), **options: Any
) -> bytes:
    """Return a small picture in a file format."""
    picture = Image.linear_gradient("L").resize(size).convert(mode)
    if mode == "RGBA":
        picture.putalpha(Image.radial_gradient("L").resize(size))
    sink = io.BytesIO()
    picture.save(sink, form, **options)
    return sink.getvalue()


@pytest.mark.parametrize(
    ("form", "mode", "options", "kind", "transparent"),
    [
        ("PNG", "RGB", {}, "PNG", False),
        ("PNG", "RGBA", {}, "PNG", True),
        ("PNG", "L", {}, "PNG", False),
        ("PNG", "P", {"transparency": 3}, "PNG", True),
        ("JPEG", "RGB", {}, "JPEG", False),
        ("JPEG", "RGB", {"progressive": True}, "JPEG", False),
        ("JPEG", "CMYK", {}, "JPEG", False),
        ("WEBP", "RGB", {}, "WebP", False),
        ("WEBP", "RGBA", {}, "WebP", True),
        ("WEBP", "RGB", {"lossless": True}, "WebP", False),
        ("WEBP", "RGBA", {"lossless": True}, "WebP", True),
        ("GIF", "P", {}, "GIF", True),
        ("BMP", "RGB", {}, "BMP", False),
    ],
)
def test_header_tells_kind_size_and_transparency(
    form: str, mode: str, options: dict[str, Any], kind: str, transparent: bool
) -> None:
    data = encoded(form, mode, **options)

    header = read_header(data, "photo")

    assert (header.kind, header.size, header.transparent) == (kind, (37, 23), transparent)
    check_whole(data, header, "photo")


def test_size_of_a_jpeg_is_found_behind_its_thumbnail() -> None:
    thumbnail = encoded("JPEG", size=(8, 8))
    exif = Image.Exif()
    exif[0x010E] = "A description. " * 100
    data = encoded("JPEG", exif=exif.tobytes())
    segment = b"\xff\xe2" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    data = data[:2] + segment + data[2:]

    assert read_header(data, "photo").size == (37, 23)


def test_avif_and_heic_say_their_size_when_they_do() -> None:
    box = struct.pack(">I4s4s", 20, b"ispe", bytes(4)) + struct.pack(">II", 4000, 3000)

    header = read_header(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + box, "photo")

    assert (header.kind, header.size) == ("HEIC", (4000, 3000))


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_file_that_ends_early_is_damaged(form: str, share: float) -> None:
    data = encoded(form, size=(300, 200))
    cut = data[: int(len(data) * share)]

    with pytest.raises(ImageError, match=r"holiday\.jpg is damaged: it ends before"):
        check_whole(cut, read_header(cut, "holiday.jpg"), "holiday.jpg")


def test_every_flipped_bit_of_a_png_is_seen() -> None:
    data = encoded("PNG", size=(16, 16))
    for at in range(33, len(data) - 12):  # behind the header, before IEND
        damaged = bytearray(data)
        damaged[at] ^= 1
        with pytest.raises(ImageError, match="damaged"):
            check_whole(bytes(damaged), read_header(bytes(damaged), "x"), "x")


def test_jpeg_followed_by_a_film_is_whole() -> None:
    data = encoded("JPEG") + b"\0\0\0\x18ftypmp42 film with \xff\xda in it"

    check_whole(data, read_header(data, "motion.jpg"), "motion.jpg")


def test_cut_jpeg_is_not_saved_by_the_end_of_its_thumbnail() -> None:
    thumbnail = encoded("JPEG", size=(8, 8))
    data = encoded("JPEG", size=(300, 200))
    segment = b"\xff\xe2" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    cut = (data[:2] + segment + data[2:])[:-40]

    with pytest.raises(ImageError, match="ends before"):
        check_whole(cut, read_header(cut, "x"), "x")


def test_bomb_is_refused_with_its_size_and_the_limit() -> None:
    ihdr = b"IHDR" + struct.pack(">IIBBBBB", 200_000, 200_000, 1, 0, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + ihdr
    bomb += struct.pack(">I", zlib.crc32(ihdr))

    size = read_header(bomb, "bomb.png").size

    assert size == (200_000, 200_000)
    with pytest.raises(ImageError, match="200000 x 200000 pixels, 40000 megapixels"):
        check_size(size, "bomb.png")


def test_limit_itself_is_allowed() -> None:
    check_size((MAX_PIXELS // 5000, 5000), "large.jpg")


def test_picture_without_pixels_is_damaged() -> None:
    with pytest.raises(ImageError, match="damaged"):
        check_size((0, 100), "x")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty"),
        (b"%PDF-1.7 ...", "is a PDF"),
        (b"PK\x03\x04...", "ZIP archive"),
        (b'\xef\xbb\xbf  <svg xmlns="...">', "an SVG drawing"),
        (b"<!doctype html><title>x", "a web page"),
        (b"just some words", "is not a photo Offcut can read"),
        (b"\x89PNG\r\n\x1a\n\0\0", "damaged: its header is cut off"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "damaged: its header is cut off"),
        (b"RIFF\x10\0\0\0WEBPVP8X", "damaged: its header is cut off"),
    ],
)
def test_what_is_no_photo_is_named(data: bytes, says: str) -> None:
    with pytest.raises(ImageError, match=says) as caught:
        read_header(data, "thing")

    assert caught.value.remedy


def test_random_bytes_behind_every_magic_end_in_a_header_or_an_image_error() -> None:
    random = np.random.default_rng(7)
    magics = [
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff",
        b"GIF89a",
        b"BM",
        b"II*\0",
        b"\0\0\0\x18ftypavif",
    ]
    magics += [b"RIFF\0\0\0\0WEBP" + form for form in (b"VP8X", b"VP8L", b"VP8 ")]
    for magic in magics:
        for length in (0, 3, 20, 200):
            for _ in range(50):
                data = magic + random.integers(0, 256, length, np.uint8).tobytes()
                try:
                    check_whole(data, read_header(data, "x"), "x")
                except ImageError:
                    continue
