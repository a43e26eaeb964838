"""Pillow's own test images, out of its source archive; offcut_build/corpus.py has it fetched."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from pathlib import PurePosixPath

import pytest

FOLDER = "Tests/images/"
LEAST = 1_000  # files in the archive


def pillow_images() -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of each file; skip the test where the archive cannot be had."""
    path = os.environ.get("OFFCUT_CORPUS")
    if not path:
        pytest.skip(os.environ.get("OFFCUT_CORPUS_MISSING", "run by `python3 build.py test`"))
    with tarfile.open(path) as archive:
        for member in archive:
            parts = PurePosixPath(member.name).parts[1:]
            name = "/".join(parts)
            if name.startswith(FOLDER) and (file := archive.extractfile(member)):
                yield name.removeprefix(FOLDER), file.read()
