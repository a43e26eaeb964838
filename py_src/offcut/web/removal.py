"""One photo from file to PNG, for the page; imported after the start, with all that it needs."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np

from offcut.imaging.contents import notes
from offcut.pipeline import Options, Report, cut_out
from offcut.session import Session
from offcut.web import canvas
from offcut.web import photo as photos

__all__ = ["remove", "warm_up"]

SIDE = 512  # pixels, of the photo to warm up with


async def remove(
    file: Any, name: str, session: Session, load_package: photos.LoadPackage, report: Report
) -> dict[str, Any]:
    """Return what the page's request `remove` answers. file: a Blob; name: of the file."""
    begin = time.perf_counter()
    await report("decode", 0, 1)
    photo = await photos.decode(file, name, load_package)
    decoded = time.perf_counter()
    cutout = await cut_out(photo.pixels, session, report)
    await report("compose", 0, 1)
    result = cutout.compose(Options())  # u8 (H, W, 4)
    composed = time.perf_counter()
    await report("encode", 0, 1)
    picture = await photos.encode(result, photo.colours, report)
    spent = {"decode": (decoded - begin) * 1e3} | cutout.milliseconds
    return picture | {
        "photo": photos.picture_to_compare(photo),
        "notes": notes(photo.contents),
        "name": photos.name_of_result(name),
        "width": result.shape[1],
        "height": result.shape[0],
        "threads": session.threads,
        "milliseconds": spent | {"encode": (time.perf_counter() - composed) * 1e3},
    }


async def warm_up(session: Session, load_package: photos.LoadPackage, report: Report) -> None:
    """Run every step on a small photo, so that a visitor's first takes no longer than others.

    Engines compile WebAssembly that runs for the first time, and better what runs often.
    """
    session = replace(session, second_look=False)
    ramp = np.linspace(0, 255, SIDE, dtype=np.float32).astype(np.uint8)
    image = np.full((SIDE, SIDE, 4), 255, np.uint8)
    image[..., 0], image[..., 1] = ramp, ramp[:, None]
    file = await canvas.to_jpeg(image)
    for _ in range(2):  # the second time with what the first has let the engine compile better
        await photos.decode(file, "ramp.jpg", load_package)
        await report("preprocess", 0, 1)
        cutout = await cut_out(image, session, report)
        cutout.alpha[: SIDE // 2] = ramp / np.float32(255)  # soft, as the edges of a subject are
        await report("compose", 0, 1)
        result = cutout.compose(Options())
        await report("encode", 0, 1)
        await photos.encode(result, b"", report)
        session.tune()
