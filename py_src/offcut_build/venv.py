"""The virtual environment .venv: created once, filled with the groups that a command needs.

The groups are [dependency-groups] of pyproject.toml; what pip installs for them, and with which
hashes, requirements.lock says. offcut itself is installed editable, so that .venv/bin/offcut runs
the checkout. Nothing is run again while pyproject.toml's tables, requirements.lock, the Python and
the folder stay the same.
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
from offcut_build.errors import BuildError, CommandError, DiskError, IntegrityError, LockError
from offcut_build.requirements import write_subset
from offcut_build.tree import Tree

__all__ = ["create", "requirements", "setup"]

SECONDS = 3600.0


def setup(tree: Tree, *groups: str) -> None:
    """Have .venv with offcut and these groups. Raises CommandError when pip cannot."""
    document = tree.project().document
    tables = {key: document.get(key) for key in ("project", "build-system", "dependency-groups")}
    kept = create(tree)
    key = stamp.fingerprint([tree.requirements], also=[kept["home"], tables])
    have = set(kept.get("groups", [])) if kept.get("key") == key else set()
    missing = [group for group in ("build", *groups) if group not in have]
    if not missing:
        return
    wanted = sorted({line for group in missing for line in requirements(document, group)})
    say(f"installing into .venv: {', '.join(wanted)}")
    _pip(tree, "--require-hashes", "-r", str(write_subset(tree, missing, wanted)))
    if "build" in missing:  # needs hatchling, which is in that group
        _pip(tree, "--no-build-isolation", "--editable", str(tree.root))
    groups_now = sorted(have | set(missing))
    stamp.write(tree, "venv", {"home": kept["home"], "key": key, "groups": groups_now})


def create(tree: Tree) -> dict[str, Any]:
    """Have .venv, though perhaps empty, and return what its stamp says."""
    home = [str(tree.root), sys.version, sys.prefix]
    kept = stamp.read(tree, "venv")
    if kept.get("home") != home or not tree.python.exists():
        _create(tree)
        kept = {"home": home}
        stamp.write(tree, "venv", kept)
    return kept


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
    call = [*pip, "--disable-pip-version-check", "--no-deps", "-q", *arguments]
    try:
        capture(call, where=tree.root, seconds=SECONDS, remedy=remedy)
    except CommandError as error:
        if "DO NOT MATCH THE HASHES" in str(error):
            text = "a package is not the one that requirements.lock names"
            remedy = "do not use that registry; or, for a change you mean: python3 build.py lock"
            raise IntegrityError(f"{text}:\n    {error}", remedy=remedy) from error
        if "No space left" in str(error):
            raise DiskError(".venv: the disk is full", remedy="free some space") from error
        raise
