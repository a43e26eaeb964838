"""Reading assets.lock.toml: what is right is read whole, what is wrong is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from offcut_build.errors import LockError
from offcut_build.lock import Lock, Source, read

HEAD = """[pyodide]
version = "1"
python = "3.14.0"
abi_version = "a"
arch = "b"
platform = "c"
"""
ROW = f"""[[asset]]
name = "Thing"
version = "2"
file = "thing.bin"
sha256 = "{"ab" * 32}"
bytes = 3
licence = "MIT"
notice = "https://example.org"
ship = "pyodide/thing.bin"
sources = [
    {{ url = "https://example.org/thing.bin" }},
    {{ npm = "thing", version = "2", member = "package/thing.bin" }},
    {{ pypi = "things", version = "4", member = "a/thing.bin", python = "3.12" }},
    {{ pypi = "thing", version = "2" }},
]
"""


def parsed(tmp_path: Path, text: str) -> Lock:
    path = tmp_path / "assets.lock.toml"
    path.write_text(text)
    return read(path)


def test_a_row_is_read_with_its_sources_in_order(tmp_path: Path) -> None:
    lock = parsed(tmp_path, HEAD + ROW)

    assert lock.pyodide == "1"
    assert lock.info["python"] == "3.14.0"
    assert lock.assets[0].ship == "pyodide/thing.bin"
    assert lock.assets[0].sources == (
        Source("url", "https://example.org/thing.bin"),
        Source("npm", "thing", "2", "package/thing.bin"),
        Source("pypi", "things", "4", "a/thing.bin", "3.12"),
        Source("pypi", "thing", "2"),
    )


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("abab", "ABAB", "sha256"),
        ("bytes = 3", "bytes = 0", "bytes"),
        ('licence = "MIT"\n', "", "licence"),
        ('ship = "pyodide/', 'ship = "../', "ship"),
        ('ship = "pyodide/', 'ship = "/', "ship"),
        ('file = "thing.bin"', 'file = "a/thing.bin"', "file"),
        ("{ url =", "{ ftp =", "ftp"),
        (', member = "package/thing.bin"', "", "npm"),
        ('"4", member', '"4", folder', "pypi"),
        ('https://example.org/thing.bin" }', 'x", npm = "y" }', "url"),
        ("[[asset]]", "[[asset]", "TOML"),
        ('arch = "b"\n', "", "arch"),
    ],
)
def test_a_wrong_row_is_refused_by_name(tmp_path: Path, old: str, new: str, named: str) -> None:
    text = HEAD + ROW
    assert old in text

    with pytest.raises(LockError, match=named):
        parsed(tmp_path, text.replace(old, new))


@pytest.mark.parametrize("field", ["file", "sha256", "ship"])
def test_two_rows_cannot_claim_the_same(tmp_path: Path, field: str) -> None:
    other = {"file": "b.bin", "sha256": "cd" * 32, "ship": "pyodide/b.bin"}
    row = ROW
    for key, value in other.items():
        if key != field:
            line = next(line for line in ROW.splitlines() if line.startswith(f"{key} ="))
            row = row.replace(line, f'{key} = "{value}"')

    with pytest.raises(LockError, match=f"{field} .* twice"):
        parsed(tmp_path, HEAD + ROW + row)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LockError, match=r"assets\.lock\.toml"):
        read(tmp_path / "assets.lock.toml")
