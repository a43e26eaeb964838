"""A photo goes in, a cutout comes out: the same one that the Python API makes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import offcut
from tests.browser.app import App, encoded, png
from tests.corpus import ladders, png_suite, unusual
from tests.exchanged import exchanged_profile

# Alpha of the page and of CPython on the same pixels: u8 arithmetic may round differently by one.
ALPHA_ROUNDING = 1
# JPEG decoders may round differently, which moves the alpha of the same photo a little.
JPEG_ALPHA_MEAN = 0.5


@pytest.fixture(scope="module")
def session(warm_page: App) -> Iterator[offcut.Session]:
    """The same model and backend on CPython."""
    model, backend = warm_page.attribute("model"), warm_page.attribute("backend")
    opened = offcut.new_session(model, backend=backend)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def cat(samples: Path) -> np.ndarray:
    return np.asarray(Image.open(samples / "cat.jpg").convert("RGBA"))  # (300, 451, 4)


def test_dropped_photo_becomes_a_png_of_its_size_and_name(app: App, samples: Path) -> None:
    download = app.cut_out(samples / "cat.jpg")

    assert download.name == "cat-offcut.png"
    assert download.pixels.shape == (300, 451, 4)


def test_alpha_has_subject_background_and_soft_edges(app: App, samples: Path) -> None:
    alpha = app.cut_out(samples / "astronaut.jpg").pixels[..., 3]

    assert (alpha == 255).mean() > 0.2
    assert (alpha == 0).mean() > 0.2
    assert 0 < ((alpha > 0) & (alpha < 255)).mean() < 0.3


def test_cutout_is_the_one_that_python_makes(
    app: App, session: offcut.Session, cat: np.ndarray
) -> None:
    download = app.cut_out(("cat.png", png(cat[..., :3])))

    expected = offcut.remove(cat, session=session)
    difference = np.abs(download.pixels[..., 3].astype(int) - expected[..., 3])
    assert difference.max() <= ALPHA_ROUNDING


@pytest.mark.parametrize("predictor", [1, 2])
def test_I8_deflated_tiff_is_read_though_pyodides_libtiff_cannot(
    app: App, cat: np.ndarray, predictor: int
) -> None:
    options = {"compression": "tiff_deflate", "tiffinfo": {317: predictor}}
    file = encoded(Image.fromarray(cat[..., :3]), "TIFF", **options)

    pixels = app.cut_out(("cat.tif", file)).pixels

    opaque = pixels[..., 3] == 255
    assert opaque.any()
    assert (pixels[opaque] == cat[opaque]).all()


def test_I8_tiff_that_cannot_be_read_is_refused_by_what_compresses_it(
    app: App, cat: np.ndarray
) -> None:
    file = encoded(Image.fromarray(cat[..., :3]), "TIFF", compression="jpeg")

    error = app.fail_with(("cat.tif", file))

    assert "cat.tif is TIFF compressed by JPEG, which cannot be read here" in error
    assert "Save it as JPEG or PNG" in error


def test_colours_of_opaque_pixels_are_untouched(app: App, cat: np.ndarray) -> None:
    pixels = app.cut_out(("cat.png", png(cat[..., :3]))).pixels

    opaque = pixels[..., 3] == 255
    assert opaque.any()
    assert (pixels[opaque] == cat[opaque]).all()


def test_partial_alpha_of_the_photo_is_multiplied_in_exactly(
    app: App, session: offcut.Session, cat: np.ndarray
) -> None:
    photo = cat.copy()
    photo[..., 3] = np.linspace(0, 255, photo.shape[1]).astype(np.uint8)  # a canvas would change it

    pixels = app.cut_out(("see-through.png", png(photo))).pixels

    expected = offcut.remove(photo, session=session)
    assert np.abs(pixels.astype(int) - expected).max() <= ALPHA_ROUNDING
    assert ((expected[..., 3] > 0) & (photo[..., 3] < 128)).sum() > 1000  # a canvas changes these


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_once(
    app: App, session: offcut.Session, cat: np.ndarray, orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(cat[:, :300, :3])
    photo = encoded(stored.resize((240, 160)), "JPEG", quality=95, exif=exif.tobytes())

    pixels = app.cut_out(("turned.jpg", photo)).pixels

    expected = np.asarray(Image.open(io.BytesIO(offcut.remove(photo, session=session))))
    assert pixels.shape == expected.shape
    difference = np.abs(pixels[..., 3].astype(int) - expected[..., 3])
    assert difference.mean() <= JPEG_ALPHA_MEAN


@pytest.mark.parametrize("form", ["WEBP", "GIF", "BMP"])
def test_other_formats_are_read(app: App, cat: np.ndarray, form: str) -> None:
    photo = encoded(Image.fromarray(cat[..., :3]), form)

    download = app.cut_out((f"cat.{form.lower()}", photo))

    assert download.pixels.shape == (300, 451, 4)


def test_one_pixel_is_a_photo_too(app: App) -> None:
    assert app.cut_out(("dot.png", png(np.full((1, 1, 3), 77, np.uint8)))).pixels.shape == (1, 1, 4)


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_I7_colours_keep_their_numbers_and_their_profile(
    app: App, cat: np.ndarray, form: str
) -> None:
    profile = exchanged_profile()
    lossless = {"lossless": True} if form == "WEBP" else {}
    photo = encoded(Image.fromarray(cat[..., :3]), form, icc_profile=profile, **lossless)

    download = app.cut_out((f"cat.{form.lower()}", photo))

    opaque = download.pixels[..., 3] == 255
    assert opaque.any()
    assert np.array_equal(download.pixels[opaque], cat[opaque])
    with Image.open(io.BytesIO(download.data)) as image:
        assert image.info["icc_profile"] == profile


@pytest.mark.parametrize(
    ("name", "data", "count"), list(unusual.several())[:5], ids=lambda value: str(value)[:15]
)
def test_I9_page_tells_that_it_took_the_first_picture(
    app: App, name: str, data: bytes, count: int
) -> None:
    app.cut_out((name, data))

    assert f"the first of {count} pictures" in app.text(".caption-size")


@pytest.mark.parametrize("form", ["TIFF", "WEBP"])
def test_I5_I8_photo_beside_the_cutout_is_shown_as_it_was_decoded(app: App, form: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = encoded(ladders.picture(), form, exif=exif)  # no engine shows one, few turn the other

    assert app.cut_out((f"turned.{form.lower()}", photo)).pixels.shape == (50, 40, 4)

    shown = "() => { const i = document.querySelector('img.before');"
    shown += " return i.complete && !i.hidden && [i.naturalWidth, i.naturalHeight].join() }"
    app.wait_until(lambda: app.evaluate(shown) == "40,50", "the photo is shown upright", 10)


def test_I8_page_tells_that_deeper_levels_became_eight_bits(app: App) -> None:
    deep = png_suite.Png(png_suite.COLOUR, 16, (33, 17))

    app.cut_out((deep.name, png_suite.encode(deep)))

    assert "16 bits became 8" in app.text(".caption-size")


@pytest.mark.parametrize("size", [(unusual.LONG, 1), (1, unusual.LONG), (97, 1)])
def test_I13_narrow_photo_is_cut_out_at_its_size(app: App, size: tuple[int, int]) -> None:
    photo = encoded(ladders.picture().resize(size), "PNG")

    assert app.cut_out(("narrow.png", photo)).pixels.shape == (size[1], size[0], 4)


def test_result_carries_nothing_of_the_file_but_its_pixels(app: App, cat: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x010E] = "SECRET PLACE"
    photo = encoded(Image.fromarray(cat[..., :3]), "JPEG", exif=exif.tobytes())

    data = app.cut_out(("holiday.jpg", photo)).data

    assert b"SECRET" not in data
    assert {data[at : at + 4] for at in chunk_starts(data)} == {b"IHDR", b"IDAT", b"IEND"}


def chunk_starts(data: bytes) -> Iterator[int]:
    """Yield where the type of each PNG chunk stands."""
    at = 8
    while at < len(data):
        yield at + 4
        at += 12 + int.from_bytes(data[at : at + 4], "big")


def test_status_tells_what_ran(app: App, samples: Path) -> None:
    app.cut_out(samples / "cat.jpg")

    assert int(app.attribute("milliseconds")) > 0
    assert int(app.attribute("threads")) >= 1
    status = app.text(".status")
    assert app.attribute("model") in status
    assert app.attribute("backend") in status
    assert "inference" in status


def test_large_photo_is_shown_smaller_and_given_at_full_size(app: App, samples: Path) -> None:
    photo = Image.open(samples / "coffee.jpg").resize((4000, 2500))

    download = app.cut_out(("large.jpg", encoded(photo, "JPEG", quality=90)))

    assert download.pixels.shape == (2500, 4000, 4)
    shown = app.page.evaluate(
        "async () => { const i = document.querySelector('img.after'); await i.decode();"
        " return i.naturalWidth * i.naturalHeight }"
    )
    assert 2_000_000 < shown <= 6_000_000
