"""Static checks: ruff, mypy --strict, and tsc --checkJs where node is there.

The page is plain JavaScript with JSDoc types. Its modules fall into two programs, since a page and
a worker have different globals; the settings are written to .cache/check/, so that app/ holds
nothing but what is shipped.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from offcut_build import venv
from offcut_build.command import run
from offcut_build.console import say
from offcut_build.errors import CommandError
from offcut_build.stamp import put
from offcut_build.tree import Tree

__all__ = ["check"]

TYPESCRIPT = "typescript@5.9.3"
WORKERS = ("worker.js", "kernel_thread.js", "sw.js")  # the rest of app/*.js is the page's
OPTIONS = {
    "allowJs": True,
    "checkJs": True,
    "noEmit": True,
    "strict": True,
    "target": "es2022",
    "module": "es2022",
    "moduleResolution": "bundler",
    "skipLibCheck": True,
    "types": [],
}


def check(tree: Tree) -> None:
    """Run every check. Raises CommandError naming those that failed."""
    venv.setup(tree, "check")
    python = str(tree.python)
    calls = {
        "ruff": [python, "-m", "ruff", "check", "--no-cache", "."],
        "mypy": [python, "-m", "mypy", "--strict", "py_src", "build.py"],
    } | _type_checks(tree)
    failed = []
    for name, call in calls.items():
        say(f"{name}:")
        if run(call, where=tree.root):
            failed.append(name)
    if failed:
        raise CommandError(f"check: {', '.join(failed)} found faults, listed above")


def _type_checks(tree: Tree) -> dict[str, list[str]]:
    npx = shutil.which("npx")
    if npx is None:
        say("tsc: left out, since node is not installed")
        return {}
    calls = {}
    scripts = sorted(tree.app.glob("*.js"))
    for name, lib, is_worker in (("page", "dom", False), ("workers", "webworker", True)):
        files = [path for path in scripts if (path.name in WORKERS) == is_worker]
        if files:
            settings = _settings(tree, name, lib, files)
            calls[f"tsc ({name})"] = [npx, "--yes", "-p", TYPESCRIPT, "tsc", "-p", str(settings)]
    return calls


def _settings(tree: Tree, name: str, lib: str, files: list[Path]) -> Path:
    path = tree.cache / "check" / f"{name}.json"
    options = OPTIONS | {"lib": ["es2024", lib, f"{lib}.iterable"]}
    names = [os.path.relpath(file, path.parent).replace(os.sep, "/") for file in files]
    put(path, json.dumps({"compilerOptions": options, "files": names}, indent=1).encode())
    return path
