"""dist/start/: the same bytes everywhere, whole with what it leaves out, loud without Node.js."""

from __future__ import annotations

import gzip
import io
import json
import os
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from offcut_build import assets, models_index, node, stamp
from offcut_build.archive import packed
from offcut_build.errors import BuildError, CommandError
from offcut_build.lock import read
from offcut_build.start import modules
from offcut_build.start.left_out import left_out
from offcut_build.tree import Tree
from tests.build.conftest import write

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Tree:
    """The project's own sources and assets, with a cache of their own."""
    tree, real = Tree(tmp_path / "some where"), Tree(ROOT)
    names = ("pyproject.toml", "assets.lock.toml", "LICENSE", "app", "models", "py_src", ".venv")
    for name in names:
        tree.root.mkdir(exist_ok=True)
        (tree.root / name).symlink_to(real.root / name)
    tree.cache.mkdir()
    (tree.cache / "assets").symlink_to(real.cache / "assets")
    return tree


def found(tree: Tree) -> dict[str, Path]:
    return assets.ensure(tree, [asset for asset in read(tree.lock_file).assets if asset.ship])


def members(pack: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(gzip.decompress(pack))) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.skipif(os.name == "nt", reason="Windows has neither umask nor tzset")
def test_S6_the_bytecode_is_identical_in_any_folder_time_zone_and_umask(
    checkout: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Pacific/Chatham")
    time.tzset()
    before = os.umask(0o077)
    try:
        made = modules.ensure(checkout, found(checkout))
    finally:
        os.umask(before)
        monkeypatch.undo()
        time.tzset()

    assert made.how == "bytecode"
    assert made.files == modules.ensure(Tree(ROOT), found(Tree(ROOT))).files


def test_the_pack_holds_a_snapshot_and_only_modules_that_are_not_in_it() -> None:
    made = modules.ensure(Tree(ROOT), found(Tree(ROOT))).files
    files, whole = members(made["python.pack"]), members(made["modules.pack"])

    layout = json.loads(files["snapshot/layout"])
    parts = np.frombuffer(files["snapshot/parts"], "<u4").reshape(-1, 2)
    beside = {name for name in files if not name.startswith("snapshot/")}
    index, models = models_index.build(Tree(ROOT), Tree(ROOT).project().default_model)
    default = json.loads(index)["models"][json.loads(index)["default"]]
    assert layout["model"] == stamp.sha256(models[default["file"]])
    assert parts[:, 1].sum() == len(files["snapshot/memory"])
    assert (parts[1:, 0] >= parts[:-1].sum(axis=1)).all(), "one after another"
    assert parts[-1].sum() <= layout["bytes"]
    assert beside < set(whole)
    libraries = {name for name in whole if name.endswith(".so")}
    assert libraries
    assert libraries <= beside
    assert "site-packages/offcut/web/handlers.pyc" not in beside, "it is imported"
    assert "site-packages/offcut/convert/importer.pyc" in beside, "it is imported when needed"


def test_the_pack_holds_bytecode_that_is_never_compared_with_its_source() -> None:
    files = members(modules.ensure(Tree(ROOT), found(Tree(ROOT))).files["modules.pack"])

    code = [data for name, data in files.items() if name.endswith(".pyc")]
    assert {"asyncio/__init__.pyc", "site-packages/offcut/web/handlers.pyc"} <= set(files)
    assert not [name for name in files if name.endswith(".py")]
    assert {data[4:8] for data in code} == {b"\x01\0\0\0"}
    assert len({data[:4] for data in code}) == 1
    assert not [name for name, data in files.items() if b"Finds the modules of start/" in data]


def test_files_made_before_are_used_again(checkout: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    made = modules.ensure(checkout, found(checkout))
    monkeypatch.setattr(node, "find", lambda tree: pytest.fail("Node.js was asked for"))

    assert modules.ensure(checkout, found(checkout)) == made


def test_without_node_the_pack_holds_sources_and_the_build_says_so(
    checkout: Tree, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none(tree: Tree) -> Path:
        raise BuildError("no Node.js", remedy="install one")

    monkeypatch.setattr(node, "find", none)

    made = modules.ensure(checkout, found(checkout))

    files = members(made.files["python.pack"])
    assert made.how == "sources"
    assert {"asyncio/__init__.py", "site-packages/offcut/web/handlers.py"} <= set(files)
    assert "site-packages/numpy/_core/numeric.py" in files
    said = capsys.readouterr().out
    assert "no bytecode" in said
    assert "no Node.js" in said
    assert "install one" in said
    assert stamp.read(checkout, "start") == {}, "the next build must try again"


def test_a_node_that_fails_leads_to_sources_too(
    checkout: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = checkout.root / "node"
    write(broken, b"#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr(node, "find", lambda tree: broken)

    assert modules.ensure(checkout, found(checkout)).how == "sources"


def test_an_old_node_on_the_path_gives_way_to_the_package(
    tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = tmp_path / "old", tmp_path / "new" / "bin"
    for folder, version in ((old, "v18.1.0"), (new, "v24.0.0")):
        write(folder / "node", f"#!/bin/sh\necho {version}\n".encode())
        (folder / "node").chmod(0o755)
    monkeypatch.setenv("PATH", f"{old}{os.pathsep}{os.environ['PATH']}")
    asked: list[str] = []
    monkeypatch.setattr(node.venv, "setup", lambda tree, group: asked.append(group))
    real = node.capture

    def capture(call: list[str | Path], **options: object) -> str:
        return str(new.parent) if "-c" in call else real(call)

    monkeypatch.setattr(node, "capture", capture)

    assert node.find(tree) == new / "node"
    assert asked == ["bytecode"]


def test_no_node_at_all_is_an_error(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(tree: Tree, group: str) -> None:
        raise CommandError("pip: exit code 1")

    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(node.venv, "setup", refuse)

    with pytest.raises(BuildError, match="pip"):
        node.find(tree)


def test_the_list_of_what_is_left_out_names_modules_by_their_archive() -> None:
    originals = {
        "pyodide/python_stdlib.zip": ["abc.py", "xml/__init__.py", "xml/sax/saxutils.py"],
        "pyodide/net.whl": ["net/__init__.py", "net/_c.cpython-314.so", "net/tests/test_net.py"],
    }

    listed = left_out(originals, ["abc.pyc", "site-packages/net/__init__.pyc"])

    assert json.loads(listed) == {
        "pyodide/net.whl": ["net._c"],
        "pyodide/python_stdlib.zip": ["xml", "xml.sax.saxutils"],
    }


def test_a_pack_is_a_gzipped_zip_of_stored_members() -> None:
    pack = packed({"b.pyc": b"2" * 1000, "a/a.pyc": b"1"})

    assert members(pack) == {"b.pyc": b"2" * 1000, "a/a.pyc": b"1"}
    assert pack == packed({"a/a.pyc": b"1", "b.pyc": b"2" * 1000})
