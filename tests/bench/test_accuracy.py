"""Accuracy is measured on photos that the model has not seen, the same ones every time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from offcut.convert.statistics import ChannelStatistics, write_statistics
from offcut.errors import ImageError
from offcut_build.bench.accuracy import draw, unseen_photos
from offcut_build.stamp import sha256
from tests.simd.networks import one_node


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of thirty files that are named as photos."""
    for number in range(30):
        (tmp_path / f"{number:02}.jpg").write_bytes(b"photo %d" % number)
    return tmp_path


def statistics(folder: Path, used: list[str]) -> Path:
    path = folder / "used.safetensors"
    one = np.zeros(1)
    known = {"x": ChannelStatistics(one, one, one, one)}
    path.write_bytes(write_statistics(known, used))
    return path


def test_photos_used_to_calibrate_are_left_out(folder: Path) -> None:
    used = [sha256((folder / f"{number:02}.jpg").read_bytes()) for number in (0, 2)]
    found = unseen_photos(folder, statistics(folder, used))
    assert [path.name for path in found[:2]] == ["01.jpg", "03.jpg"] and len(found) == 24


def test_a_folder_of_nothing_else_is_refused(folder: Path) -> None:
    used = [sha256(path.read_bytes()) for path in folder.glob("*.jpg")]
    with pytest.raises(ImageError, match="calibrated with"):
        unseen_photos(folder, statistics(folder, used))


def test_a_draw_widens_each_range_by_a_chance_of_its_own_and_changes_nothing_else() -> None:
    x = np.linspace(-1, 2, 8 * 16, dtype=np.float32).reshape(1, 8, 4, 4)
    model = one_node("Relu", {"x": x}, {})
    drawn = draw(model, 1)
    factors = [
        wide / range_
        for name, bounds in model.ranges.items()
        for wide, range_ in zip(drawn.ranges[name], bounds, strict=True)
        if range_
    ]
    assert all(1.0 <= factor <= 1.06 for factor in factors) and len(set(factors)) > 1
    assert drawn.graph is model.graph and drawn.weights is model.weights
    assert drawn.ranges == draw(model, 1).ranges != draw(model, 2).ranges
