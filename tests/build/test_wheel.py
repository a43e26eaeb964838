"""The browser's wheel: what is in it, that pip takes it, and that its bytes never vary."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import time
import zipfile
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest

from offcut_build import wheel
from offcut_build.tree import Tree
from tests.build.conftest import make_tree


def test_it_holds_the_package_and_the_cards_but_no_weights_caches_or_c(tree: Tree) -> None:
    with zipfile.ZipFile(io.BytesIO(wheel.build(tree))) as archive:
        names = archive.namelist()

    assert names == sorted(names)
    assert set(names) == {
        "offcut/__init__.py",
        "offcut/models/net.toml",
        "offcut/web/handlers.py",
        "offcut-9.8.7.dist-info/METADATA",
        "offcut-9.8.7.dist-info/RECORD",
        "offcut-9.8.7.dist-info/WHEEL",
        "offcut-9.8.7.dist-info/entry_points.txt",
        "offcut-9.8.7.dist-info/licenses/LICENSE",
    }


def test_its_record_has_the_hash_and_size_of_every_member(tree: Tree) -> None:
    with zipfile.ZipFile(io.BytesIO(wheel.build(tree))) as archive:
        rows = archive.read("offcut-9.8.7.dist-info/RECORD").decode().splitlines()
        members = {name: archive.read(name) for name in archive.namelist()}

    assert len(rows) == len(members)
    for name, digest, size in (row.split(",") for row in rows if not row.endswith(",,")):
        want = urlsafe_b64encode(hashlib.sha256(members[name]).digest()).decode().rstrip("=")
        assert (digest, size) == (f"sha256={want}", str(len(members[name])))


def test_pip_installs_it(tree: Tree, tmp_path: Path) -> None:
    path = tmp_path / tree.project().wheel_name
    path.write_bytes(wheel.build(tree))
    target = tmp_path / "target"

    call = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "-q"]
    subprocess.run([*call, "--target", str(target), str(path)], check=True, capture_output=True)

    assert (target / "offcut" / "models" / "net.toml").exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows has neither umask nor tzset")
def test_S6_folder_time_zone_umask_and_dates_do_not_change_a_byte(
    tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = wheel.build(tree)

    monkeypatch.setenv("TZ", "Pacific/Chatham")
    time.tzset()
    before = os.umask(0o077)
    try:
        other = make_tree(tmp_path / "somewhere else" / "é")
        for path in other.package.rglob("*"):
            os.utime(path, (1, 1))
        second = wheel.build(other)
    finally:
        os.umask(before)
        monkeypatch.undo()
        time.tzset()

    assert first == second
