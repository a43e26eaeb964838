"""The structure that DESIGN.md promises: imports go down, `js` at the edge, files stay small."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "py_src" / "offcut"

# Who may import whom: a module may import from its own layer and from those below it.
LAYERS: list[set[str]] = [
    {"errors", "replaceable"},
    {"graph", "graph_text", "quant", "card", "rans", "coding", "coded", "spans", "doubt"},
    {"container", "plan", "ops", "imaging"},
    {"backends", "download"},
    {"session"},
    {"pipeline", "library", "remover", "evaluate", "convert", "train"},
    {"", "cli", "__main__", "web", "serve", "verify"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
ALLOWED_PACKAGES = {"numpy", "offcut", "PIL", "js", "pyodide", "pyodide_http", "pyodide_js"}


def modules() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path, ast.parse(path.read_text())


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def part_of(path: Path) -> str:
    """Return the layer name of a file: its folder or module directly under the package."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py").replace("__init__", "")


def test_every_part_has_a_layer() -> None:
    parts = {part_of(path) for path, _ in modules()}
    assert parts <= set(LEVEL), f"name a layer for {parts - set(LEVEL)}"


def test_imports_only_go_down() -> None:
    wrong = []
    for path, tree in modules():
        here = LEVEL[part_of(path)]
        for name in imported(tree):
            target = name.split(".")[1] if name.startswith("offcut.") else None
            if target in LEVEL and LEVEL[target] > here:
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert not wrong


def test_browser_modules_are_imported_at_the_edge_only() -> None:
    wrong = []
    for path, tree in modules():
        at_the_edge = part_of(path) == "web" or path.stem.endswith("_js") or path.stem == "download"
        names = {name.split(".")[0] for name in imported(tree)}
        if not at_the_edge and names & {"js", "pyodide", "pyodide_js", "pyodide_http"}:
            wrong.append(str(path.relative_to(ROOT)))
    assert not wrong


def test_the_package_needs_only_numpy() -> None:
    import sys

    offline = {"convert", "train"}  # may name heavier packages, imported inside functions
    wrong = []
    for path, tree in modules():
        names = {name.split(".")[0] for name in imported(tree)} - set(sys.stdlib_module_names)
        if part_of(path) not in offline and names - ALLOWED_PACKAGES:
            wrong.append(f"{path.relative_to(ROOT)} imports {names - ALLOWED_PACKAGES}")
    assert not wrong


def test_files_stay_readable_in_one_sitting() -> None:
    folders = ["py_src", "app", "tests"]
    files = [ROOT / "build.py"]
    files += [
        path
        for folder in folders
        for ending in ("*.py", "*.js", "*.c", "*.h", "*.wgsl", "*.css")
        for path in (ROOT / folder).rglob(ending)
    ]
    long = [
        f"{path.relative_to(ROOT)}: {count} lines"
        for path in files
        if (count := len(path.read_text().splitlines())) > 350
    ]
    assert not long, "split by noun, or say in DESIGN.md why not"


def test_every_module_says_what_it_does() -> None:
    silent = [path for path, tree in modules() if not ast.get_docstring(tree)]
    assert not silent
