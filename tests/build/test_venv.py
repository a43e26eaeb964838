"""Dependency groups, and when pip is asked again."""

from __future__ import annotations

from pathlib import Path

import pytest

from offcut_build import venv
from offcut_build.errors import LockError
from offcut_build.tree import Tree
from tests.build.conftest import write

GROUPS = b"""
[dependency-groups]
build = ["hatchling==1"]
test = ["pytest==9", { include-group = "build" }]
"""


@pytest.fixture
def calls(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Record what pip would be asked, with an environment that looks created."""
    path = tree.root / "pyproject.toml"
    path.write_bytes(path.read_bytes() + GROUPS)
    made: list[list[str]] = []

    def pretend(_: Tree, *arguments: str) -> None:
        made.append(list(arguments))

    def subset(_: Tree, groups: list[str], lines: list[str]) -> str:
        return " ".join(lines)

    monkeypatch.setattr(venv, "_pip", pretend)
    monkeypatch.setattr(venv, "write_subset", subset)
    monkeypatch.setattr(venv, "_create", lambda tree: write(tree.python, b""))
    return made


def test_included_groups_are_spelled_out() -> None:
    groups = {"a": ["x"], "b": [{"include-group": "a"}, "y"]}

    assert venv.requirements({"dependency-groups": groups}, "b") == ["x", "y"]
    with pytest.raises(LockError, match="'c'"):
        venv.requirements({"dependency-groups": groups}, "c")


def test_each_group_is_installed_once(tree: Tree, calls: list[list[str]]) -> None:
    venv.setup(tree)
    venv.setup(tree)
    assert [call[-1] for call in calls] == ["hatchling==1", str(tree.root)]

    venv.setup(tree, "test")
    venv.setup(tree, "test")
    venv.setup(tree)
    assert calls[2:] == [["--require-hashes", "-r", "hatchling==1 pytest==9"]]


def test_changed_requirements_are_installed_again(tree: Tree, calls: list[list[str]]) -> None:
    venv.setup(tree, "test")
    path = tree.root / "pyproject.toml"
    path.write_bytes(path.read_bytes().replace(b"pytest==9", b"pytest==10"))
    calls.clear()

    venv.setup(tree, "test")

    assert "pytest==10" in calls[0][-1]


def test_a_removed_environment_is_made_again(tree: Tree, calls: list[list[str]]) -> None:
    venv.setup(tree)
    Path(tree.python).unlink()
    calls.clear()

    venv.setup(tree)

    assert tree.python.exists() and len(calls) == 2
