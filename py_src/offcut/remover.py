"""The Python API: `remove` and `new_session`, for bytes, PIL images and arrays."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from offcut import library
from offcut.errors import ImageError
from offcut.imaging import files, png
from offcut.imaging.compose import Color, parse_color
from offcut.imaging.profile import read_colours
from offcut.pipeline import Options, Report, cut_out
from offcut.session import Session, open_session

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["new_session", "new_session_async", "remove", "remove_async"]

T = TypeVar("T")
Photo = TypeVar("Photo", bytes, np.ndarray, "Image")


def remove(
    data: Photo,
    *,
    session: Session | None = None,
    model: str = library.DEFAULT,
    only_mask: bool = False,
    background: Color | str | None = None,
    decontaminate: bool = True,
) -> Photo:
    """Return the photo without its background, as the kind of thing that was given.

    data: bytes of an image file (PNG bytes come back), a PIL image, or a u8 array (H, W),
    (H, W, 3) or (H, W, 4). The result is RGBA with straight alpha; grey with `only_mask`.
    session: from `new_session`, to keep a model warm; else `model` is opened for this call.
    background: a colour such as "white", "#ff8800" or (255, 136, 0) behind the subject.
    Raises ImageError, UnknownModelError and the other errors of offcut.errors.
    """
    return _wait(
        remove_async(
            data,
            session=session,
            model=model,
            only_mask=only_mask,
            background=background,
            decontaminate=decontaminate,
        )
    )


async def remove_async(
    data: Photo,
    *,
    session: Session | None = None,
    model: str = library.DEFAULT,
    only_mask: bool = False,
    background: Color | str | None = None,
    decontaminate: bool = True,
    report: Report | None = None,
) -> Photo:
    """Do what `remove` does, inside an event loop; `report` is awaited between steps."""
    colour = parse_color(background) if isinstance(background, str) else background
    options = Options(only_mask=only_mask, background=colour, decontaminate=decontaminate)
    pixels = _pixels(data)
    opened = session or await new_session_async(model)
    try:
        cutout = await cut_out(pixels, opened, report)
    finally:
        if session is None:
            opened.close()
    return _like(data, cutout.compose(options))


def new_session(
    name: str = library.DEFAULT, *, backend: str = "auto", threads: int | None = None
) -> Session:
    """Open the model called `name`, compiled for `backend`, to pass to `remove`.

    Raises UnknownModelError and BackendError; a backend that was asked for is never replaced.
    """
    return _wait(new_session_async(name, backend=backend, threads=threads))


async def new_session_async(
    name: str = library.DEFAULT, *, backend: str = "auto", threads: int | None = None
) -> Session:
    """Do what `new_session` does, inside an event loop."""
    full, model = await library.load(name)
    return await open_session(model, name=full, backend=backend, threads=threads)


def _pixels(data: Any) -> np.ndarray:
    """Return the photo as u8 RGBA (H, W, 4)."""
    if isinstance(data, bytes | bytearray | memoryview):
        return files.decode(bytes(data), "the image")
    if isinstance(data, np.ndarray):
        return _rgba(data)
    return files.from_pil(data)


def _rgba(array: np.ndarray) -> np.ndarray:
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or 0 in array.shape:
        raise ImageError(
            f"the array is {array.dtype} {array.shape}, expected uint8 (H, W), (H, W, 3 or 4)",
            remedy="convert it with (array * 255).astype('uint8') or the like",
        )
    grey = array[..., None] if array.ndim == 2 else array
    if grey.shape[2] not in (1, 3, 4):
        raise ImageError(f"the array has {grey.shape[2]} channels, expected 1, 3 or 4")
    colours = np.broadcast_to(grey[..., :3], (*grey.shape[:2], 3))
    alpha = grey[..., 3:] if grey.shape[2] == 4 else np.full((*grey.shape[:2], 1), 255, np.uint8)
    return np.concatenate([colours, alpha], axis=2)


def _like(data: Any, pixels: np.ndarray) -> Any:
    """Return the result as the kind of thing that `data` is."""
    if isinstance(data, bytes | bytearray | memoryview):
        return png.encode(pixels, colours=read_colours(bytes(data)))
    if isinstance(data, np.ndarray):
        return pixels
    from PIL import Image

    made = Image.fromarray(pixels)
    profile = data.info.get("icc_profile") if data.mode in ("RGB", "RGBA", "P") else None
    if profile and pixels.ndim == 3:
        made.info["icc_profile"] = profile
    return made


def _wait(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` to its end, in a thread of its own when an event loop runs in this one."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()
