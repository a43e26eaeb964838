"""dist/: complete, named in its manifest, consistent in itself, and the same everywhere."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from offcut_build import assets, dist, size, stamp
from offcut_build.errors import BuildError, DiskError, LockError
from offcut_build.lock import read
from offcut_build.start.modules import Start
from offcut_build.tree import Tree
from tests.build.conftest import FILES, MODEL, make_tree, write

START = Start({"python.pack": b"modules"}, "bytecode")


def built(tree: Tree) -> Path:
    """Build the small checkout's dist/ from the assets in its cache."""
    return dist.build(tree, assets.ensure(tree), START)


def contents(folder: Path) -> dict[str, bytes]:
    return {name: path.read_bytes() for name, path in stamp.files_below(folder)}


def loaded(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_bytes())


def test_it_holds_page_static_files_core_wheels_and_models(tree: Tree) -> None:
    files = contents(built(tree))

    assert b"<title>page</title>" in files["index.html"]
    assert files["_headers"] == b"/*\n  X-Thing: yes\n"
    assert files["icons/icon.svg"] == b"<svg/>"
    assert files["pyodide/pyodide.mjs"] == FILES["pyodide.mjs"]
    assert files["models/net-int8.safetensors"] == MODEL
    assert files["start/python.pack"] == b"modules"
    assert {"pyodide/offcut-9.8.7-py3-none-any.whl", "LICENSE", "THIRD_PARTY.md"} <= set(files)


def test_the_manifest_names_every_file_but_itself(tree: Tree) -> None:
    folder = built(tree)
    files = contents(folder)
    manifest = json.loads(files.pop("manifest.json"))

    assert manifest["version"] == "9.8.7"
    assert manifest["files"] == {
        name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        for name, data in files.items()
    }


def test_page_and_manifest_name_one_build_which_every_change_changes(tree: Tree) -> None:
    page = tree.app / "index.html"
    page.write_text("<!doctype html><html lang='en'><title>page</title>")
    first = loaded(built(tree), "manifest.json")["build"]
    assert f'<html data-build="{first}" lang' in (tree.dist / "index.html").read_text()

    page.write_text("<!doctype html><html lang='en'><title>another page</title>")
    second = loaded(built(tree), "manifest.json")["build"]

    assert second != first
    assert f'<html data-build="{second}"' in (tree.dist / "index.html").read_text()


def test_the_pruned_lock_agrees_with_the_shipped_wheels(tree: Tree) -> None:
    folder = built(tree)
    lock = loaded(folder, "pyodide/pyodide-lock.json")

    assert lock["info"]["abi_version"] == "2026_0"
    assert set(lock["packages"]) == {"numpy", "pyodide-http", "offcut"}
    for entry in lock["packages"].values():
        data = (folder / "pyodide" / entry["file_name"]).read_bytes()
        assert entry["sha256"] == hashlib.sha256(data).hexdigest()
        assert set(entry["depends"]) <= set(lock["packages"])


def test_the_index_has_the_hash_of_each_mebibyte_of_each_model(tree: Tree) -> None:
    index = loaded(built(tree), "models/index.json")

    assert index["default"] == "net-int8"
    assert index["models"]["net-int8"] == {
        "file": "net-int8.safetensors",
        "bytes": len(MODEL),
        "sha256": hashlib.sha256(MODEL).hexdigest(),
        "parts": [hashlib.sha256(p).hexdigest() for p in (MODEL[: 1 << 20], MODEL[1 << 20 :])],
        "title": "Net",
        "licence": "Apache-2.0",
    }


def test_no_address_in_it_is_absolute(tree: Tree) -> None:
    made = ("manifest.json", "models/index.json", "pyodide/pyodide-lock.json")
    files = contents(built(tree))

    for name in made:
        assert b"://" not in files[name] and b'"/' not in files[name], name


@pytest.mark.skipif(os.name == "nt", reason="Windows has neither umask nor tzset")
def test_S6_two_builds_are_identical_in_any_folder_time_zone_and_umask(
    tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = built(tree)

    monkeypatch.setenv("TZ", "Pacific/Chatham")
    time.tzset()
    before = os.umask(0o077)
    try:
        second = built(make_tree(tmp_path / "somewhere else" / "é"))
    finally:
        os.umask(before)
        monkeypatch.undo()
        time.tzset()

    assert contents(first) == contents(second)
    modes = [
        {path.relative_to(folder): path.stat().st_mode for path in folder.rglob("*")}
        for folder in (first, second)
    ]
    assert modes[0] == modes[1]


def test_it_is_left_alone_while_its_inputs_stand(tree: Tree) -> None:
    before = built(tree).stat().st_ino

    assert built(tree).stat().st_ino == before


@pytest.mark.parametrize("change", ["app/main.js", "static/_headers", "py_src/offcut/__init__.py"])
def test_a_changed_input_builds_it_again(tree: Tree, change: str) -> None:
    built(tree)
    write(tree.root / change, b"# new\n")

    files = contents(built(tree))

    assert dist.stands(tree.dist)
    wheel_changed = b"# new\n" in files["pyodide/offcut-9.8.7-py3-none-any.whl"]
    assert wheel_changed or b"# new\n" in files.values()


def test_other_modules_to_start_from_build_it_again(tree: Tree) -> None:
    built(tree)
    sources = Start({"python.pack": b"sources"}, "sources")

    files = contents(dist.build(tree, assets.ensure(tree), sources))

    assert files["start/python.pack"] == b"sources"


@pytest.mark.parametrize("damage", ["flip", "remove", "add"])
def test_a_damaged_dist_is_mended(tree: Tree, damage: str) -> None:
    folder = built(tree)
    whole = contents(folder)
    path = folder / "pyodide" / "pyodide.mjs"
    if damage == "remove":
        path.unlink()
    else:
        name = path if damage == "flip" else path.with_name("stray.js")
        write(name, path.read_bytes().swapcase())

    assert contents(built(tree)) == whole


def test_a_removed_source_leaves_nothing_behind(tree: Tree) -> None:
    built(tree)
    (tree.app / "main.js").unlink()

    assert not (built(tree) / "main.js").exists()


def test_two_origins_cannot_claim_one_path(tree: Tree) -> None:
    write(tree.static / "main.js", b"other")

    with pytest.raises(BuildError, match=r"dist/main\.js: comes from app/ and from static/"):
        built(tree)


def test_a_model_that_is_not_what_its_card_says_stops_the_build(tree: Tree) -> None:
    write(tree.models / "net-int8.safetensors", MODEL[:-1])

    with pytest.raises(LockError, match=r"net-int8\.safetensors: sha256 is") as caught:
        built(tree)

    assert "build.py models" in caught.value.remedy


def test_a_model_that_is_missing_stops_the_build(tree: Tree) -> None:
    (tree.models / "net-int8.safetensors").unlink()

    with pytest.raises(LockError, match="not there"):
        built(tree)


def test_a_full_disk_keeps_the_old_dist(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = contents(built(tree))
    write(tree.app / "main.js", b"export const n = 2;\n")
    real = Path.write_bytes

    def full(self: Path, data: Any) -> int:
        if "dist.new" in self.parts and self.name == "main.js":
            raise OSError(28, "No space left on device")
        return real(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DiskError, match="disk is full"):
        built(tree)

    assert contents(tree.dist) == whole


def test_the_size_report_counts_every_file_and_a_first_visit(tree: Tree) -> None:
    folder = built(tree)
    total = sum(len(data) for data in contents(folder).values())

    text = size.table(tree)

    assert f"{total:,}" in text
    assert all(name in text for name in contents(folder))
    assert size.categories(folder)["models/net-int8.safetensors"] == "model"
    assert size.categories(folder)["icons/icon.svg"] == size.ON_DEMAND


def test_the_lock_of_the_small_checkout_is_whole(tree: Tree) -> None:
    assert {asset.file for asset in read(tree.lock_file).assets} == set(FILES)
