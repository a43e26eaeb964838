"""What Offcut weighs: dist/, the kernels, the model."""

from __future__ import annotations

from pathlib import Path

from offcut_build.bench.rows import Row
from offcut_build.stamp import files_below

__all__ = ["sizes"]


def sizes(dist: Path) -> list[Row]:
    """Return rows in kB (10**3 bytes)."""
    files = {name: path.stat().st_size for name, path in files_below(dist)}
    figures = {"dist": sum(files.values())}
    figures |= {name: size for name, size in files.items() if name.endswith(".wasm")}
    figures |= {name: size for name, size in files.items() if name.startswith("models/")}
    return [Row(f"size/{name}", [size / 1e3], "kB") for name, size in figures.items()]
