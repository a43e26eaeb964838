"""A session: one model compiled for one backend, kept warm between photos."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from offcut import backends
from offcut.backends import Checkpoint, Program, no_checkpoint
from offcut.container import Model
from offcut.doubt import is_doubtful
from offcut.errors import BackendError, ModelFormatError
from offcut.imaging.postprocess import postprocess

__all__ = ["Session", "open_session"]


@dataclass(frozen=True, slots=True)
class Session:
    """A compiled model. `skipped` tells why preferred backends were not used: name -> reason.

    second_look: where values are rounded to 8 bits and the network is unsure of a photo, compute it
    again without rounding, if there is room.
    """

    name: str  # the model's name with its variant, such as "u2netp-int8"
    model: Model
    backend: str
    skipped: Mapping[str, str]
    program: Program
    second_look: bool = True

    @property
    def threads(self) -> int:
        """How many threads the program uses."""
        return self.program.threads

    async def run(self, x: np.ndarray, checkpoint: Checkpoint = no_checkpoint) -> np.ndarray:
        """Return the card's output for one input, both float32.

        x: (1, 3, h, w) as `preprocess` makes it. Raises Cancelled when `checkpoint` does.
        """
        output = await self._run(self.program, x, checkpoint)
        if self.second_look and is_doubtful(postprocess(output, self.model.card.output)):
            with suppress(BackendError):  # there is no room: the first look stands
                again = await self._run_unrounded(x, checkpoint)
                return output if again is None else again
        return output

    async def _run_unrounded(self, x: np.ndarray, checkpoint: Checkpoint) -> np.ndarray | None:
        """Return the output computed in float32 throughout; None when it was already."""
        backend = backends.load(self.backend)
        program = await backend.compile_unrounded(self.model, threads=self.threads)
        if program is None:
            return None

        async def still_there(done: int, total: int) -> None:
            await checkpoint(total, total)

        try:
            return await self._run(program, x, still_there)
        finally:
            program.forget()
            program.close()

    async def _run(self, program: Program, x: np.ndarray, checkpoint: Checkpoint) -> np.ndarray:
        outputs = await program.run({self.model.graph.inputs[0]: x}, checkpoint)
        return outputs[self.model.card.output.name]

    def tune(self) -> None:
        """Let a program that can choose how it runs find out what is fastest now."""
        tune = getattr(self.program, "tune", None)
        if tune is not None:
            tune()

    def close(self) -> None:
        """Give back the program's memory and threads."""
        self.program.close()


async def open_session(
    model: Model, *, name: str = "", backend: str = "auto", threads: int | None = None
) -> Session:
    """Compile `model` for `backend` ("auto": the best that can run it).

    Raises ModelFormatError when it does not take a photo and give one map, BackendError when the
    backend asked for cannot be had.
    """
    _check_photo_model(model)
    choice = backends.choose(model.graph, backend)
    program = await backends.load(choice.name).compile(model, threads=threads)
    return Session(name or model.card.name, model, choice.name, choice.skipped, program)


def _check_photo_model(model: Model) -> None:
    """Raise ModelFormatError unless a photo fits in and one alpha map comes out."""
    graph, card = model.graph, model.card
    taken = [graph.shapes[key] for key in graph.inputs]
    if taken != [(1, 3, *card.input.size)]:
        raise ModelFormatError(
            f"{card.name}: takes {taken}, its card says one photo of {card.input.size}"
        )
    shape = graph.shapes[card.output.name]
    if len(shape) < 2 or math.prod(shape[:-2]) != 1:
        raise ModelFormatError(f"{card.name}: its output is {shape}, expected one map of alpha")
