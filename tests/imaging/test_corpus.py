"""Thousands of files end in the right pixels or in an error that names them, none in between."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from offcut.errors import ImageError
from offcut.imaging.contents import read_contents, read_notes
from offcut.imaging.files import decode, formats
from tests.corpus import ladders, png_suite, turned, unusual
from tests.corpus.bombs import bombs
from tests.corpus.pillow_images import LEAST, pillow_images
from tests.record import record

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 2.0  # for one file
BOMB_SECONDS, BOMB_MEGABYTES, LEAST_BOMBS = 1.0, 64.0, 12
LEAST_CORRUPT = 14  # as many as the PngSuite has
# JPEG and AVIF change levels by this much on the picture, the noisy half most.
LOSS, LOSS_MEAN = 60, 6
# Where Pillow finds an orientation that browsers do not look for.
TURNS_ELSEWHERE = ("xmp", "XML:com.adobe.xmp", "Raw profile type exif")


def outcome(data: bytes, name: str) -> np.ndarray | str:
    """Return pixels or an error's words; any other error, or one without the name, fails."""
    begin = time.process_time()
    try:
        result: np.ndarray | str = decode(data, name)
    except ImageError as error:
        result = str(error)
        assert name in result and error.remedy
    assert time.process_time() - begin < SECONDS, name
    return result


def test_I8_every_kind_of_png_gives_the_pixels_it_stands_for() -> None:
    wrong = []
    kinds = list(png_suite.files())
    for png in kinds:
        got = outcome(png_suite.encode(png), png.name)
        if isinstance(got, str) or not np.array_equal(got, png.pixels):
            wrong.append(png.name)

    record("files: kinds of PNG held to the specification", len(kinds))
    assert wrong == []


def test_I8_corrupt_png_is_refused() -> None:
    results = {name: outcome(data, name) for name, data in png_suite.corrupt()}

    record("files: PNG corrupt in a way of its own", len(results))
    assert len(results) >= LEAST_CORRUPT
    assert [name for name, result in results.items() if not isinstance(result, str)] == []


def test_I2_file_cut_off_anywhere_is_refused() -> None:
    results = {name: outcome(data, name) for name, data in ladders.cut()}

    record("files: cut off", len(results))
    assert [name for name, result in results.items() if not isinstance(result, str)] == []


def test_I2_file_with_a_flipped_bit_ends_in_pixels_or_a_named_error() -> None:
    results = [outcome(data, name) for name, data in ladders.flipped()]

    record("files: with a flipped bit", len(results))
    assert all(isinstance(result, str) or result.shape[2] == 4 for result in results)
    assert any(isinstance(result, str) for result in results)


def test_I3_bomb_is_refused_within_a_second_and_without_its_memory(tmp_path: Path) -> None:
    for name, data in bombs():
        (tmp_path / name).write_bytes(data)

    call = [sys.executable, "-m", "tests.corpus.refuse", str(tmp_path)]
    paths = {"PYTHONPATH": f"{ROOT / 'py_src'}:{ROOT}"}
    done = subprocess.run(call, cwd=ROOT, env=paths, capture_output=True, text=True, check=True)

    rows = json.loads(done.stdout)
    record("files: decompression bombs", len(rows))
    assert len(rows) >= LEAST_BOMBS
    for name, result, seconds, megabytes in rows:
        assert name in result, "it was decoded"
        assert seconds < BOMB_SECONDS and megabytes < BOMB_MEGABYTES, name


def test_I5_every_orientation_of_every_format_is_shown_upright() -> None:
    for name, data, upright in turned.turned():
        got = outcome(data, name)
        assert not isinstance(got, str) and got.shape[:2] == upright.shape[:2], name
        difference = np.abs(got[..., :3].astype(int) - upright)
        exact = not name.startswith(("jpeg", "avif"))
        assert difference.max() <= (0 if exact else LOSS), name
        assert difference.mean() <= LOSS_MEAN, name


@pytest.mark.parametrize(("name", "data"), list(unusual.inks()), ids=["cmyk", "ycck"])
def test_I6_jpeg_in_inks_has_the_right_colours(name: str, data: bytes) -> None:
    got = outcome(data, name)
    shown = np.asarray(ladders.picture().resize((64, 48), Image.Resampling.BOX))

    assert not isinstance(got, str)
    assert np.abs(got[..., :3].astype(int) - shown).mean() < LOSS_MEAN


def test_I6_jpeg_of_twelve_bits_is_refused_by_name() -> None:
    assert "is JPEG, which cannot be read here" in outcome(unusual.twelve_bits(), "deep.jpg")


@pytest.mark.parametrize(
    ("name", "data", "count"), list(unusual.several()), ids=lambda value: str(value)[:15]
)
def test_I9_pictures_of_an_animation_or_of_several_pages_are_counted(
    name: str, data: bytes, count: int
) -> None:
    assert read_notes(data, name) == [f"the first of {count} pictures"]


def test_I8_deeper_levels_are_told() -> None:
    for png in png_suite.files():
        deep = ["16 bits became 8"] if png.depth == 16 else []
        assert read_notes(png_suite.encode(png), png.name) == deep


def test_contents_of_damaged_files_are_told_or_left_out() -> None:
    for name, data in (*ladders.cut(), *ladders.flipped()):
        for kind in ("GIF", "PNG", "WebP", "TIFF", "AVIF"):
            begin = time.process_time()
            contents = read_contents(data, kind)
            assert 1 <= contents.orientation <= 8 and contents.frames >= 1, name
            assert time.process_time() - begin < SECONDS, name


def test_I1_I2_I8_pillows_own_test_images_give_what_pillow_gives_or_a_named_error() -> None:
    tried = decoded = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, about the metadata of broken files
        for name, data in pillow_images():
            tried += 1
            got = outcome(data, name)
            if isinstance(got, str):
                continue
            decoded += 1
            plain = by_pillow(data)
            assert plain is None or np.array_equal(got, plain), name

    record("files: Pillow's test images tried", tried)
    record("files: Pillow's test images decoded", decoded)
    assert tried >= LEAST


def by_pillow(data: bytes) -> np.ndarray | None:
    """Return what Pillow alone makes of a file, or None where it is known to clip or to err."""
    image = Image.open(io.BytesIO(data), formats=formats())
    deep = image.mode.startswith("I") or image.mode == "F"
    if deep or ("transparency" in image.info and image.format == "PNG"):
        return None
    image.load()
    for place in TURNS_ELSEWHERE:
        image.info.pop(place, None)
    return np.asarray(ImageOps.exif_transpose(image).convert("RGBA"))
