"""Import an ONNX file as a float32 model: on the page from its bytes alone, in a terminal by path.

The steps are those of `source_draft`; between them the caller is told, and may stop.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Generator
from pathlib import Path, PurePosixPath

import numpy as np

from offcut.backends import Checkpoint, no_checkpoint
from offcut.card import ModelCard
from offcut.container import Model
from offcut.convert.draft import Draft
from offcut.convert.fuse import fuse
from offcut.convert.identify import Wishes, identify
from offcut.convert.onnx_reader import read_onnx
from offcut.convert.onnx_tensor import Beside, none_beside
from offcut.convert.trace import trace
from offcut.errors import IntegrityError, ModelFormatError
from offcut.quant import float_tensor

__all__ = ["beside_of", "check_source", "import_file", "import_onnx"]

NOTHING = Wishes()  # all is left to the file
STEPS = 4  # reading, tracing, fusing, checking


async def import_onnx(
    data: bytes | memoryview,
    name: str,
    *,
    wishes: Wishes = NOTHING,
    checkpoint: Checkpoint = no_checkpoint,
) -> tuple[Model, Draft]:
    """Return the float32 model of an ONNX file that is at hand as bytes alone, and its draft.

    name: of the file, for errors, and without its ending the model's. Raises ModelFormatError and
    UnsupportedOperatorError, and Cancelled when `checkpoint` does.
    """
    steps = _steps(data, name, wishes, None, none_beside)
    while True:
        try:
            done = next(steps)
        except StopIteration as end:
            await checkpoint(STEPS, STEPS)
            model, draft = end.value
            return model, draft
        await checkpoint(done, STEPS)


def import_file(
    path: Path, *, wishes: Wishes = NOTHING, card: ModelCard | None = None
) -> tuple[Model, Draft]:
    """Return the float32 model of the ONNX file at `path`, and the draft with its record.

    Weights may lie in a file beside it. card: without one it is made by `identify`.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelFormatError(f"{path}: cannot be read: {error.strerror or error}") from error
    steps = _steps(data, path.name, wishes, card, beside_of(path.parent))
    while True:
        try:
            next(steps)
        except StopIteration as end:
            model, draft = end.value
            return model, draft


def _steps(
    data: bytes | memoryview, name: str, wishes: Wishes, card: ModelCard | None, beside: Beside
) -> Generator[int, None, tuple[Model, Draft]]:
    """Import, and yield before each step how many are done."""
    yield 0
    model = read_onnx(data, name, beside)
    if card is None:
        card = identify(PurePosixPath(name).stem, model, wishes)
    else:
        check_source(data, card, name)
    yield 1
    wanted = [card.output.name]
    draft = trace(model, size=card.input.size, outputs=wanted, precision=np.float32)
    _check_map(draft, wanted[0])
    yield 2
    draft = fuse(draft, wanted)
    yield 3
    weights = {key: float_tensor(array) for key, array in draft.weights.items()}
    imported = Model(draft.graph, weights, card)
    imported.check()
    return imported, draft


def check_source(data: bytes | memoryview, card: ModelCard, where: str) -> None:
    """Raise IntegrityError when the card names other bytes as its source."""
    want = str(card.document.get("source", {}).get("sha256", ""))
    got = hashlib.sha256(data).hexdigest()
    if want and got != want:
        raise IntegrityError(
            f"{where}: sha256 is {got[:12]}..., card {card.name} says {want[:12]}...",
            remedy="fetch the source file again",
        )


def beside_of(folder: Path) -> Beside:
    """Return a reader of the files in `folder`, and of no other file."""
    known: dict[str, memoryview] = {}

    def read(name: str, where: str) -> memoryview:
        try:
            if name not in known:
                known[name] = memoryview(_inside(folder, name, where).read_bytes())
            return known[name]
        except OSError as error:
            reason = error.strerror or error
            raise ModelFormatError(f"{where}: {name!r} cannot be read: {reason}") from error

    return read


def _inside(folder: Path, name: str, where: str) -> Path:
    """Return the path of a file inside the folder. Raises ModelFormatError for any other."""
    parts = PurePosixPath(name).parts
    plain = bool(name) and "\\" not in name and "\0" not in name and ".." not in parts
    path = folder / name if plain else folder
    if not plain or not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
        raise ModelFormatError(
            f"{where}: its values lie in {name!r}, which is no file in the model's folder",
            remedy="put the file that came with the model beside it",
        )
    return path


def _check_map(draft: Draft, output: str) -> None:
    """Raise ModelFormatError unless the output is one map of alpha."""
    shape = draft.graph.shapes[output]
    if len(shape) < 2 or math.prod(shape[:-2]) != 1:
        raise ModelFormatError(
            f"output {output}: its shape is {shape}, expected one map, (1, 1, height, width)",
            remedy="choose another output with --output",
        )
