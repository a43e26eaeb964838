"""Fetching one URL from servers that cut, ignore or mangle: whole bytes, or a named reason."""

from __future__ import annotations

import errno
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from offcut_build.download import Network, download
from offcut_build.errors import DiskError, SourceError
from tests.build.faulty_server import Faults, faulty_server

BODY = bytes(range(251)) * 4000  # 1 MB, and no two pieces of 64 kB are alike


def fetch(url: str, part: Path, size: int = len(BODY), network: Network | None = None) -> list[int]:
    seen: list[int] = []
    download(url, part, size, network=network or Network(), report=seen.append)
    return seen


def test_a_file_comes_whole_and_progress_grows_to_its_size(tmp_path: Path) -> None:
    with faulty_server(Faults(BODY)) as url:
        seen = fetch(url, tmp_path / "f.part")

    assert (tmp_path / "f.part").read_bytes() == BODY
    assert seen == sorted(seen) and seen[-1] == len(BODY)


@pytest.mark.parametrize("lengths", [True, False])
def test_L6_a_cut_connection_is_resumed_where_it_stopped(tmp_path: Path, lengths: bool) -> None:
    faults = Faults(BODY, cut_after=300_000, cuts=3, lengths=lengths)
    with faulty_server(faults) as url:
        fetch(url, tmp_path / "f.part")

    assert (tmp_path / "f.part").read_bytes() == BODY
    assert faults.seen == ["", "bytes=300000-", "bytes=600000-", "bytes=900000-"]


def test_L6_a_later_run_goes_on_with_the_kept_part(tmp_path: Path) -> None:
    (tmp_path / "f.part").write_bytes(BODY[:400_000])
    faults = Faults(BODY)
    with faulty_server(faults) as url:
        fetch(url, tmp_path / "f.part")

    assert (tmp_path / "f.part").read_bytes() == BODY
    assert faults.seen == ["bytes=400000-"]


def test_L6_a_server_that_ignores_range_starts_the_file_again(tmp_path: Path) -> None:
    (tmp_path / "f.part").write_bytes(b"?" * 400_000)
    with faulty_server(Faults(BODY, ranges=False)) as url:
        fetch(url, tmp_path / "f.part")

    assert (tmp_path / "f.part").read_bytes() == BODY


def test_L6_a_partial_reply_at_another_offset_is_refused(tmp_path: Path) -> None:
    (tmp_path / "f.part").write_bytes(BODY[:400_000])
    with faulty_server(Faults(BODY, shift=7)) as url, pytest.raises(SourceError, match="Range"):
        fetch(url, tmp_path / "f.part")

    assert (tmp_path / "f.part").read_bytes() == BODY[:400_000]


def test_L6_a_file_shorter_than_the_kept_part_is_started_again(tmp_path: Path) -> None:
    (tmp_path / "f.part").write_bytes(b"?" * 500)
    with faulty_server(Faults(BODY[:400])) as url, pytest.raises(SourceError, match="400 bytes"):
        fetch(url, tmp_path / "f.part")


def test_a_connection_that_brings_nothing_ends_with_its_reason(tmp_path: Path) -> None:
    faults = Faults(BODY, cut_after=0, cuts=99)
    with faulty_server(faults) as url, pytest.raises(SourceError, match="cut at byte 0"):
        fetch(url, tmp_path / "f.part")

    assert len(faults.seen) == 1


@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_an_error_status_is_named(tmp_path: Path, status: int) -> None:
    with faulty_server(Faults(BODY, status=status)) as url:
        with pytest.raises(SourceError, match=f"HTTP status {status}"):
            fetch(url, tmp_path / "f.part")


@pytest.mark.parametrize(("lengths", "words"), [(True, "bytes, expected"), (False, "more than")])
def test_a_file_of_another_size_is_refused(tmp_path: Path, lengths: bool, words: str) -> None:
    with faulty_server(Faults(BODY, lengths=lengths)) as url:
        with pytest.raises(SourceError, match=words):
            fetch(url, tmp_path / "f.part", len(BODY) - 1000)


def test_an_unreachable_host_is_asked_once_in_a_run(tmp_path: Path) -> None:
    with socket.socket() as closed:  # bound but not listening: connections are refused
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/f"
        network = Network()
        with pytest.raises(SourceError, match="cannot be reached"):
            fetch(url, tmp_path / "f.part", network=network)
        with pytest.raises(SourceError, match="not asked again"):
            fetch(url, tmp_path / "f.part", network=network)


def test_a_silent_server_costs_no_more_than_the_time_allowed(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, never answers
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/f"
        network = Network(connect_seconds=0.2, read_seconds=0.3)
        begin = time.monotonic()
        with pytest.raises(SourceError, match="timed out"):
            fetch(url, tmp_path / "f.part", network=network)

    assert time.monotonic() - begin < 5


def test_a_full_disk_is_named_with_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.open

    def full(self: Path, *arguments: Any, **more: Any) -> Any:
        file = real(self, *arguments, **more)
        if self.suffix != ".part":
            return file

        class Full:
            def write(self, data: bytes) -> int:
                raise OSError(errno.ENOSPC, "No space left on device")

            def __enter__(self) -> Full:
                return self

            def __exit__(self, *_: object) -> None:
                file.close()

        return Full()

    monkeypatch.setattr(Path, "open", full)
    with faulty_server(Faults(BODY)) as url, pytest.raises(DiskError) as caught:
        fetch(url, tmp_path / "f.part")

    assert "f.part" in str(caught.value) and "disk is full" in str(caught.value)
    assert "free some space" in caught.value.remedy
