"""Build dist/ and serve it on this machine."""

from __future__ import annotations

import os
import sys

from offcut_build import dist
from offcut_build.command import run
from offcut_build.tree import Tree

__all__ = ["serve"]


def serve(tree: Tree, *, port: int | None, open_page: bool) -> int:
    """Serve dist/ until interrupted and return the server's exit code.

    port: None takes the first free one from 8000.
    """
    folder = dist.make(tree)
    call = [str(tree.python), "-m", "offcut.serve", str(folder)]
    call += [] if port is None else ["--port", str(port)]
    call += ["--open"] if open_page else []
    if os.name == "posix":  # become the server, so that whoever ends this process ends it too
        os.chdir(tree.root)
        sys.stdout.flush()
        os.execv(call[0], call)
    return run(call, where=tree.root)
