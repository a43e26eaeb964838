"""`offcut verify`: what it finds in a folder and on a site."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from offcut.errors import DownloadError, ModelFormatError
from offcut.serve import start
from offcut.verify import open_bundle, verify
from tests import faulty_site

HEADERS = """/*
  Cross-Origin-Opener-Policy: same-origin
  Cross-Origin-Embedder-Policy: require-corp
  Content-Security-Policy: {}
"""
POLICY = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'"
FILES = {
    "index.html": b"<!doctype html><title>Offcut</title>",
    "models/a.bin": bytes(range(256)) * 40,
    "_headers": HEADERS.format(POLICY).encode(),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make(tmp_path / "dist", FILES)


@pytest.fixture
def url(folder: Path) -> Iterator[str]:
    server = start(folder)
    yield server.url
    server.close()


def make(root: Path, files: dict[str, bytes]) -> Path:
    rows = {}
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        rows[name] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    (root / "manifest.json").write_text(json.dumps({"version": "1.2", "files": rows}))
    return root


def test_a_whole_folder_has_no_fault(folder: Path) -> None:
    verdict = verify(open_bundle(str(folder)))

    assert not verdict.faults and verdict.files == 3
    assert verdict.bytes == sum(map(len, FILES.values()))
    digest = hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    assert digest in verdict.table()


def test_a_whole_site_has_no_fault_though_it_does_not_serve_its_settings(url: str) -> None:
    verdict = verify(open_bundle(url))

    assert not verdict.faults and not verdict.notes


def test_changed_longer_missing_and_extra_files_are_named(folder: Path) -> None:
    (folder / "index.html").write_bytes(FILES["index.html"][::-1])
    (folder / "models" / "a.bin").write_bytes(FILES["models/a.bin"] + b"more")
    (folder / "_headers").unlink()
    (folder / "extra.js").write_text("1")

    faults = verify(open_bundle(str(folder))).faults

    assert faults.keys() == {"index.html", "models/a.bin", "_headers", "extra.js"}
    assert "more than 10240 bytes" in faults["models/a.bin"]
    assert "does not name it" in faults["extra.js"]


@pytest.mark.parametrize("fault", ["flipped", "shortened", "missing", "web_page", "cut"])
def test_a_site_that_serves_other_bytes_is_caught(folder: Path, fault: str) -> None:
    with faulty_site.faulty_site(folder) as site:
        site.faults["models/a.bin"] = getattr(faulty_site, fault)
        verdict = verify(open_bundle(site.url))

    assert "models/a.bin" in verdict.faults


def test_another_build_is_told_from_the_same_one(folder: Path, tmp_path: Path) -> None:
    same = make(tmp_path / "same", FILES)
    other = make(tmp_path / "other", FILES | {"index.html": b"changed", "new.js": b"1"})

    assert "the same build" in verify(open_bundle(str(folder)), open_bundle(str(same))).notes[0]
    faults = verify(open_bundle(str(folder)), open_bundle(str(other))).faults
    assert faults.keys() == {"index.html", "new.js"}


def test_a_weak_policy_is_a_fault_and_a_missing_one_a_note(tmp_path: Path) -> None:
    weak = HEADERS.format(POLICY + "; style-src 'unsafe-inline'").encode()
    for files, fault, notes in (
        (FILES | {"_headers": weak}, True, 0),
        ({name: data for name, data in FILES.items() if name != "_headers"}, False, 2),
    ):
        with start(make(tmp_path / f"site{notes}", files)) as server:
            verdict = verify(open_bundle(server.url))
        assert ("Content-Security-Policy" in verdict.faults) == fault
        assert len(verdict.notes) == notes


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "<html>",
        '{"version": "1", "files": {"../x": {"sha256": "", "bytes": 1}}}',
        '{"version": "1", "files": {"/etc/x": {"sha256": "", "bytes": 1}}}',
        '{"version": "1", "files": {"x": {"sha256": "", "bytes": -1}}}',
        '{"version": "1", "files": {"x": {"sha256": "", "bytes": 1e18}}}',
    ],
)
def test_a_manifest_that_is_none_is_refused(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_text(text)
    with pytest.raises(ModelFormatError, match="manifest"):
        verify(open_bundle(str(folder)))


def test_nothing_there_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    for place in (str(tmp_path / "nowhere"), "http://127.0.0.1:9/"):
        with pytest.raises(DownloadError) as caught:
            open_bundle(place)
        assert caught.value.remedy
    with pytest.raises(DownloadError, match=r"manifest\.json cannot be read"):
        verify(open_bundle(str(tmp_path)))
