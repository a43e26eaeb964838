"""The one data flow: from pixels to a cutout. Only this module knows the order of the steps."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from offcut.imaging.compose import Color, compose
from offcut.imaging.postprocess import postprocess
from offcut.imaging.preprocess import preprocess
from offcut.imaging.refine import refine
from offcut.imaging.resample import shrink
from offcut.session import Session

__all__ = ["Cutout", "Options", "Report", "cut_out", "no_report"]


class Report(Protocol):
    """`await report(stage, done, total)`: show it, yield to the event loop, raise Cancelled."""

    def __call__(self, stage: str, done: int, total: int) -> Awaitable[None]: ...


@dataclass(frozen=True, slots=True)
class Options:
    """What the user can ask for."""

    only_mask: bool = False  # the result is the alpha as a grey image
    background: Color | None = None  # RGB behind the subject; None keeps it transparent
    decontaminate: bool = True  # replace the old background's tint in soft edges


@dataclass(frozen=True, slots=True)
class Cutout:
    """A photo and its alpha: any background or edge option can be applied without inference."""

    image: np.ndarray  # u8 (H, W, 4), as it was given
    alpha: np.ndarray  # f32 (H, W) in [0, 1], the source's own alpha not yet multiplied in
    milliseconds: dict[str, float] = field(default_factory=dict)  # per stage

    def compose(self, options: Options) -> np.ndarray:
        """Return the result, u8: RGBA (H, W, 4) with straight alpha, or the mask (H, W)."""
        with _timed(self.milliseconds, "compose"):
            return compose(
                self.image,
                self.alpha,
                only_mask=options.only_mask,
                background=options.background,
                decontaminate=options.decontaminate,
            )


async def cut_out(image: np.ndarray, session: Session, report: Report | None = None) -> Cutout:
    """Find the subject of `image`, u8 RGBA (H, W, 4), at full resolution.

    Raises Cancelled when `report` does.
    """
    report = report or no_report
    card, spent = session.model.card, dict[str, float]()

    async def checkpoint(done: int, total: int) -> None:
        await report("inference", done, total)

    await report("preprocess", 0, 1)
    with _timed(spent, "preprocess"):
        small = shrink(image, card.input.size)[:3]  # f32 (3, h, w)
        x = preprocess(image, card.input, small=small)  # f32 (1, 3, h, w)
    with _timed(spent, "inference"):
        output = await session.run(x, checkpoint)  # f32 (1, 1, h, w)
    await report("refine", 0, 1)
    with _timed(spent, "refine"):
        mask = postprocess(output, card.output)  # f32 (h, w)
        alpha = refine(mask, image, card.output, small=small)  # f32 (H, W)
    return Cutout(image, alpha, spent)


async def no_report(stage: str, done: int, total: int) -> None:
    """Neither report nor stop."""


@contextmanager
def _timed(milliseconds: dict[str, float], stage: str) -> Iterator[None]:
    begin = time.perf_counter()
    yield
    milliseconds[stage] = (time.perf_counter() - begin) * 1e3
