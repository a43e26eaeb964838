"""requirements.lock: every Python package that .venv may hold, with version and hashes.

`python3 build.py lock` writes it with uv, for every platform and Python at once, from the
dependency groups of pyproject.toml; pip then installs from it with --require-hashes, so that a
package which a registry has changed since is refused. The format is pip's:

    NAME==VERSION [; MARKER] \\
        --hash=sha256:... \\
        --hash=sha256:...
        # via
        #   NAME OF WHAT NEEDS IT
        #   offcut (pyproject.toml:GROUP)

A package may stand there several times, with markers that exclude one another. The comments tell
which packages a group needs: those are installed, and no others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from offcut_build import stamp
from offcut_build.command import capture
from offcut_build.errors import LockError
from offcut_build.tree import Tree

__all__ = ["Requirement", "lock", "missing", "needed", "parse", "write_subset"]

SECONDS = 900.0
GROUP = re.compile(r"\(pyproject\.toml:([\w-]+)\)")
REMEDY = "python3 build.py lock"


@dataclass(frozen=True, slots=True)
class Requirement:
    """A package of the file."""

    name: str
    version: str
    text: str  # the entry as pip reads it
    parents: frozenset[str]  # packages that need it
    groups: frozenset[str]  # dependency groups that name it


def parse(text: str) -> list[Requirement]:
    """Read the file. Raises LockError when an entry has no version or no hash."""
    entries = re.split(r"(?m)^(?=[A-Za-z0-9])", text)[1:]
    return [_entry(entry) for entry in entries]


def _entry(text: str) -> Requirement:
    found = re.match(r"([\w.-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", text)
    if found is None or "--hash=sha256:" not in text:
        line = text.partition("\n")[0]
        raise LockError(f"requirements.lock: {line!r} lacks a version or a hash", remedy=REMEDY)
    comment = text[text.find("# via") :].replace("# via", "") if "# via" in text else ""
    lines = [line.strip(" #\n") for line in comment.splitlines()]
    body = "\n".join(x for x in text.splitlines() if x.strip() and not x.strip().startswith("#"))
    return Requirement(
        name=_normal(found[1]),
        version=found[2],
        text=body,
        parents=frozenset(_normal(line) for line in lines if line and "(" not in line),
        groups=frozenset(name for line in lines for name in GROUP.findall(line)),
    )


def needed(requirements: Iterable[Requirement], groups: Iterable[str]) -> list[Requirement]:
    """Return what these dependency groups need, with what their packages need in turn."""
    rows, wanted = list(requirements), set(groups)
    names = {row.name for row in rows if row.groups & wanted}
    size = -1
    while len(names) != size:
        size = len(names)
        names |= {row.name for row in rows if row.parents & names}
    return [row for row in rows if row.name in names]


def missing(requirements: Iterable[Requirement], lines: Iterable[str]) -> list[str]:
    """Return which of a group's requirements, such as "numpy==2.3.4", the file does not hold."""
    have = {(row.name, row.version) for row in requirements}
    names = {name for name, _ in have}
    absent = []
    for line in lines:
        name, _, version = line.partition(";")[0].strip().partition("==")
        name = _normal(re.split(r"[\[<>=!~;\s]", name, maxsplit=1)[0])
        if name not in names or (version and (name, version) not in have):
            absent.append(line)
    return absent


def lock(tree: Tree) -> None:
    """Write requirements.lock anew from pyproject.toml's groups."""
    groups = tree.project().document["dependency-groups"]
    folder, target = tree.cache / "uv", tree.requirements
    pip = [str(tree.python), "-m", "pip", "install", "-q", "--target", str(folder), "--upgrade"]
    capture([*pip, *groups["lock"]], where=tree.root, seconds=SECONDS)
    call: list[str | Path] = [folder / "bin" / "uv", "pip", "compile", "--quiet", "--universal"]
    call += ["--python-version", "3.11", "--generate-hashes", "--no-header", "--upgrade"]
    for group in sorted(groups):
        call += ["--group", group]
    capture([*call, "-o", target], where=tree.root, seconds=SECONDS)
    parse(target.read_text(encoding="utf-8"))


def write_subset(tree: Tree, groups: Iterable[str], lines: Iterable[str]) -> Path:
    """Write what pip is to install for these groups, and return the file.

    lines: the groups' requirements as pyproject.toml has them. Raises LockError when
    requirements.lock is older than they are.
    """
    path = tree.requirements
    if not path.exists():
        raise LockError("requirements.lock: is not there", remedy=REMEDY)
    rows = parse(path.read_text(encoding="utf-8"))
    absent = missing(rows, lines)
    if absent:
        text = f"requirements.lock: lacks {', '.join(absent)}, which pyproject.toml names"
        raise LockError(text, remedy=REMEDY)
    target = tree.cache / "requirements.txt"
    body = "\n".join(row.text for row in needed(rows, groups))
    stamp.put(target, f"{body}\n".encode())
    return target


def _normal(name: str) -> str:
    """Return a package's name as registries compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()
