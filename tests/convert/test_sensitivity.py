"""The sensitivity file: what is written is read, and what is damaged is refused."""

from __future__ import annotations

import numpy as np
import pytest

from offcut.convert.sensitivity import read_sensitivity, write_sensitivity
from offcut.errors import ModelFormatError

ROWS = {"w1": np.array([1.0, 0.25]), "w2": np.array([0.0, 3.0, 8.0])}


def test_what_is_written_is_read() -> None:
    found = read_sensitivity(write_sensitivity(ROWS), "file")
    assert {name: row.tolist() for name, row in found.items()} == {
        name: row.tolist() for name, row in ROWS.items()
    }


@pytest.mark.parametrize(
    "data",
    [
        b"",
        write_sensitivity(ROWS)[:-4],
        write_sensitivity({"w": np.array([-1.0])}),
        write_sensitivity({"w": np.array([np.nan])}),
        write_sensitivity(ROWS).replace(b"sensitivity-1", b"sensitivity-9"),
    ],
)
def test_a_damaged_file_is_refused(data: bytes) -> None:
    with pytest.raises(ModelFormatError, match="file: malformed sensitivity"):
        read_sensitivity(data, "file")
