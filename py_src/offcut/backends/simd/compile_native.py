"""Compile the kernels into a native library for this machine, once, with clang from `ziglang`.

The library goes into the user's cache folder, under a name that covers sources, flags, compiler and
machine: whatever changes, another file is used. OFFCUT_KERNELS names a library to use instead.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from offcut.errors import BackendError

__all__ = ["library", "obstacle"]

SOURCES = Path(__file__).parent / "kernels"
FLAGS = ["-std=c11", "-O3", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off", "-march=native"]
FLAGS += ["-fno-math-errno", "-fno-sanitize=undefined", "-shared", "-fPIC", "-fvisibility=hidden"]
FLAGS += ["-fno-vectorize", "-fno-slp-vectorize", "-fno-unroll-loops"]  # kernels say where
SECONDS = 600.0


def obstacle() -> str:
    """Return why there can be no library, "" when there is one or it can be made."""
    if os.environ.get("OFFCUT_KERNELS"):
        return ""
    if not any(SOURCES.glob("*.c")):
        return "the kernels' sources are not installed"
    version = _compiler()
    if not version:
        return "no compiler; pip install offcut[simd]"
    return ""


def library() -> Path:
    """Return the library, compiling it first if need be. Raises BackendError when that fails."""
    given = os.environ.get("OFFCUT_KERNELS")
    if given:
        return Path(given)
    path = _folder() / f"kernels-{_key()}{_suffix()}"
    if not path.exists():
        _compile(path)
    return path


def _compiler() -> str:
    try:
        return importlib.metadata.version("ziglang")
    except importlib.metadata.PackageNotFoundError:
        return ""


def _folder() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData/Local")) / "offcut"
    if sys.platform == "darwin":
        return Path.home() / "Library/Caches/offcut"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "offcut"


def _suffix() -> str:
    return {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")


def _key() -> str:
    digest = hashlib.sha256()
    machine = [sys.platform, platform.machine(), platform.node(), _compiler(), *FLAGS]
    digest.update("\n".join(machine).encode())
    for source in sorted(SOURCES.iterdir()):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()[:16]


def _compile(path: Path) -> None:
    """Compile next to `path` and move it there, so that nobody sees half a library."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sources = [str(source) for source in sorted(SOURCES.glob("*.c"))]
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        made = Path(folder) / path.name
        call = [sys.executable, "-m", "ziglang", "cc", *FLAGS, *sources, "-o", str(made)]
        try:
            done = subprocess.run(call, capture_output=True, text=True, timeout=SECONDS)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise BackendError(f"kernels: the compiler did not run: {error}") from error
        if done.returncode:
            raise BackendError(
                f"kernels: the compiler failed: {done.stderr.strip()[-2000:]}",
                remedy="choose the reference backend, or report this",
            )
        os.replace(made, path)
