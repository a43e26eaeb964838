"""Assets: any source whose bytes match will do, and nothing else is ever kept."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from offcut_build import assets
from offcut_build.errors import AssetError, BuildError, DiskError
from offcut_build.lock import Source
from offcut_build.packages import Packages
from offcut_build.tree import Tree
from tests.build.conftest import MakeAsset
from tests.build.faulty_server import Faults, faulty_server

BODY = b"the right bytes" * 100
WRONG = b"the wrong bytes" * 100


def test_a_verified_file_is_kept_and_not_fetched_again(
    tree: Tree, make_asset: MakeAsset, packages: Packages
) -> None:
    faults = Faults(BODY)
    with faulty_server(faults) as url:
        asset = make_asset(BODY, url)
        for _ in range(2):
            path = assets.ensure(tree, [asset], packages=packages)[asset.file]

    assert path.read_bytes() == BODY
    assert path.parent == tree.cache / "assets" and path.name == f"{asset.sha256}-file.bin"
    assert len(faults.seen) == 1


def test_a_kept_file_that_was_damaged_is_fetched_again(
    tree: Tree, make_asset: MakeAsset, packages: Packages
) -> None:
    with faulty_server(Faults(BODY)) as url:
        asset = make_asset(BODY, url)
        path = assets.ensure(tree, [asset], packages=packages)[asset.file]
        path.write_bytes(WRONG)
        assets.ensure(tree, [asset], packages=packages)

    assert path.read_bytes() == BODY


def test_sources_are_tried_in_order_until_the_bytes_match(
    tree: Tree, make_asset: MakeAsset, packages: Packages
) -> None:
    missing, wrong = Faults(BODY, status=404), Faults(WRONG)
    right, unused = Faults(BODY), Faults(BODY)
    with (
        faulty_server(missing) as a,
        faulty_server(wrong) as b,
        faulty_server(right) as c,
        faulty_server(unused) as d,
    ):
        asset = make_asset(BODY, a, b, c, d)
        path = assets.ensure(tree, [asset], packages=packages)[asset.file]

    assert path.read_bytes() == BODY
    assert [len(f.seen) for f in (missing, wrong, right, unused)] == [1, 1, 1, 0]


def test_when_all_fail_the_message_names_file_sources_reasons_and_remedy(
    tree: Tree, make_asset: MakeAsset, packages: Packages
) -> None:
    with faulty_server(Faults(WRONG)) as wrong, faulty_server(Faults(BODY, status=404)) as missing:
        asset = make_asset(BODY, wrong, missing)
        with pytest.raises(AssetError) as caught:
            assets.ensure(tree, [asset], packages=packages)

    text = str(caught.value)
    assert "file.bin" in text and wrong in text and missing in text
    assert "sha256 is" in text and asset.sha256[:12] in text and "HTTP status 404" in text
    assert asset.sha256 in caught.value.remedy and "HTTPS_PROXY" in caught.value.remedy
    assert not list((tree.cache / "assets").glob("*file.bin*")), "wrong bytes are not kept"


def test_a_cut_download_is_kept_and_the_next_run_goes_on(
    tree: Tree, make_asset: MakeAsset, packages: Packages
) -> None:
    faults = Faults(BODY, cut_after=0, cuts=1)
    with faulty_server(faults) as url:
        asset = make_asset(BODY, url)
        part = assets.path_of(tree, asset).with_name(f"{asset.sha256}-file.bin.part")
        part.write_bytes(BODY[:700])
        with pytest.raises(AssetError, match="cut at byte 700"):
            assets.ensure(tree, [asset], packages=packages)
        path = assets.ensure(tree, [asset], packages=packages)[asset.file]

    assert path.read_bytes() == BODY
    assert faults.seen == ["bytes=700-", "bytes=700-"]
    assert not part.exists()


def test_a_kept_part_with_wrong_bytes_does_not_spoil_the_source(
    tree: Tree, make_asset: MakeAsset, packages: Packages
) -> None:
    with faulty_server(Faults(BODY)) as url:
        asset = make_asset(BODY, url)
        part = assets.path_of(tree, asset).with_name(f"{asset.sha256}-file.bin.part")
        part.write_bytes(WRONG[:700])
        path = assets.ensure(tree, [asset], packages=packages)[asset.file]

    assert path.read_bytes() == BODY


def test_a_full_disk_names_file_source_and_remedy(
    tree: Tree, make_asset: MakeAsset, packages: Packages, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(url: str, part: Path, size: int, **_: object) -> None:
        raise DiskError.of(part, OSError(28, "No space left on device"))

    monkeypatch.setattr(assets, "download", full)
    asset = make_asset(BODY, "http://127.0.0.1:9/file.bin")
    with pytest.raises(DiskError) as caught:
        assets.ensure(tree, [asset], packages=packages)

    text = str(caught.value)
    assert "file.bin from http://127.0.0.1:9/file.bin" in text and "disk is full" in text
    assert "free some space" in caught.value.remedy


def test_OFFCUT_SOURCES_limits_the_kinds(
    tree: Tree, make_asset: MakeAsset, packages: Packages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OFFCUT_SOURCES", "npm,pypi")
    faults = Faults(BODY)
    with faulty_server(faults) as url, pytest.raises(AssetError, match="npm,pypi"):
        assets.ensure(tree, [make_asset(BODY, url)], packages=packages)

    assert not faults.seen


def test_OFFCUT_SOURCES_refuses_an_unknown_kind() -> None:
    assert assets.wanted_kinds(" npm , url") == ("npm", "url")
    with pytest.raises(BuildError, match="ftp"):
        assets.wanted_kinds("url,ftp")


def test_an_npm_package_gives_its_member(
    tree: Tree,
    make_asset: MakeAsset,
    packages: Packages,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = fake_npm(tmp_path / "bin", BODY)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    source = Source("npm", "thing", "1.0", "package/thing.bin")
    twice = [make_asset(BODY, source), make_asset(WRONG, source, name="other.bin")]

    found = assets.ensure(tree, twice[:1], packages=packages)
    with pytest.raises(AssetError, match="sha256 is"):
        assets.ensure(tree, twice[1:], packages=packages)

    assert found["file.bin"].read_bytes() == BODY
    assert (folder / "calls").read_text().splitlines()[0].startswith("pack thing@1.0")


def test_without_npm_the_reason_says_so(
    tree: Tree, make_asset: MakeAsset, packages: Packages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    source = Source("npm", "thing", "1.0", "package/thing.bin")

    with pytest.raises(AssetError, match="npm is not installed"):
        assets.ensure(tree, [make_asset(BODY, source)], packages=packages)


def fake_npm(folder: Path, body: bytes) -> Path:
    """Put a program `npm` into a folder that packs an archive with the one member."""
    folder.mkdir()
    (folder / "body").write_bytes(body)
    script = f"""#!/bin/sh
echo "$@" >> {folder}/calls
mkdir package && cp {folder}/body package/thing.bin && tar czf thing-1.0.tgz package
"""
    (folder / "npm").write_text(script)
    (folder / "npm").chmod(0o755)
    return folder
