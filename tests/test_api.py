"""The Python API gives back what it is given: bytes, PIL images, arrays."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import offcut
from offcut import library
from offcut.errors import (
    BackendError,
    ImageError,
    IntegrityError,
    OffcutError,
    UnknownModelError,
)
from tests import tiny
from tests.corpus import unusual


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the tiny model be the one that is at hand."""
    monkeypatch.setenv("OFFCUT_MODELS", str(tmp_path))
    return tiny.write(tmp_path)


@pytest.fixture
def session(models: Path) -> offcut.Session:
    return offcut.new_session(tiny.NAME, backend="reference")


def opaque_inside(result: np.ndarray) -> bool:
    height, width = result.shape[:2]
    alpha = result[..., 3]
    return alpha[height // 2, width // 2] == 255 and alpha[0, 0] == alpha[-1, -1] == 0


def test_all_names_are_sorted_and_there() -> None:
    assert sorted(offcut.__all__) == offcut.__all__
    assert all(hasattr(offcut, name) for name in offcut.__all__)


def test_an_array_gives_an_array_with_alpha(session: offcut.Session) -> None:
    result = offcut.remove(tiny.photo(), session=session)
    assert result.dtype == np.uint8 and result.shape == (60, 80, 4)
    assert opaque_inside(result)


def test_opaque_pixels_keep_their_colours_exactly(session: offcut.Session) -> None:
    photo = tiny.photo()
    photo[..., :3] += np.random.default_rng(1).integers(0, 5, (60, 80, 3), dtype=np.uint8)
    result = offcut.remove(photo, session=session)
    opaque = result[..., 3] == 255
    assert opaque.any() and np.array_equal(result[opaque], photo[opaque])


def test_removed_pixels_leave_no_colour_behind(session: offcut.Session) -> None:
    result = offcut.remove(tiny.photo(), session=session)
    assert not result[result[..., 3] == 0].any()


def test_bytes_give_png_bytes(session: offcut.Session) -> None:
    data = io.BytesIO()
    Image.fromarray(tiny.photo()).convert("RGB").save(data, "JPEG", quality=95)
    result = offcut.remove(data.getvalue(), session=session)
    with Image.open(io.BytesIO(result)) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "RGBA", (80, 60))
        assert opaque_inside(np.asarray(image))


def test_a_pil_image_gives_a_pil_image(session: offcut.Session) -> None:
    result = offcut.remove(Image.fromarray(tiny.photo()), session=session)
    assert isinstance(result, Image.Image) and result.mode == "RGBA"
    assert opaque_inside(np.asarray(result))


@pytest.mark.parametrize("shape", [(60, 80), (60, 80, 3), (60, 80, 4), (1, 1, 3), (1, 50), (50, 1)])
def test_any_shape_of_array_works(session: offcut.Session, shape: tuple[int, ...]) -> None:
    result = offcut.remove(np.full(shape, 90, np.uint8), session=session)
    assert result.shape == (*shape[:2], 4)
    assert not result[..., 3].any()  # grey is not red


@pytest.mark.parametrize(
    "array", [np.zeros((4, 4)), np.zeros((4, 4, 2), np.uint8), np.zeros((0, 4), np.uint8)]
)
def test_an_array_of_another_kind_is_refused_by_name(
    session: offcut.Session, array: np.ndarray
) -> None:
    with pytest.raises(ImageError, match="array"):
        offcut.remove(array, session=session)


def test_only_mask_is_grey(session: offcut.Session) -> None:
    mask = offcut.remove(tiny.photo(), session=session, only_mask=True)
    assert mask.shape == (60, 80) and mask[30, 40] == 255 and mask[0, 0] == 0


def test_a_background_fills_what_was_removed(session: offcut.Session) -> None:
    result = offcut.remove(tiny.photo(), session=session, background="#00ff00")
    assert result[0, 0].tolist() == [0, 255, 0, 255]
    assert (result[..., 3] == 255).all()


def test_the_alpha_of_the_source_is_multiplied_in(session: offcut.Session) -> None:
    photo = tiny.photo()
    photo[..., 3] = 100
    result = offcut.remove(photo, session=session)
    assert result[..., 3].max() <= 100


def test_a_blank_photo_gives_an_empty_alpha(session: offcut.Session) -> None:
    assert not offcut.remove(np.zeros((40, 40, 3), np.uint8), session=session)[..., 3].any()


def test_it_works_inside_a_running_event_loop(session: offcut.Session) -> None:
    async def inside() -> tuple[np.ndarray, np.ndarray]:
        waited = await offcut.remove_async(tiny.photo(), session=session)
        return offcut.remove(tiny.photo(), session=session), waited

    blocking, waited = asyncio.run(inside())
    assert np.array_equal(blocking, waited)


def test_a_bare_name_means_the_default_variant(models: Path) -> None:
    assert library.find("red").name == library.find("red-float32").name == tiny.NAME


def test_a_path_is_a_model_too(models: Path) -> None:
    assert offcut.new_session(str(models), backend="reference").name == tiny.NAME


def test_an_unknown_model_lists_what_there_is(models: Path) -> None:
    with pytest.raises(UnknownModelError) as caught:
        offcut.new_session("blue")
    assert tiny.NAME in caught.value.remedy


def test_a_damaged_model_is_refused(models: Path) -> None:
    models.write_bytes(models.read_bytes()[:-1] + b"!")
    with pytest.raises(IntegrityError, match="sha256"):
        offcut.new_session("red")


def test_a_backend_that_is_not_there_is_refused(models: Path) -> None:
    with pytest.raises(BackendError, match="no backend"):
        offcut.new_session("red", backend="quantum")


@pytest.mark.parametrize("colour", ["", "#12", "blau", "1,2", "300,0,0", "#gggggg"])
def test_a_colour_that_is_none_is_refused(session: offcut.Session, colour: str) -> None:
    with pytest.raises(OffcutError, match="not a colour"):
        offcut.remove(tiny.photo(), session=session, background=colour)


@pytest.mark.parametrize(
    ("name", "image"), list(unusual.narrow()), ids=lambda value: str(value)[:9]
)
def test_I13_picture_of_any_shape_is_cut_out_at_its_size(
    session: offcut.Session, name: str, image: Image.Image
) -> None:
    photo = np.asarray(image)

    assert offcut.remove(photo, session=session).shape == (*photo.shape[:2], 4), name
