"""requirements.lock: its format, what a group needs of it, and that pip refuses other bytes."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest

from offcut_build import requirements, venv
from offcut_build.errors import CommandError, IntegrityError, LockError
from offcut_build.requirements import missing, needed, parse, write_subset
from offcut_build.tree import Tree
from tests.build.conftest import write
from tests.build.faulty_server import sha256

ROOT = Path(__file__).resolve().parents[2]
HASH = f"--hash=sha256:{'0' * 64}"
LOCK = f"""big-thing==2.0 ; python_full_version < '3.12' \\
    {HASH} \\
    {HASH}
    # via
    #   offcut (pyproject.toml:test)
    #   offcut (pyproject.toml:dev)
big-thing==3.0 ; python_full_version >= '3.12' \\
    {HASH}
    # via offcut (pyproject.toml:test)
other==1 \\
    {HASH}
    # via offcut (pyproject.toml:build)
part==1.5 \\
    {HASH}
    # via big-thing
part-of-part==0.1 \\
    {HASH}
    # via part
"""


def test_S6_a_group_gets_its_packages_and_theirs_and_no_others() -> None:
    rows = parse(LOCK)

    versions = [(row.name, row.version) for row in needed(rows, ["test"])]

    assert versions == [
        ("big-thing", "2.0"),
        ("big-thing", "3.0"),
        ("part", "1.5"),
        ("part-of-part", "0.1"),
    ]
    assert [row.name for row in needed(rows, ["build"])] == ["other"]


def test_S6_an_entry_without_hash_or_version_is_refused() -> None:
    for text in ("big==1\n    # via x\n", f"big>=1 \\\n    {HASH}\n"):
        with pytest.raises(LockError, match="lacks a version or a hash"):
            parse(text)


def test_names_are_compared_as_registries_do() -> None:
    assert (
        missing(parse(LOCK), ["Big_Thing>=1", "other==1; python_version < '4'", "part[extra]"])
        == []
    )
    assert missing(parse(LOCK), ["other==2", "unheard-of"]) == ["other==2", "unheard-of"]


def test_a_lock_older_than_pyproject_names_the_remedy(tree: Tree) -> None:
    write(tree.requirements, LOCK.encode())

    with pytest.raises(LockError, match="lacks other==2") as caught:
        write_subset(tree, ["build"], ["other==2"])

    assert "build.py lock" in caught.value.remedy


def test_S6_the_lock_of_this_checkout_holds_every_group_with_hashes() -> None:
    tree = Tree(ROOT)
    document = tree.project().document
    rows = parse(tree.requirements.read_text())
    for group in document["dependency-groups"]:
        assert missing(rows, venv.requirements(document, group)) == []
        assert needed(rows, [group])
    assert all("--hash=sha256:" in row.text for row in rows)
    assert "://" not in tree.requirements.read_text()


def test_S6_pip_refuses_a_package_with_other_bytes(
    tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = tmp_path / "shop" / "thing-1-py3-none-any.whl"
    wheel.parent.mkdir()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("thing.py", "")
        metadata = "Metadata-Version: 2.1\nName: thing\nVersion: 1\n"
        archive.writestr("thing-1.dist-info/METADATA", metadata)
        archive.writestr("thing-1.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("thing-1.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    monkeypatch.setattr(Tree, "python", Path(sys.executable))
    text = "thing==1 \\\n    --hash=sha256:{}\n    # via offcut (pyproject.toml:build)\n"
    target = ["--target", str(tmp_path / "installed"), "--require-hashes", "-r"]

    write(tree.requirements, text.format("1" * 64).encode())
    with pytest.raises(IntegrityError, match=r"not the one that requirements\.lock names"):
        venv._pip(tree, *target, str(write_subset(tree, ["build"], ["thing==1"])))

    write(tree.requirements, text.format(sha256(wheel.read_bytes())).encode())
    venv._pip(tree, *target, str(write_subset(tree, ["build"], ["thing==1"])))
    assert (tmp_path / "installed" / "thing.py").exists()


def test_a_failing_uv_leaves_the_lock_alone(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tree.requirements, LOCK.encode())
    path = tree.root / "pyproject.toml"
    path.write_bytes(path.read_bytes() + b'[dependency-groups]\nlock = ["uv==1"]\n')

    def fail(*_: object, **__: object) -> str:
        raise CommandError("pip: exit code 1")

    monkeypatch.setattr(requirements, "capture", fail)
    with pytest.raises(CommandError):
        requirements.lock(tree)
    assert tree.requirements.read_text() == LOCK
