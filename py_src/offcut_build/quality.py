"""Measure every shipped model on photos with ground truth: `python3 build.py quality -- DIR`.

It runs `offcut evaluate DIR --compare` against the float32 source and writes models/quality.json,
from which docs/models.md, the page and the models' cards have their figures. With --pictures FOLDER
the worst photos of each model are written there. Without DIR the docs alone are made again.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from offcut_build import assets, stamp, venv
from offcut_build.command import run
from offcut_build.errors import BuildError, LockError
from offcut_build.tree import Tree

__all__ = ["COMMAND", "FILE", "build", "read"]

FILE = "quality.json"  # in models/
COMMAND = "python3 build.py quality -- DIR"
SOURCE = "u2netp.onnx"  # the float32 network, in assets.lock.toml


def build(tree: Tree, arguments: Sequence[str]) -> int:
    """Measure, then write the documents; return the exit code."""
    parser = argparse.ArgumentParser(prog="build.py quality --")
    parser.add_argument("folder", metavar="DIR", nargs="?", help="im/ and gt/, or folders of them")
    parser.add_argument("--pictures", metavar="FOLDER")
    options = parser.parse_args(list(arguments))
    venv.setup(tree, "kernels")
    if options.folder:
        source = assets.ensure(tree)[SOURCE]
        made = tree.cache / FILE
        call: list[str | Path] = [tree.python, "-m", "offcut", "evaluate", options.folder]
        call += ["--compare", "--against", source, "--json", made]
        call += ["--pictures", options.pictures] if options.pictures else []
        code = run(call, where=tree.root, env={"OFFCUT_MODELS": str(tree.models)})
        if code:
            return code
        stamp.put(tree.models / FILE, made.read_bytes())
    return run([tree.python, "-m", "offcut_build.quality"], where=tree.root)


def read(tree: Tree) -> dict[str, Any]:
    """Return models/quality.json, {} when there is none. Raises LockError when it is damaged."""
    path = tree.models / FILE
    if not path.exists():
        return {}
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return {"photos": found["photos"], "models": found["models"]}
    except (ValueError, KeyError, TypeError) as error:
        raise LockError(f"models/{FILE}: lacks or misstates {error}", remedy=COMMAND) from error


def write_docs(tree: Tree) -> None:
    """Write docs/models.md from models/quality.json."""
    from offcut.evaluate.levels_text import page

    text = page(read(tree), COMMAND)
    stamp.put(tree.root / "docs" / "models.md", text.encode())


if __name__ == "__main__":
    try:
        write_docs(Tree(Path(__file__).resolve().parents[2]))
    except BuildError as error:
        sys.exit(f"error: {error}\n  remedy: {error.remedy}")
