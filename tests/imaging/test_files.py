"""Files of every kind become arrays, or errors that say what is wrong; never half a picture."""

from __future__ import annotations

import io
import sys
from typing import Any

import numpy as np
import pytest
from PIL import Image

from offcut.errors import ImageError
from offcut.imaging.files import decode, formats, from_pil
from tests.corpus.turned import upright

SIZE = (50, 40)  # width, height
ORIENTATION = 0x0112  # EXIF tag
# JPEG and lossy WebP change levels by this much on smooth pictures.
LOSS = 12


def picture(mode: str = "RGB") -> Image.Image:
    """Return a smooth picture whose four corners differ, so that a wrong turn shows."""
    x, y = np.meshgrid(np.linspace(0, 255, SIZE[0]), np.linspace(0, 255, SIZE[1]))
    levels = np.stack([x, y, 255 - x / 2], axis=2).astype(np.uint8)
    return Image.fromarray(levels).convert(mode)


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    sink = io.BytesIO()
    image.save(sink, form, **options)
    return sink.getvalue()


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF"])
def test_lossless_formats_come_back_exactly(form: str) -> None:
    pixels = decode(encoded(picture(), form), "photo")
    assert pixels.dtype == np.uint8 and pixels.shape == (40, 50, 4)
    assert np.array_equal(pixels[..., :3], np.asarray(picture()))
    assert (pixels[..., 3] == 255).all()


@pytest.mark.parametrize(
    ("form", "mode", "options"),
    [
        ("JPEG", "RGB", {"quality": 95}),
        ("JPEG", "RGB", {"quality": 95, "progressive": True}),
        ("JPEG", "CMYK", {"quality": 95}),
        ("WEBP", "RGB", {"quality": 95}),
        ("AVIF", "RGB", {"quality": 95}),
        ("TIFF", "CMYK", {}),
    ],
)
def test_lossy_formats_and_other_colour_spaces_come_back_nearly(
    form: str, mode: str, options: dict[str, Any]
) -> None:
    pixels = decode(encoded(picture(mode), form, **options), "photo")
    difference = np.abs(pixels[..., :3].astype(int) - np.asarray(picture()))
    assert difference.mean() < LOSS / 4 and difference.max() < 4 * LOSS


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP", "JPEG"])
def test_exif_orientation_is_applied_once(form: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    options: dict[str, Any] = {"exif": exif}
    if form == "WEBP":
        options["lossless"] = True
    if form == "JPEG":
        options["quality"] = 100
    pixels = decode(encoded(picture(), form, **options), "photo")
    stored = upright(np.asarray(picture()), orientation)
    difference = np.abs(pixels[..., :3].astype(int) - stored)
    assert difference.max() <= (LOSS if form == "JPEG" else 0)


def test_sixteen_bits_keep_the_upper_ones() -> None:
    levels = np.linspace(0, 65535, 40 * 50).reshape(40, 50).astype(np.uint16)
    pixels = decode(encoded(Image.fromarray(levels), "PNG"), "photo")
    assert np.array_equal(pixels[..., 0], levels >> 8)


def test_a_dark_photo_of_sixteen_bits_stays_dark() -> None:
    levels = np.full((8, 8), 200, np.uint16)
    assert decode(encoded(Image.fromarray(levels), "PNG"), "photo")[..., :3].max() <= 1


@pytest.mark.parametrize("top", [1.0, 255.0, 65535.0])
def test_floating_point_levels_are_scaled_by_their_range(top: float) -> None:
    levels = np.linspace(0, top, 64, dtype=np.float32).reshape(8, 8)
    pixels = decode(encoded(Image.fromarray(levels), "TIFF"), "photo")
    assert pixels[0, 0, 0] == 0 and pixels[-1, -1, 0] == 255


def test_transparency_of_palettes_and_of_single_colours_is_kept() -> None:
    palette = picture("P")
    data = encoded(palette, "PNG", transparency=palette.getpixel((0, 0)))
    assert decode(data, "photo")[0, 0, 3] == 0
    data = encoded(picture(), "PNG", transparency=picture().getpixel((0, 0)))
    pixels = decode(data, "photo")
    assert pixels[0, 0, 3] == 0 and pixels[-1, -1, 3] == 255


def test_colours_under_partial_alpha_are_exact() -> None:
    image = picture("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(SIZE))
    assert np.array_equal(decode(encoded(image, "PNG"), "photo"), np.asarray(image))
    data = encoded(image, "WEBP", lossless=True, exact=True)
    assert np.array_equal(decode(data, "photo"), np.asarray(image))


def test_of_an_animation_the_first_frame_is_taken() -> None:
    frames = [Image.new("RGB", SIZE, colour) for colour in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode(data, "photo")[0, 0].tolist() == [255, 0, 0, 255]


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "AVIF", "TIFF", "BMP"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.97])
def test_a_file_that_is_cut_off_is_refused(form: str, share: float) -> None:
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8))
    data = encoded(noise, form)
    with pytest.raises(ImageError, match=r"photo\.img is") as caught:
        decode(data[: int(len(data) * share)], "photo.img")
    assert caught.value.remedy


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "AVIF", "TIFF", "BMP", "GIF"])
def test_damaged_bytes_give_a_picture_or_our_error(form: str) -> None:
    rng = np.random.default_rng(1)
    whole = encoded(picture(), form)
    for _ in range(60):
        data = bytearray(whole)
        for at in rng.integers(0, min(len(data), 300), 4):
            data[at] = rng.integers(0, 256)
        try:
            assert decode(bytes(data), "photo").shape[2] == 4
        except ImageError as error:
            assert "photo" in str(error)


def test_a_huge_size_is_refused_before_decoding() -> None:
    # 12,000 x 12,000 pixels of one bit are 18 kB in the file and 576 MB decoded.
    data = encoded(Image.new("1", (12_000, 12_000)), "PNG")
    with pytest.raises(ImageError, match="144 megapixels"):
        decode(data, "bomb.png")
    data = encoded(Image.new("1", (12_000, 12_000)), "TIFF", compression="group4")
    with pytest.raises(ImageError, match="144 megapixels"):
        decode(data, "bomb.tif")


def test_what_is_no_photo_is_named() -> None:
    for data, what in ((b"", "empty"), (b"%PDF-1.7", "a PDF"), (b"PK\3\4....", "ZIP")):
        with pytest.raises(ImageError, match=what):
            decode(data, "thing")


def test_a_format_that_pillow_lacks_is_named() -> None:
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64)
    with pytest.raises(ImageError, match="HEIC") as caught:
        decode(heic, "photo.heic")
    assert "JPEG" in caught.value.remedy


def test_without_pillow_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(picture(), "PNG")
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImageError) as caught:
        decode(data, "photo")
    assert caught.value.remedy == "pip install offcut[images]"
    assert formats() == []


def test_a_pil_image_is_turned_too() -> None:
    image = picture()
    image.getexif()[ORIENTATION] = 6
    assert from_pil(image).shape == (50, 40, 4)
