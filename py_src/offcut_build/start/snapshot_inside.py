"""Runs inside Pyodide: imports what a snapshot holds, and packs the snapshot with what it lacks.

    /lib/python.pack            all modules of the page, by their path below the library folder
    /work/archive.py            offcut_build.archive
    /work/model.safetensors     the model that pages open first
    /work/snapshot/*            what app/snapshot.js made of the memory
    /work/python.pack         written: these, the libraries, and the modules that have not run
"""

import gc
import importlib
import sys

from offcut.web import pack_finder, ready

WORK = "/work"
IMPORTS = (
    "offcut.web.missing",
    "offcut.web.handlers",
    "offcut.web.removal",
    "offcut.backends.simd",
)


def fill() -> str:
    """Import what the page needs in any case and prepare the model; return its file's sha256."""
    for name in IMPORTS:
        importlib.import_module(name)
    with open(f"{WORK}/model.safetensors", "rb") as file:
        model = ready.prepare(file.read(), "the default model")
    pack_finder.forget()
    sys.path_importer_cache.clear()
    gc.collect()
    gc.freeze()  # what is imported stays: the page's collector need not look at it
    return model


def pack() -> None:
    """Write the pack."""
    ran = {origin(module) for module in list(sys.modules.values())}
    from pathlib import Path  # only now: what is imported before is in the snapshot
    from zipfile import ZipFile

    sys.path.insert(0, WORK)
    library = f"/lib/python{sys.version_info.major}.{sys.version_info.minor}/"
    with ZipFile("/lib/python.pack") as whole:
        names = [n for n in whole.namelist() if n.endswith(".so") or library + n not in ran]
        files = {name: whole.read(name) for name in names}
    for part in Path(WORK, "snapshot").iterdir():
        files[f"snapshot/{part.name}"] = part.read_bytes()
    packed = importlib.import_module("archive").packed
    Path(WORK, "python.pack").write_bytes(packed(files))


def origin(module: object) -> str:
    """Return the file of a module that has run."""
    if type(module).__name__ == pack_finder.Waiting.__name__:
        return ""
    spec = getattr(module, "__spec__", None)
    return getattr(spec, "origin", None) or ""
