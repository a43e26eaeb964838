"""Accuracy is measured on photos that the model has not seen, the same ones every time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from offcut.convert.statistics import ChannelStatistics, write_statistics
from offcut.errors import ImageError
from offcut_build.bench.accuracy import unseen_photos
from offcut_build.stamp import sha256


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
