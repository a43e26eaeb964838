"""The wheel for the browser: py_src/offcut and the model cards, without weights.

The page, and `micropip.install` in a notebook, load this one. `pip install .` builds another by
hatchling from pyproject.toml, which also holds the shipped weights and the kernels' C sources.
"""

from __future__ import annotations

import base64
import hashlib

from offcut_build.archive import stored_zip
from offcut_build.stamp import files_below
from offcut_build.tree import Project, Tree

__all__ = ["build"]

NOT_IN_A_BROWSER = ("train/",)  # needs PyTorch
ENDINGS = (".py", ".typed", ".wgsl")  # C sources are for CPython, whose wheel pip builds


def build(tree: Tree) -> bytes:
    """Return the wheel's bytes; the same sources give the same bytes."""
    project = tree.project()
    files = {
        f"{project.name}/{name}": path.read_bytes()
        for name, path in files_below(tree.package)
        if name.endswith(ENDINGS) and not name.startswith(NOT_IN_A_BROWSER)
    }
    for name, path in files_below(tree.models):
        if name.endswith(".toml") and "/" not in name:
            files[f"{project.name}/models/{name}"] = path.read_bytes()
    info = f"{project.name}-{project.version}.dist-info"
    files[f"{info}/METADATA"] = _metadata(project).encode()
    files[f"{info}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: offcut_build\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    if project.scripts:
        scripts = "".join(f"{name} = {target}\n" for name, target in project.scripts.items())
        files[f"{info}/entry_points.txt"] = f"[console_scripts]\n{scripts}".encode()
    files[f"{info}/licenses/LICENSE"] = (tree.root / "LICENSE").read_bytes()
    files[f"{info}/RECORD"] = _record(files, f"{info}/RECORD").encode()
    return stored_zip(files)


def _metadata(project: Project) -> str:
    lines = [
        "Metadata-Version: 2.4",
        f"Name: {project.name}",
        f"Version: {project.version}",
        f"Summary: {project.summary}",
        f"License-Expression: {project.licence}",
        "License-File: LICENSE",
        f"Requires-Python: {project.requires_python}",
        *(f"Requires-Dist: {requirement}" for requirement in project.dependencies),
    ]
    return "\n".join(lines) + "\n"


def _record(files: dict[str, bytes], record: str) -> str:
    rows = []
    for name in sorted(files):
        digest = base64.urlsafe_b64encode(hashlib.sha256(files[name]).digest()).decode()
        rows.append(f"{name},sha256={digest.rstrip('=')},{len(files[name])}")
    return "\n".join([*rows, f"{record},,"]) + "\n"
