"""The checkout's folders and its pyproject.toml, so that no other module spells a path."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from offcut_build.errors import BuildError, LockError

__all__ = ["Project", "Tree"]


@dataclass(frozen=True, slots=True)
class Project:
    """What the build needs of pyproject.toml."""

    name: str
    version: str
    summary: str
    licence: str
    requires_python: str
    dependencies: tuple[str, ...]
    scripts: dict[str, str]
    default_model: str
    document: dict[str, Any]

    @property
    def wheel_name(self) -> str:
        """The file name of the pure-Python wheel."""
        return f"{self.name}-{self.version}-py3-none-any.whl"


@dataclass(frozen=True, slots=True)
class Tree:
    """A checkout: everything the build reads or writes lies below `root`."""

    root: Path

    @property
    def app(self) -> Path:
        """The page."""
        return self.root / "app"

    @property
    def static(self) -> Path:
        """Files that go into dist/ as they are."""
        return self.root / "static"

    @property
    def models(self) -> Path:
        """Cards and shipped weights."""
        return self.root / "models"

    @property
    def source(self) -> Path:
        """The folder on Python's path."""
        return self.root / "py_src"

    @property
    def package(self) -> Path:
        """The package that the wheel holds."""
        return self.source / "offcut"

    @property
    def lock_file(self) -> Path:
        """The list of third-party files."""
        return self.root / "assets.lock.toml"

    @property
    def requirements(self) -> Path:
        """The list of Python packages that .venv may hold."""
        return self.root / "requirements.lock"

    @property
    def dist(self) -> Path:
        """The self-hostable folder."""
        return self.root / "dist"

    @property
    def cache(self) -> Path:
        """Everything that can be made again."""
        return self.root / ".cache"

    @property
    def venv(self) -> Path:
        """The virtual environment."""
        return self.root / ".venv"

    @property
    def kernels(self) -> Path:
        """Where `kernels` puts what dist/kernels/ ships."""
        return self.cache / "kernels"

    @property
    def python(self) -> Path:
        """The interpreter of the virtual environment."""
        parts = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")
        return self.venv.joinpath(*parts)

    def project(self) -> Project:
        """Read pyproject.toml. Raises LockError when it lacks what the build needs."""
        path = self.root / "pyproject.toml"
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8"))
            table = document["project"]
            return Project(
                name=table["name"],
                version=table["version"],
                summary=table["description"],
                licence=table["license"],
                requires_python=table["requires-python"],
                dependencies=tuple(table["dependencies"]),
                scripts=dict(table.get("scripts", {})),
                default_model=document["tool"]["offcut"]["default-model"],
                document=document,
            )
        except OSError as error:
            remedy = "run in a full checkout"
            raise BuildError(f"{path}: {error.strerror}", remedy=remedy) from error
        except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
            raise LockError(f"{path}: lacks or misstates {error}") from error
