"""Runs inside Pyodide: finds out which modules the page imports, and compiles and packs them.

    /work/task.json     {"archives": [wheel, ...], "imports": [module, ...], "parts": [module, ...]}
    /work/<wheel>       unpacked into site-packages
    /work/archive.py    offcut_build.archive
    /work/modules.pack  written: each file that the imports read, and the parts, by its path below
                        Python's library folder, .py files compiled

The bytecode has no docstrings but numpy's. It carries the hash of its source and is never compared
with it (PEP 552).
Packing happens here because zlib's output differs between its versions: this one is pinned.
"""

import ast
import importlib
import importlib.util
import json
import marshal
import sys
import zipfile
from pathlib import Path

WORK = Path("/work")
LIBRARY = Path(f"/lib/python{sys.version_info.major}.{sys.version_info.minor}")
STDLIB = Path(f"/lib/python{sys.version_info.major}{sys.version_info.minor}.zip")
DOCUMENTED = "site-packages/numpy/"  # numpy.ma makes its docstrings of numpy's
UNCHECKED_HASH = (0b01).to_bytes(4, "little")  # the flags of PEP 552


def main() -> None:
    """Do what /work/task.json says."""
    task = json.loads((WORK / "task.json").read_text())
    for name in task["archives"]:
        with zipfile.ZipFile(WORK / name) as archive:
            archive.extractall(LIBRARY / "site-packages")
    importlib.invalidate_caches()
    for name in task["imports"]:
        importlib.import_module(name)
    specs = [importlib.util.find_spec(name) for name in task["parts"]]  # imports their parents
    specs += [getattr(module, "__spec__", None) for module in sys.modules.values()]
    origins = {spec.origin for spec in specs if spec and spec.origin}
    files = dict(compiled(path) for path in sorted(origins) if path.startswith("/lib/"))
    files["sitecustomize.pyc"] = files["site-packages/offcut/web/pack_finder.pyc"]
    sys.path.insert(0, str(WORK))
    packed = importlib.import_module("archive").packed
    (WORK / "modules.pack").write_bytes(packed(files))


def compiled(origin: str) -> tuple[str, bytes]:
    """Return the name in the pack, and the bytes, of a file; source becomes bytecode."""
    path = Path(origin)
    if path.is_relative_to(STDLIB):
        name = path.relative_to(STDLIB).as_posix()
        with zipfile.ZipFile(STDLIB) as stdlib:
            data = stdlib.read(name)
    else:
        name = path.relative_to(LIBRARY).as_posix()
        data = path.read_bytes()
    if not name.endswith(".py"):
        return name, data
    tree = ast.parse(data)
    if not name.startswith(DOCUMENTED):
        tree = without_docstrings(tree)
    code = compile(tree, str(LIBRARY / name), "exec", dont_inherit=True)
    head = importlib.util.MAGIC_NUMBER + UNCHECKED_HASH + importlib.util.source_hash(data)
    return f"{name}c", head + marshal.dumps(code)


def without_docstrings(tree: ast.Module) -> ast.Module:
    """Drop what nobody reads in a page, but keep the checks that optimize=2 would drop too.

    Dataclasses get one of a blank: they would make themselves one of their signature, and import
    much for that.
    """
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            if ast.get_docstring(node, clean=False) is not None:
                first = node.body[0]
                node.body = node.body[1:] or [ast.copy_location(ast.Pass(), first)]
            if isinstance(node, ast.ClassDef) and "dataclass" in map(called, node.decorator_list):
                blank = ast.copy_location(ast.Expr(ast.Constant(" ")), node.body[0])
                node.body.insert(0, ast.fix_missing_locations(blank))
    return tree


def called(decorator: ast.expr) -> str:
    """Return a decorator's name without what it is given."""
    return ast.unparse(decorator).partition("(")[0].rpartition(".")[2]


main()
