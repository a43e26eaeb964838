"""Zip files with the same bytes wherever and whenever they are made.

Names are sorted, dates and modes fixed. Members are stored, not deflated: zlib's output differs
between its versions and builds, so a deflated wheel could not be checked by its hash elsewhere.
A pack is such a zip file, compressed as a whole with gzip.
"""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Mapping

__all__ = ["packed", "stored_zip"]

DATE = (1980, 1, 1, 0, 0, 0)  # the earliest a zip file can say
MODE = 0o100644 << 16
UNIX = 3


def stored_zip(files: Mapping[str, bytes]) -> bytes:
    """Return a zip file of name -> bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            info = zipfile.ZipInfo(name, DATE)
            info.create_system = UNIX
            info.external_attr = MODE
            archive.writestr(info, files[name])
    return buffer.getvalue()


def packed(files: Mapping[str, bytes]) -> bytes:
    """Return a pack of name -> bytes; the same on all machines with the same zlib."""
    return gzip.compress(stored_zip(files), compresslevel=9, mtime=0)
