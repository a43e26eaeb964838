"""What the benchmark's worker calls: open a model, time forwards, time a photo's stages.

Arguments and answers are JSON.
"""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyodide_js

from offcut import container
from offcut.download import fetch_index, fetch_model
from offcut.imaging import png
from offcut.pipeline import Options, cut_out
from offcut.session import open_session
from offcut.web.network import patch_urllib

opened: dict[str, Any] = {}


def heap() -> int:
    """Return the bytes of Python's memory; it never shrinks, so this is the peak so far."""
    return int(pyodide_js._module.HEAP8.length)


async def open(root: str, argument: str) -> str:
    """Open a model. argument: {threads, model, backend}."""
    wanted = json.loads(argument)
    patch_urllib()
    entry = (await fetch_index(root + "models/index.json")).find(wanted["model"] or "")
    path = await fetch_model(entry, root + "models", Path("/tmp/bench"))
    model = container.read(path.read_bytes(), entry.file)
    if opened:
        opened["session"].close()
    begin, idle = time.perf_counter(), heap()
    session = await open_session(
        model, name=entry.name, backend=wanted["backend"], threads=wanted["threads"]
    )
    milliseconds = (time.perf_counter() - begin) * 1e3
    opened.update(session=session, idle=idle)
    answer = {"backend": session.backend, "threads": session.threads, "compile": milliseconds}
    return json.dumps(answer | {"heap_idle": idle})


async def forward(root: str, argument: str) -> str:
    """Run forwards on zeros. argument: how many; answer: milliseconds of each."""
    session = opened["session"]
    height, width = session.model.card.input.size
    x = np.zeros((1, 3, height, width), np.float32)
    spent = []
    for _ in range(json.loads(argument)):
        begin = time.perf_counter()
        await session.run(x)
        spent.append((time.perf_counter() - begin) * 1e3)
    return json.dumps({"milliseconds": spent, "heap_peak": heap()})


async def photo(root: str, argument: str) -> str:
    """Cut out a made photo of so many megapixels: answer: milliseconds per stage."""
    megapixels = float(json.loads(argument))
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    width = round(megapixels * 1e6 / height)
    image = made_photo(height, width)
    cutout = await cut_out(image, opened["session"])
    result = cutout.compose(Options())
    begin = time.perf_counter()
    data = png.encode(result)
    cutout.milliseconds["encode"] = (time.perf_counter() - begin) * 1e3
    sizes = {"bytes": len(data), "heap_peak": heap()}
    return json.dumps({"milliseconds": cutout.milliseconds} | sizes)


def made_photo(height: int, width: int) -> np.ndarray:
    """Return a bright ball on a dull gradient with grain, u8 RGBA (height, width, 4)."""
    rng = np.random.default_rng(7)
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1.33, 1.33, width, dtype=np.float32)
    image = np.empty((height, width, 4), np.uint8)
    for row in range(0, height, 256):
        band = y[row : row + 256]
        inside = np.hypot(x, band) < 0.6
        grain = rng.integers(0, 12, (len(band), width), dtype=np.uint8)
        image[row : row + 256, :, 0] = np.where(inside, 200 + 40 * band, 90 + 20 * x) + grain
        image[row : row + 256, :, 1] = np.where(inside, 60 - 30 * band, 100 + 10 * band) + grain
        image[row : row + 256, :, 2] = np.where(inside, 40, 110 - 20 * x) + grain
    image[..., 3] = 255
    return image
