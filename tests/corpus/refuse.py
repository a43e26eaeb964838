"""Decode every file of a folder in a process of its own, and tell what each has cost.

Prints a JSON list of rows [name, what came of it, seconds, megabytes by which the process grew].
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from resource import RUSAGE_SELF, getrusage

from offcut.errors import ImageError
from offcut.imaging import files
from tests.corpus.ladders import whole

KILOBYTES = 1e6 if sys.platform == "darwin" else 1e3  # ru_maxrss in a megabyte


def main(folder: Path) -> None:
    """Try the files after one of each kind, so that no decoder is loaded for the first time."""
    for data in whole().values():
        files.decode(data, "warm")
    rows = []
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        before, begin = getrusage(RUSAGE_SELF).ru_maxrss, time.process_time()
        try:
            result = f"{files.decode(data, path.name).shape}"
        except ImageError as error:
            result = str(error)
        seconds = time.process_time() - begin
        grown = (getrusage(RUSAGE_SELF).ru_maxrss - before) / KILOBYTES
        rows.append([path.name, result, seconds, grown])
    print(json.dumps(rows))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
