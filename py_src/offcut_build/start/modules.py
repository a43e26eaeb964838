"""The files of dist/start/: what the page's Python imports.

    start/python.pack       Python's memory once it has imported what the page needs, and files for
                            its library folder that it may need yet; see app/snapshot.js
    start/modules.pack      all modules, for a browser that the snapshot does not fit: a gzipped zip
                            by their path below Python's library folder, the standard library, and
                            in site-packages/ numpy, pyodide-http, Offcut
    start/left_out.json     {original archive: [module that is in neither, ...]}

The packs hold only PARTS and what an import of IMPORTS reads, compiled by Pyodide's own Python,
which Node.js runs at build time: half of a stock start is the compilation of sources. What was left
out is fetched from the originals in dist/pyodide/ by offcut.web.missing when it is imported. Where
Node.js cannot be had, python.pack holds all sources instead: the same page, slower to start.
"""

from __future__ import annotations

import gzip
import io
import json
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from offcut_build import models_index, node, pyodide_lock, stamp, wheel
from offcut_build.archive import packed
from offcut_build.command import capture
from offcut_build.console import megabytes, say
from offcut_build.errors import BuildError
from offcut_build.lock import read
from offcut_build.start.left_out import left_out
from offcut_build.tree import Tree

__all__ = ["IMPORTS", "PACK", "Start", "ensure"]

IMPORTS = (
    "offcut.web.pack_finder",
    "offcut.web.missing",
    "offcut.web.handlers",
    "offcut.web.leftovers",
    "offcut.web.removal",
    "offcut.backends.simd",  # imported when a model is opened
    "offcut.backends.reference",  # where there are no kernels
    "offcut.convert.importer",  # when the visitor drops an ONNX file, maybe without a network
    "offcut.web.brought",
    "urllib.request",  # when the page's own download of the model has failed
    *("calendar", "fractions", "gzip", "tarfile"),  # by Pyodide and Pillow, when Pillow is loaded
)
PARTS = ("pyodide_http._core", "pyodide_http._urllib")  # import only in a browser
PACK, MODULES, LEFT_OUT = "python.pack", "modules.pack", "left_out.json"
CORE = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip")
WHEELS = ("numpy", "pyodide-http")  # besides our own
SCRIPTS = ("pack.js", "snapshot.js")  # of the page, which take the snapshot too
LOCK = "pyodide-lock.json"
SECONDS = 600.0
HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Start:
    """The files, name -> bytes, and what the pack holds: "bytecode" or "sources"."""

    files: Mapping[str, bytes]
    how: str


def ensure(tree: Tree, found: Mapping[str, Path]) -> Start:
    """Return the files, made unless they stand.

    found: file name -> path of every asset that is shipped.
    """
    project, lock = tree.project(), read(tree.lock_file)
    own = wheel.build(tree)
    code = [HERE, HERE.parent / "archive.py", *(tree.app / name for name in SCRIPTS)]
    model = models_index.default(tree, project.default_model)
    given = [stamp.sha256(own), stamp.sha256(model), *(a.sha256 for a in lock.assets)]
    key = stamp.fingerprint(code, also=given)
    kept = _kept(tree, key)
    if kept:
        return Start(kept, "bytecode")
    shipped = {a.ship: found[a.file].read_bytes() for a in lock.assets if a.package in WHEELS}
    shipped[f"pyodide/{project.wheel_name}"] = own
    originals = {name: _members(data) for name, data in shipped.items()}
    originals["pyodide/python_stdlib.zip"] = _members(found["python_stdlib.zip"].read_bytes())
    try:
        say("compiling what the page imports")
        wheels = {name.rpartition("/")[2]: data for name, data in shipped.items()}
        core = {name: found[name].read_bytes() for name in CORE}
        core[LOCK] = pyodide_lock.build(lock, project, own)
        packs = _run(node.find(tree), tree.app, model, core, wheels)
    except BuildError as error:
        say(f"warning: no bytecode, so the page will start two times slower: {error}")
        say(f"  remedy: {error.remedy or 'install Node.js, then run the same command again'}")
        return Start(_files(originals, {PACK: packed(_sources(originals))}), "sources")
    files = _files(originals, packs)
    _keep(tree, key, files)
    return Start(files, "bytecode")


def _kept(tree: Tree, key: str) -> dict[str, bytes]:
    """Return the files made before from the same inputs, {} when there are none."""
    kept = stamp.read(tree, "start")
    if kept.get("key") != key:
        return {}
    try:
        files = {name: (tree.cache / "start" / name).read_bytes() for name in kept["sha256"]}
    except OSError:
        return {}
    return files if kept["sha256"] == _digests(files) else {}


def _keep(tree: Tree, key: str, files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        stamp.put(tree.cache / "start" / name, data)
        say(f"start/{name}: {megabytes(len(data))}")
    stamp.write(tree, "start", {"key": key, "sha256": _digests(files)})


def _digests(files: Mapping[str, bytes]) -> dict[str, str]:
    return {name: stamp.sha256(data) for name, data in files.items()}


def _run(
    program: Path,
    app: Path,
    model: bytes,
    core: Mapping[str, bytes],
    wheels: Mapping[str, bytes],
) -> dict[str, bytes]:
    """Return both packs, made by Pyodide.

    app: the page's scripts. model: the file that pages open first. core, wheels: name -> bytes.
    """
    with tempfile.TemporaryDirectory() as folder:
        there, work = Path(folder) / "core", Path(folder) / "work"
        task = {"archives": sorted(wheels), "imports": IMPORTS, "parts": PARTS}
        given = {**wheels, "task.json": json.dumps(task).encode()}
        given["archive.py"] = (HERE.parent / "archive.py").read_bytes()
        given["model.safetensors"] = model
        for made, files in ((there, core), (work, given)):
            made.mkdir()
            for name, data in files.items():
                (made / name).write_bytes(data)
        compiling = [HERE / "run_inside.mjs", there, there / LOCK, HERE / "compile_inside.py", work]
        capture([program, *compiling], seconds=SECONDS)
        whole = work / "modules.zip"
        whole.write_bytes(gzip.decompress((work / MODULES).read_bytes()))
        taking = [HERE / "take_snapshot.mjs", app, there, whole, HERE / "snapshot_inside.py", work]
        capture([program, *taking], seconds=SECONDS)
        return {name: (work / name).read_bytes() for name in (PACK, MODULES)}


def _sources(originals: Mapping[str, Mapping[str, bytes]]) -> dict[str, bytes]:
    """Return all modules of the originals as they are."""
    members = {}
    for path, files in originals.items():
        top = "" if path.endswith(".zip") else "site-packages/"
        for name, data in files.items():
            if name.endswith((".py", ".so")) and "/tests/" not in name:
                members[f"{top}{name}"] = data
    return members


def _files(
    originals: Mapping[str, Mapping[str, bytes]], packs: Mapping[str, bytes]
) -> dict[str, bytes]:
    """Return the files of dist/start/."""
    kept = _members(gzip.decompress(packs.get(MODULES, packs[PACK])))
    return {**packs, LEFT_OUT: left_out(originals, kept)}


def _members(archive: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return {name: opened.read(name) for name in opened.namelist() if not name.endswith("/")}
