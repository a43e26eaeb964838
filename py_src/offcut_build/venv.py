"""The virtual environment .venv: created once, filled with the groups that a command needs.

The groups are [dependency-groups] of pyproject.toml; offcut itself is installed editable, so that
.venv/bin/offcut runs the checkout. Nothing is run again while pyproject.toml's tables, the Python
and the folder stay the same.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from typing import Any

from offcut_build import stamp
from offcut_build.command import capture
from offcut_build.console import say
from offcut_build.errors import BuildError, CommandError, DiskError, LockError
from offcut_build.tree import Tree

__all__ = ["requirements", "setup"]

SECONDS = 3600.0


def setup(tree: Tree, *groups: str) -> None:
    """Have .venv with offcut and these groups. Raises CommandError when pip cannot."""
    document = tree.project().document
    tables = {key: document.get(key) for key in ("project", "build-system", "dependency-groups")}
    home = [str(tree.root), sys.version, sys.prefix]
    key = stamp.fingerprint([], also=[home, tables])
    kept = stamp.read(tree, "venv")
    if kept.get("home") != home or not tree.python.exists():
        _create(tree)
        kept = {"home": home}
        stamp.write(tree, "venv", kept)
    have = set(kept.get("groups", [])) if kept.get("key") == key else set()
    missing = [group for group in ("build", *groups) if group not in have]
    if not missing:
        return
    wanted = sorted({line for group in missing for line in requirements(document, group)})
    say(f"installing into .venv: {', '.join(wanted)}")
    _pip(tree, *wanted)
    if "build" in missing:  # needs hatchling, which is in that group
        _pip(tree, "--no-build-isolation", "--editable", f"{tree.root}[images]")
    groups_now = sorted(have | set(missing))
    stamp.write(tree, "venv", {"home": home, "key": key, "groups": groups_now})


def requirements(document: dict[str, Any], group: str) -> list[str]:
    """Return a dependency group's requirements, included groups among them (PEP 735)."""
    groups = document.get("dependency-groups", {})
    if group not in groups:
        raise LockError(f"pyproject.toml: has no dependency group {group!r}")
    found: list[str] = []
    for item in groups[group]:
        included = isinstance(item, dict)
        found += requirements(document, item["include-group"]) if included else [item]
    return found


def _create(tree: Tree) -> None:
    say(f"creating .venv with Python {sys.version.split()[0]}")
    shutil.rmtree(tree.venv, ignore_errors=True)
    try:
        venv.create(tree.venv, with_pip=True, symlinks=sys.platform != "win32")
    except OSError as error:
        raise DiskError.of(tree.venv, error) from error
    except subprocess.CalledProcessError as error:  # Debian's Python has no ensurepip of its own
        shutil.rmtree(tree.venv, ignore_errors=True)
        raise BuildError(
            f".venv: Python cannot make a virtual environment: {error}",
            remedy="install Python's venv module (on Debian and Ubuntu: apt install python3-venv)",
        ) from error


def _pip(tree: Tree, *arguments: str) -> None:
    remedy = "check the network (a proxy goes into HTTPS_PROXY) and run the same command again"
    pip = [str(tree.python), "-m", "pip", "install"]
    call = [*pip, "--disable-pip-version-check", "-q", *arguments]
    try:
        capture(call, where=tree.root, seconds=SECONDS, remedy=remedy)
    except CommandError as error:
        if "No space left" in str(error):
            raise DiskError(".venv: the disk is full", remedy="free some space") from error
        raise
