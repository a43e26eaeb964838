"""PyTorch's CPU build for the tests of training, put into .venv where it can be had.

The registry's own build for Linux brings gigabytes of CUDA along. The CPU build has the local
version "+cpu", which pip finds only where a folder or index of it is configured; elsewhere the
tests of training are left out, and the build says so. HASHES names the wheels that are accepted.
"""

from __future__ import annotations

from collections.abc import Sequence

from offcut_build import stamp
from offcut_build.command import capture
from offcut_build.console import say
from offcut_build.errors import CommandError
from offcut_build.tree import Tree

__all__ = ["install"]

VERSION = "2.13.0+cpu"
HASHES: Sequence[str] = (
    "6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b",  # CPython 3.11, x86-64
)
SECONDS = 600.0


def install(tree: Tree) -> bool:
    """Have PyTorch in .venv, and return whether it is there; pip is not asked twice in vain."""
    if any(tree.venv.glob("[Ll]ib*/**/site-packages/torch")):
        return True
    key = [VERSION, *HASHES]
    if stamp.read(tree, "pytorch").get("missing") == key:
        return False
    text = f"torch=={VERSION} " + " ".join(f"--hash=sha256:{value}" for value in HASHES) + "\n"
    target = tree.cache / "pytorch.txt"
    stamp.put(target, text.encode())
    call = [str(tree.python), "-m", "pip", "install", "-q", "--no-deps", "--require-hashes"]
    try:
        capture([*call, "-r", target], where=tree.root, seconds=SECONDS)
    except CommandError:
        say("training is not tested: pip finds no CPU build of PyTorch here")
        stamp.write(tree, "pytorch", {"missing": key})
        return False
    return True
