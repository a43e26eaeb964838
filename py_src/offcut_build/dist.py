"""dist/: the self-hostable folder, every byte of it named in manifest.json.

    app/*, static/**                as they are
    pyodide/                        Pyodide's core, its pruned lock file, the wheels, our wheel
    start/                          what the page's Python imports, see start/modules.py
    kernels/                        what `build.py kernels` made, when it did
    models/index.json, models/*.safetensors
    LICENSE, THIRD_PARTY.md, sbom.cdx.json
    sw.js                           the service worker with the rows of all the rest; see offline.py
    manifest.json                   {"version", "build", "files": {path: {"sha256", "bytes"}}}, of
                                    all the rest

index.html says which build it is of, so that a page whose server was given another one meanwhile
does not use that one's files. "build" is the hash of the rows before that, without sw.js.

Paths are relative everywhere, so the folder works below any address. The same inputs give the
same bytes in any folder, time zone and umask.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from offcut_build import (
    assets,
    kernels,
    models_index,
    offline,
    preload,
    pyodide_lock,
    sbom,
    stamp,
    venv,
    wheel,
)
from offcut_build.console import megabytes, say
from offcut_build.errors import BuildError, DiskError
from offcut_build.lock import read
from offcut_build.stamp import files_below, sha256
from offcut_build.start import modules
from offcut_build.tree import Tree

__all__ = ["build", "collect", "finished", "make", "stands"]

MANIFEST = "manifest.json"


def make(tree: Tree) -> Path:
    """Set up whatever dist/ needs, make it unless it stands, and return it."""
    venv.setup(tree, "kernels")
    kernels.build(tree)
    found = assets.ensure(tree, [a for a in read(tree.lock_file).assets if a.ship])
    return build(tree, found, modules.ensure(tree, found))


def build(tree: Tree, found: dict[str, Path], start: modules.Start) -> Path:
    """Make dist/ unless it stands, and return it.

    found: file name -> path of every asset that is shipped. start: the files of dist/start/.
    """
    archives = {name: sha256(data) for name, data in start.files.items()}
    key = stamp.fingerprint(_inputs(tree), also=[start.how, archives])
    if stamp.read(tree, "dist").get("key") == key and stands(tree.dist):
        say("dist/ is up to date")
        return tree.dist
    files = collect(tree, found, start)
    files[preload.PAGE] = preload.with_preloads(files)
    if preload.WORKER in files:
        files[preload.WORKER] = preload.bundled(files, preload.WORKER)
    files = finished(files, tree.project().version)
    _replace(tree, files)
    stamp.write(tree, "dist", {"key": key})
    say(f"dist/ built: {len(files)} files, {megabytes(sum(map(len, files.values())))}")
    return tree.dist


def _inputs(tree: Tree) -> list[Path]:
    code = Path(__file__).parent
    files = ["LICENSE", "THIRD_PARTY.md", "pyproject.toml", "assets.lock.toml"]
    folders = [tree.app, tree.static, tree.models, tree.package, tree.kernels, code]
    return [*folders, *(tree.root / name for name in files)]


def collect(tree: Tree, found: dict[str, Path], start: modules.Start) -> dict[str, bytes]:
    """Return dist/'s files but the manifest: path -> bytes.

    found: file name -> path of every asset. start: the files of dist/start/. Raises BuildError when
    two origins give one path.
    """
    project, lock = tree.project(), read(tree.lock_file)
    own_wheel = wheel.build(tree)
    index, weights = models_index.build(tree, project.default_model)
    origins: dict[str, dict[str, bytes]] = {
        "app/": {name: path.read_bytes() for name, path in files_below(tree.app)},
        "static/": {name: path.read_bytes() for name, path in files_below(tree.static)},
        "assets.lock.toml": {a.ship: found[a.file].read_bytes() for a in lock.assets if a.ship},
        "the kernels": {
            f"kernels/{name}": path.read_bytes() for name, path in files_below(tree.kernels)
        },
        "the bytecode": {f"start/{name}": data for name, data in start.files.items()},
        "models/": {f"models/{name}": data for name, data in weights.items()},
        "the build": {
            "models/index.json": index,
            f"pyodide/{project.wheel_name}": own_wheel,
            "pyodide/pyodide-lock.json": pyodide_lock.build(lock, project, own_wheel),
            "sbom.cdx.json": sbom.build(tree, lock, project),
            "LICENSE": (tree.root / "LICENSE").read_bytes(),
            "THIRD_PARTY.md": (tree.root / "THIRD_PARTY.md").read_bytes(),
        },
    }
    return _merge(origins)


def _merge(origins: dict[str, dict[str, bytes]]) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    owner: dict[str, str] = {MANIFEST: "the build"}
    for origin, rows in origins.items():
        for name, data in rows.items():
            if name in owner:
                raise BuildError(f"dist/{name}: comes from {owner[name]} and from {origin}")
            owner[name] = origin
            files[name] = data
    if "index.html" not in files:
        raise BuildError("app/index.html: not found", remedy="run in a full checkout")
    return files


def finished(sources: dict[str, bytes], version: str) -> dict[str, bytes]:
    """Return path -> bytes of all files, those that name the rest included.

    sources: path -> bytes, with sw.js as it is in app/.
    """
    page = sources[preload.PAGE]
    rest = {name: data for name, data in sources.items() if name not in (offline.SCRIPT, MANIFEST)}
    plain = rest | {preload.PAGE: preload.with_build(page, "")}
    build = sha256(json.dumps(_rows(plain)).encode())
    files = rest | {preload.PAGE: preload.with_build(page, build)}
    if offline.SCRIPT in sources:
        files[offline.SCRIPT] = offline.script(sources | files, _rows(files), version, build)
    table = {"version": version, "build": build, "files": _rows(files)}
    return files | {MANIFEST: json.dumps(table, indent=1).encode() + b"\n"}


def _rows(files: dict[str, bytes]) -> dict[str, dict[str, Any]]:
    return {n: {"sha256": sha256(files[n]), "bytes": len(files[n])} for n in sorted(files)}


def stands(folder: Path) -> bool:
    """Tell whether a folder holds exactly the files, with the bytes, that its manifest names."""
    try:
        rows: dict[str, Any] = json.loads((folder / MANIFEST).read_bytes())["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    there = {name: path for name, path in files_below(folder) if name != MANIFEST}
    return there.keys() == rows.keys() and all(
        path.stat().st_size == rows[name]["bytes"]
        and sha256(path.read_bytes()) == rows[name]["sha256"]
        for name, path in there.items()
    )


def _replace(tree: Tree, files: dict[str, bytes]) -> None:
    """Write a whole new folder, then put it in dist/'s place, so that no half of it is served."""
    new, old = tree.cache / "dist.new", tree.cache / "dist.old"
    for folder in (new, old):
        shutil.rmtree(folder, ignore_errors=True)
    path = new
    try:
        for name, data in files.items():
            path = new / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            path.chmod(0o644)
        for path in [new, *(p for p in new.rglob("*") if p.is_dir())]:
            path.chmod(0o755)
        if tree.dist.exists():
            tree.dist.rename(old)
        new.rename(tree.dist)
    except OSError as error:
        raise DiskError.of(path, error) from error
    shutil.rmtree(old, ignore_errors=True)
