"""Compile the SIMD kernels to WebAssembly: .cache/kernels/*, which dist/ ships as kernels/*.

The compiler is clang in the Python package `ziglang` (dependency group `kernels`). The same
sources give the same bytes.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from offcut_build import stamp, venv
from offcut_build.command import capture
from offcut_build.console import megabytes, say
from offcut_build.tree import Tree

__all__ = ["build"]

SECONDS = 600.0
FLAGS = ["-std=c11", "-O3", "-Wall", "-Wextra", "-Werror"]
FLAGS += ["-ffp-contract=off", "-fno-math-errno", "-fno-sanitize=undefined"]
LINK = ["-nostdlib", "-Wl,--no-entry", "-Wl,-s", "-Wl,--import-memory", "-Wl,-z,stack-size=65536"]
FEATURES = "generic+simd128+bulk_memory+nontrapping_fptoint+sign_ext"
OUTPUTS: dict[str, list[str]] = {  # file in dist/kernels/ -> its own flags
    "kernels.wasm": [f"-mcpu={FEATURES}"],
}


def build(tree: Tree) -> None:
    """Compile what has changed; nothing, while no backend loads kernels in the browser."""
    backend = tree.package / "backends" / "simd"
    if not (backend / "library_js.py").exists():
        shutil.rmtree(tree.kernels, ignore_errors=True)
        return
    venv.setup(tree, "kernels")
    sources = sorted((backend / "kernels").glob("*.c"))
    key = stamp.fingerprint([backend / "kernels"], also=[FLAGS, LINK, OUTPUTS])
    there = all((tree.kernels / name).exists() for name in OUTPUTS)
    if there and stamp.read(tree, "kernels").get("key") == key:
        return
    for name, own in OUTPUTS.items():
        _compile(tree, sources, name, own)
    stamp.write(tree, "kernels", {"key": key})


def _compile(tree: Tree, sources: list[Path], name: str, own: list[str]) -> None:
    out = tree.cache / "kernels.part" / name
    out.parent.mkdir(parents=True, exist_ok=True)
    compiler = [str(tree.python), "-m", "ziglang", "cc", "-target", "wasm32-freestanding"]
    names = [str(path.relative_to(tree.root)) for path in sources]
    call = [*compiler, *FLAGS, *own, *LINK, *names, "-o", str(out)]
    capture(call, where=tree.root, seconds=SECONDS)
    stamp.put(tree.kernels / name, out.read_bytes())
    say(f"kernels/{name}: {megabytes(out.stat().st_size)}")
