"""start/left_out.json: which modules of the originals the page's pack does not hold."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

__all__ = ["left_out"]

TESTS = {"test", "tests", "idlelib"}


def left_out(originals: Mapping[str, Iterable[str]], kept: Iterable[str]) -> bytes:
    """Return {original: [module, ...]} as JSON, for offcut.web.missing.

    originals: path in dist/ -> names of its members. kept: names of the pack's members.
    """
    there = _modules(name.removeprefix("site-packages/") for name in kept)
    listed = {path: sorted(_modules(names) - there) for path, names in originals.items()}
    return json.dumps(listed, sort_keys=True, indent=1).encode() + b"\n"


def _modules(names: Iterable[str]) -> set[str]:
    """Return the modules that files in an archive are."""
    found = set()
    for name in names:
        stem, dot, ending = name.rpartition("/")[2].partition(".")
        folders = name.split("/")[:-1]
        if not dot or ending.split(".")[-1] not in ("py", "pyc", "so"):
            continue
        parts = folders if stem == "__init__" else [*folders, stem]
        if parts and "." not in "".join(folders) and not TESTS & set(parts):
            found.add(".".join(parts))
    return found
