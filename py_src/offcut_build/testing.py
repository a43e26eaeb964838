"""Run the tests as a user would: everything they need is set up first, browsers included.

The tests learn what was set up from the environment: OFFCUT_DIST, and per browser its path
(OFFCUT_CHROMIUM, OFFCUT_FIREFOX, OFFCUT_WEBKIT_DRIVER) or why there is none (..._MISSING), and the
same for the archive of Pillow's test images (OFFCUT_CORPUS).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from offcut_build import browser, corpus, dist, pytorch, venv
from offcut_build.command import run
from offcut_build.tree import Tree

__all__ = ["test"]


def test(tree: Tree, arguments: Sequence[str]) -> int:
    """Run pytest with extra arguments and return its exit code."""
    venv.setup(tree, "test")
    pytorch.install(tree)
    env = browser.environment(tree) | {"OFFCUT_DIST": str(dist.make(tree))}
    env |= corpus.environment(tree)
    with _display() as display:
        return run([tree.python, "-m", "pytest", *arguments], where=tree.root, env=env | display)


@contextmanager
def _display() -> Iterator[dict[str, str]]:
    """Give programs without a headless mode a display where there is none (Linux, with Xvfb)."""
    xvfb = shutil.which("Xvfb")
    if xvfb is None or not sys.platform.startswith("linux") or os.environ.get("DISPLAY"):
        yield {}
        return
    read, write = os.pipe()
    call = [xvfb, "-displayfd", str(write), "-screen", "0", "1440x1000x24", "-nolisten", "tcp"]
    server = subprocess.Popen(call, pass_fds=[write], stderr=subprocess.DEVNULL)
    try:
        os.close(write)
        with os.fdopen(read) as answer:
            number = answer.readline().strip()  # "" when the server did not start
        yield {"DISPLAY": f":{number}"} if number else {}
    finally:
        server.terminate()
        server.wait()
