"""Copy one member of a zip file on the web, by HTTP ranges: URL MEMBER FILE.

Run by the interpreter of .venv, which has remotezip; nothing else of the build needs it.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

__all__ = ["copy"]


def copy(url: str, member: str, file: Path) -> None:
    """Write the bytes of `member` inside the zip at `url` to `file`."""
    from remotezip import RemoteZip

    file.parent.mkdir(parents=True, exist_ok=True)
    with RemoteZip(url) as archive, archive.open(member) as stream, file.open("wb") as out:
        shutil.copyfileobj(stream, out)


if __name__ == "__main__":
    copy(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
