"""What dist/ weighs: each file, what a first visit transfers, and the lines of code per folder."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from offcut_build.stamp import files_below
from offcut_build.tree import Tree

__all__ = ["categories", "table"]

# The first pattern that fits decides; ON_DEMAND is not part of a first visit.
ON_DEMAND = "only when needed"
CATEGORIES = [
    ("start/modules.pack", ON_DEMAND),  # for browsers that the snapshot does not fit
    ("start/*", "Python and the model"),
    ("pyodide/pillow-*", "Pillow"),  # fetched at the start, so that no photo causes a request
    ("pyodide/*.whl", ON_DEMAND),  # the originals of what the pack holds, and for notebooks
    ("pyodide/python_stdlib.zip", ON_DEMAND),
    ("pyodide/*", "Pyodide core"),
    ("kernels/*", "kernels"),
    ("models/index.json", "model"),
    ("*.html", "page"),
    ("icon.svg", "page"),
    ("samples/*.jpg", "page"),  # offered below the drop zone
    ("*.css", "page"),
    ("offcut.js", ON_DEMAND),  # the API for other pages
    ("*.js", "page"),
    ("manifest.json", "page"),
]
CODE = (".c", ".css", ".h", ".html", ".js", ".py", ".toml", ".wgsl")
FOLDERS = ("app", "models", "py_src/offcut", "py_src/offcut_build", "tests")


def categories(dist: Path) -> dict[str, str]:
    """Return path -> category for every file of dist/."""
    index = json.loads((dist / "models/index.json").read_bytes())
    default = f"models/{index['models'][index['default']]['file']}"
    snapshot = (dist / "start/modules.pack").exists()  # which has the model in it
    rules = [(default, ON_DEMAND if snapshot else "model"), *CATEGORIES, ("*", ON_DEMAND)]
    return {
        name: next(category for pattern, category in rules if fnmatch(name, pattern))
        for name, _ in files_below(dist)
    }


def table(tree: Tree) -> str:
    """Return the report as text; sizes in bytes, gzip at level 9."""
    rows = []
    for name, path in files_below(tree.dist):
        data = path.read_bytes()
        rows.append((name, len(data), len(gzip.compress(data, 9))))
    total = sum(row[1] for row in rows)
    lines = [f"{'bytes':>12} {'gzip':>12} {'share':>7}  file"]
    for name, size, packed in sorted(rows, key=lambda row: -row[1]):
        lines.append(f"{size:>12,} {packed:>12,} {size / total:>7.2%}  {name}")
    lines.append(f"{total:>12,} {sum(r[2] for r in rows):>12,} {1:>7.0%}  dist/")
    return "\n".join([*lines, "", *_first_visit(tree.dist, rows), "", *_line_counts(tree)])


def _first_visit(dist: Path, rows: list[tuple[str, int, int]]) -> Iterator[str]:
    kinds = categories(dist)
    yield f"{'bytes':>12} {'gzip':>12}  first visit"
    fetched = [row for row in rows if kinds[row[0]] != ON_DEMAND]
    for kind in dict.fromkeys(kinds[row[0]] for row in fetched):
        part = [row for row in fetched if kinds[row[0]] == kind]
        yield f"{sum(r[1] for r in part):>12,} {sum(r[2] for r in part):>12,}  {kind}"
    yield f"{sum(r[1] for r in fetched):>12,} {sum(r[2] for r in fetched):>12,}  all"


def _line_counts(tree: Tree) -> Iterator[str]:
    yield f"{'lines':>8} {'files':>6}  folder"
    for folder in FOLDERS:
        counts: dict[str, list[int]] = {}
        for name, path in files_below(tree.root / folder):
            if name.endswith(CODE):
                below = f"{folder}/{name.rpartition('/')[0]}".rstrip("/")
                counts.setdefault(below, []).append(len(path.read_bytes().splitlines()))
        for below, lines in sorted(counts.items()):
            yield f"{sum(lines):>8,} {len(lines):>6}  {below}"
