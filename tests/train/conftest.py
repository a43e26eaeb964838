"""Leave these tests out where there is no PyTorch, which the build says; make photos for them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

collect_ignore_glob = [] if find_spec("torch") else ["test_*.py"]


@pytest.fixture(scope="session")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four small photos, smooth and coloured, in two folders: three to train with, one apart."""
    folder, random = tmp_path_factory.mktemp("photos"), np.random.default_rng(5)
    names = ["train/0.png", "train/1.png", "train/2.png", "held/3.png"]
    for name in names:
        pixels = random.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        image = Image.fromarray(pixels).resize((80, 60), Image.Resampling.BICUBIC)
        (folder / name).parent.mkdir(exist_ok=True)
        image.save(folder / name)
    return [folder / name for name in names]
