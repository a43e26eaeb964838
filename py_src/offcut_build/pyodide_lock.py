"""Pyodide's lock file with the packages that dist/ holds, our wheel among them.

`loadPackage` reads it and checks each wheel's sha256 against it. The entries have the form of
Pyodide's own lock file; what they say is in assets.lock.toml.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from offcut_build.errors import LockError
from offcut_build.lock import Lock
from offcut_build.stamp import sha256
from offcut_build.tree import Project

__all__ = ["build"]

NEEDED = ("numpy", "pyodide-http")  # by our wheel in the browser; pyodide-http makes urllib work


def build(lock: Lock, project: Project, wheel: bytes) -> bytes:
    """Return dist/pyodide/pyodide-lock.json.

    wheel: our own wheel's bytes. Raises LockError when a package needs one that is not there.
    """
    packages = {
        asset.package: _entry(
            asset.name, asset.version, asset.file, asset.sha256, asset.imports, asset.depends
        )
        for asset in lock.assets
        if asset.package
    }
    packages[project.name] = _entry(
        project.name, project.version, project.wheel_name, sha256(wheel), (project.name,), NEEDED
    )
    for name, entry in packages.items():
        missing = set(entry["depends"]) - set(packages)
        if missing:
            raise LockError(f"assets.lock.toml: {name} needs {sorted(missing)}, which is not there")
    document = {"info": lock.info, "packages": packages}
    return json.dumps(document, sort_keys=True, indent=1).encode() + b"\n"


def _entry(
    name: str, version: str, file: str, digest: str, imports: Iterable[str], depends: Iterable[str]
) -> dict[str, Any]:
    return {
        "depends": list(depends),
        "file_name": file,
        "imports": list(imports),
        "install_dir": "site",
        "name": name,
        "package_type": "package",
        "sha256": digest,
        "unvendored_tests": False,
        "version": version,
    }
