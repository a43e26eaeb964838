"""Colour profiles: found in every format, kept with the cutout, and never a reason to fail."""

from __future__ import annotations

import asyncio
import io
import random

import numpy as np
import pytest
from PIL import Image, ImageCms

import offcut
from offcut.imaging import png
from offcut.imaging.profile import read_colours, read_profile
from offcut.session import open_session
from tests import tiny
from tests.corpus.png_suite import chunk
from tests.exchanged import exchanged_profile

PROFILE = exchanged_profile()


def photo(form: str, profile: bytes | None = PROFILE, mode: str = "RGB") -> bytes:
    stream = io.BytesIO()
    extra = {} if profile is None else {"icc_profile": profile}
    Image.fromarray(tiny.photo()).convert(mode).save(stream, form, **extra)
    return stream.getvalue()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_I7_a_profile_is_found(form: str) -> None:
    assert read_profile(photo(form)) == PROFILE
    assert read_profile(photo(form, None)) == b""


def test_I7_a_profile_in_many_segments_is_joined() -> None:
    size = 200_000  # a JPEG segment holds 64 KiB
    large = size.to_bytes(4, "big") + PROFILE[4:] + random.Random(1).randbytes(size - len(PROFILE))
    assert read_profile(photo("JPEG", large)) == large


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_I7_a_profile_of_other_colours_is_left_out(form: str) -> None:
    grey = PROFILE[:16] + b"GRAY" + PROFILE[20:]
    for wrong in (grey, b"\1" + PROFILE[1:], PROFILE[:36] + b"xxxx" + PROFILE[40:]):
        assert read_profile(photo(form, wrong)) == b""


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_I7_a_damaged_profile_is_none(form: str) -> None:
    data, chance = photo(form), random.Random(3)
    for _ in range(300):
        body = bytearray(data[: chance.randrange(12, len(data))])
        body[chance.randrange(len(body))] ^= 1 << chance.randrange(8)
        found = read_profile(bytes(body))
        assert not found or len(found) == len(PROFILE)


def test_I7_a_profile_that_unpacks_to_too_much_is_none() -> None:
    bomb = png.encode(np.zeros((1, 1, 3), np.uint8), colours=png.profile_chunk(bytes(64 << 20)))
    assert len(bomb) < 100_000
    assert read_profile(bomb) == b""


def test_I7_a_png_carries_the_profile_and_the_same_pixels() -> None:
    pixels = tiny.photo()
    with Image.open(io.BytesIO(png.encode(pixels, colours=png.profile_chunk(PROFILE)))) as image:
        assert image.info["icc_profile"] == PROFILE
        assert np.array_equal(np.asarray(image), pixels)


def test_I7_so_does_one_whose_rows_are_stored() -> None:
    pixels = tiny.photo()
    with Image.open(io.BytesIO(png.stored(pixels, colours=png.profile_chunk(PROFILE)))) as image:
        assert image.info["icc_profile"] == PROFILE
        assert np.array_equal(np.asarray(image), pixels)


GAMMA = chunk(b"gAMA", (45455).to_bytes(4, "big"))
PRIMARIES = chunk(b"cHRM", bytes(32))
HDR = chunk(b"cICP", bytes([9, 16, 0, 1]))
SRGB = chunk(b"sRGB", b"\0")
ICC = png.profile_chunk(PROFILE)


@pytest.mark.parametrize(
    ("inside", "kept"),
    [
        (GAMMA + PRIMARIES, GAMMA + PRIMARIES),
        (PRIMARIES + GAMMA, GAMMA + PRIMARIES),
        (GAMMA, GAMMA),
        (SRGB + GAMMA + PRIMARIES, b""),
        (ICC + GAMMA, ICC),
        (ICC + HDR, HDR),
        (SRGB + HDR, HDR),
        (chunk(b"gAMA", b"short"), b""),
    ],
)
def test_I7_what_a_png_says_of_its_colours_is_kept(inside: bytes, kept: bytes) -> None:
    data = png.encode(tiny.photo())
    assert read_colours(data[:33] + inside + data[33:]) == kept


def test_I7_the_cutout_keeps_the_profile_and_a_mask_has_none() -> None:
    session = open_tiny()
    for data, kind in ((photo("PNG"), bytes), (Image.open(io.BytesIO(photo("PNG"))), Image.Image)):
        result = offcut.remove(data, session=session)
        assert isinstance(result, kind)
        opened = Image.open(io.BytesIO(result)) if isinstance(result, bytes) else result
        assert opened.info["icc_profile"] == PROFILE
    mask = offcut.remove(photo("PNG"), session=session, only_mask=True)
    assert "icc_profile" not in Image.open(io.BytesIO(mask)).info
    session.close()


def test_the_exchanged_profile_exchanges_red_and_blue() -> None:
    profile = ImageCms.ImageCmsProfile(io.BytesIO(PROFILE))
    image = Image.new("RGB", (1, 1), (200, 100, 50))
    shown = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"))
    assert shown is not None
    red, _, blue = shown.getpixel((0, 0))
    assert red < 60 and blue > 190


def open_tiny() -> offcut.Session:
    return asyncio.run(open_session(tiny.model(), backend="reference"))
