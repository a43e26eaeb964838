"""A small but complete checkout to build, and assets made of given bytes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from offcut_build.lock import Asset, Source
from offcut_build.packages import Packages
from offcut_build.tree import Tree
from tests.build.faulty_server import sha256

ROOT = Path(__file__).resolve().parents[2]
MODEL = bytes(range(256)) * 5000  # 1.28 MB: two parts
FILES = {
    "pyodide.mjs": b"export const loadPyodide = 1;\n",
    "numpy-1.0-py3-none-any.whl": b"numpy's wheel",
    "pyodide_http-1.0-py3-none-any.whl": b"pyodide-http's wheel",
}

MakeAsset = Callable[..., Asset]


@pytest.fixture(autouse=True)
def every_kind_of_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OFFCUT_SOURCES", raising=False)


@pytest.fixture
def make_asset() -> MakeAsset:
    """Return a function that makes the asset with these bytes, from these sources."""

    def make(body: bytes, *sources: Source | str, name: str = "file.bin") -> Asset:
        listed = tuple(Source("url", s) if isinstance(s, str) else s for s in sources)
        return Asset(
            name="Thing",
            version="1",
            file=name,
            sha256=sha256(body),
            bytes=len(body),
            licence="MIT",
            notice="https://example.org/LICENSE",
            ship=f"pyodide/{name}",
            package="",
            imports=(),
            depends=(),
            sources=listed,
        )

    return make


@pytest.fixture
def packages(tmp_path: Path) -> Packages:
    """Package clients that use this interpreter."""
    return Packages(Path(sys.executable), ROOT / "py_src", tmp_path / "packages")


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Return a checkout with a page, a model, a package and two assets in its cache."""
    return make_tree(tmp_path / "checkout")


def make_tree(root: Path) -> Tree:
    """Write the small checkout into a new folder."""
    tree = Tree(root)
    rows = [LOCK_HEAD]
    for name, data in FILES.items():
        package = name.partition("-")[0].replace("_", "-")
        wheel = f'package = "{package}"\n' if name.endswith(".whl") else ""
        rows.append(
            f'[[asset]]\nname = "{package}"\nversion = "1.0"\nfile = "{name}"\n'
            f'sha256 = "{sha256(data)}"\nbytes = {len(data)}\nlicence = "MIT"\n'
            f'notice = "https://example.org"\nship = "pyodide/{name}"\n{wheel}'
            f'sources = [{{ url = "http://127.0.0.1:9/{name}" }}]\n'
        )
        write(tree.cache / "assets" / f"{sha256(data)}-{name}", data)
    write(tree.lock_file, "\n".join(rows).encode())
    write(tree.models / "net.toml", CARD.format(sha256(MODEL), len(MODEL)).encode())
    write(tree.models / "net-int8.safetensors", MODEL)
    write(tree.app / "index.html", b"<!doctype html><title>page</title>")
    write(tree.app / "main.js", b"export {};\n")
    write(tree.static / "_headers", b"/*\n  X-Thing: yes\n")
    write(tree.static / "icons" / "icon.svg", b"<svg/>")
    write(tree.package / "__init__.py", b'"""Nothing."""\n')
    write(tree.package / "web" / "handlers.py", b'"""Nothing."""\n')
    write(tree.package / "web" / "__pycache__" / "handlers.cpython-311.pyc", b"no")
    write(tree.package / "backends" / "kernel.c", b"int x;\n")
    write(tree.root / "pyproject.toml", PROJECT)
    write(tree.root / "LICENSE", b"free\n")
    write(tree.root / "THIRD_PARTY.md", b"others\n")
    return tree


def write(path: Path, data: bytes) -> None:
    """Write a file and the folders it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


LOCK_HEAD = """[pyodide]
version = "1.2.3"
python = "3.14.0"
abi_version = "2026_0"
arch = "wasm32"
platform = "emscripten_5_0_3"
"""
CARD = """name = "net"
title = "Net"
licence = "Apache-2.0"
default = "int8"
[variants.int8]
file = "net-int8.safetensors"
sha256 = "{}"
bytes = {}
"""
PROJECT = b"""[project]
name = "offcut"
version = "9.8.7"
description = "Cuts"
license = "Apache-2.0"
requires-python = ">=3.11"
dependencies = ["numpy>=2"]
[project.scripts]
offcut = "offcut.cli:main"
[tool.offcut]
default-model = "net"
"""
