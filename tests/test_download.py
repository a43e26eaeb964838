"""A model arrives whole and verified, or not at all; what has arrived is not fetched twice."""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offcut import download
from offcut.download import PART_BYTES, Entry, Index, fetch_index, fetch_model, read_index
from offcut.errors import Cancelled, DownloadError, IntegrityError, UnknownModelError
from tests.faulty_site import Answer, Site, cut, faulty_site, flipped, missing, shortened

FILE = "small-int8.safetensors"
BODY = np.random.default_rng(3).integers(0, 256, 2 * PART_BYTES + 777, np.uint8).tobytes()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def entry(body: bytes = BODY) -> Entry:
    parts = tuple(sha256(body[k : k + PART_BYTES]) for k in range(0, len(body), PART_BYTES))
    return Entry("small-int8", FILE, len(body), sha256(body), parts)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(download, "PAUSE", 0.01)
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / FILE).write_bytes(BODY)
    with faulty_site(folder) as running:
        yield running


def fetch(site: Site, folder: Path, **options: Any) -> Path:
    return asyncio.run(fetch_model(entry(), site.url, folder, **options))


def test_model_is_fetched_part_by_part(site: Site, tmp_path: Path) -> None:
    path = fetch(site, tmp_path / "cache")

    assert path.read_bytes() == BODY
    assert [wanted for _, wanted in site.seen] == [
        f"bytes=0-{PART_BYTES - 1}",
        f"bytes={PART_BYTES}-{2 * PART_BYTES - 1}",
        f"bytes={2 * PART_BYTES}-{len(BODY) - 1}",
    ]


def test_progress_counts_bytes_up_to_all_of_them(site: Site, tmp_path: Path) -> None:
    told = []

    async def progress(done: int, total: int) -> None:
        told.append((done, total))

    fetch(site, tmp_path / "cache", progress=progress)

    size = len(BODY)
    assert told == [(done, size) for done in (0, PART_BYTES, 2 * PART_BYTES, size)]


def test_second_fetch_asks_for_nothing(site: Site, tmp_path: Path) -> None:
    fetch(site, tmp_path / "cache")
    site.seen.clear()

    assert fetch(site, tmp_path / "cache").read_bytes() == BODY
    assert site.seen == []


def test_file_that_was_damaged_on_disk_is_fetched_again(site: Site, tmp_path: Path) -> None:
    path = fetch(site, tmp_path / "cache")
    path.write_bytes(BODY[:-1] + b"?")

    assert fetch(site, tmp_path / "cache").read_bytes() == BODY


def test_L6_download_resumes_where_the_verified_parts_end(site: Site, tmp_path: Path) -> None:
    async def stop_after_the_first(done: int, total: int) -> None:
        if done >= PART_BYTES:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        fetch(site, tmp_path / "cache", progress=stop_after_the_first)
    site.seen.clear()

    assert fetch(site, tmp_path / "cache").read_bytes() == BODY
    assert site.seen[0][1] == f"bytes={PART_BYTES}-{2 * PART_BYTES - 1}"


def test_L6_damaged_beginning_of_a_download_is_not_resumed(site: Site, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    (folder / f"{sha256(BODY)}.part").write_bytes(b"?" * PART_BYTES)

    assert fetch(site, folder).read_bytes() == BODY
    assert site.seen[0][1].startswith("bytes=0-")


def test_L6_server_that_ignores_range_is_asked_once(site: Site, tmp_path: Path) -> None:
    site.ranges = False

    assert fetch(site, tmp_path / "cache").read_bytes() == BODY
    assert len(site.seen) == 1


def saying(**headers: str) -> Callable[[Answer], None]:
    """Return a fault that is none: headers that say which version a file is."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda answer: answer.headers.update(named)


LONG_AGO = "Tue, 01 Jan 2019 00:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "condition"),
    [
        ({"ETag": '"one"', "Last_Modified": LONG_AGO}, '"one"'),
        ({"ETag": 'W/"one"', "Last_Modified": LONG_AGO}, LONG_AGO),
        ({"ETag": 'W/"one"'}, ""),
        ({"Last_Modified": "Fri, 01 Jan 2100 00:00:00 GMT"}, ""),
        ({"Last_Modified": "yesterday"}, ""),
        ({}, ""),
    ],
    ids=["strong tag", "weak tag and date", "weak tag", "date to come", "no date", "nothing"],
)
def test_L6_later_parts_are_asked_for_only_if_the_file_is_still_the_same(
    site: Site, tmp_path: Path, headers: dict[str, str], condition: str
) -> None:
    site.everywhere = saying(**headers)

    assert fetch(site, tmp_path / "cache").read_bytes() == BODY
    assert len(site.seen) == 3
    assert site.asked_if == ([condition] * 2 if condition else [])


def changing(site: Site, body: bytes) -> Callable[[Answer], None]:
    """Return a fault: after the first answer the file is `body`, with another ETag."""

    def change(answer: Answer) -> None:
        first = len(site.seen) == 1
        answer.body = answer.body if first else body
        answer.headers["ETag"] = '"one"' if first else '"two"'

    return change


def test_L6_same_bytes_under_another_tag_are_taken_from_the_whole_file(
    site: Site, tmp_path: Path
) -> None:
    site.everywhere = changing(site, BODY)  # as servers that share a site answer in turn

    assert fetch(site, tmp_path / "cache").read_bytes() == BODY
    assert len(site.seen) == 2  # a part, then all


@pytest.mark.parametrize("conditions", [True, False], ids=["honoured", "ignored"])
def test_L6_file_that_changes_midway_is_told_and_what_was_right_is_kept(
    site: Site, tmp_path: Path, conditions: bool
) -> None:
    site.everywhere, site.conditions = changing(site, BODY[::-1]), conditions

    with pytest.raises(IntegrityError, match="the server has changed since part 1, part 2: sha"):
        fetch(site, tmp_path / "cache")

    site.everywhere = None
    assert fetch(site, tmp_path / "cache").read_bytes() == BODY
    assert site.seen[-2][1].startswith(f"bytes={PART_BYTES}-")


@pytest.mark.parametrize("fault", [cut, flipped, shortened])
def test_L5_passing_fault_is_healed(site: Site, tmp_path: Path, fault: Any) -> None:
    site.faults, site.times = {FILE: fault}, {FILE: 1}

    assert fetch(site, tmp_path / "cache").read_bytes() == BODY


def test_L5_part_damaged_for_good_is_named_with_both_hashes(site: Site, tmp_path: Path) -> None:
    site.faults = {FILE: flipped}
    damaged = Answer(BODY, "")
    flipped(damaged)
    got = sha256(damaged.body[PART_BYTES : 2 * PART_BYTES])[:12]

    with pytest.raises(IntegrityError, match=f"{FILE}, part 2: sha256 is {got}") as caught:
        fetch(site, tmp_path / "cache")

    assert entry().parts[1][:12] in str(caught.value)
    assert not list((tmp_path / "cache").glob("*.safetensors"))


def test_missing_file_is_told_with_its_status(site: Site, tmp_path: Path) -> None:
    site.faults = {FILE: missing}

    with pytest.raises(DownloadError, match=f"{FILE}: the server answers 404"):
        fetch(site, tmp_path / "cache")


def test_L6_connection_that_is_always_cut_ends_in_an_error(site: Site, tmp_path: Path) -> None:
    site.faults = {FILE: cut}
    site.ranges = False

    with pytest.raises(DownloadError, match="cannot be fetched"):
        fetch(site, tmp_path / "cache")

    assert len(site.seen) == download.ATTEMPTS


def test_nobody_listening_ends_in_an_error(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(download, "PAUSE", 0.01)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/"

        with pytest.raises(DownloadError, match="cannot be fetched") as caught:
            asyncio.run(fetch_model(entry(), url, tmp_path))

    assert caught.value.remedy


def test_L5_wrong_whole_is_thrown_away_even_when_its_parts_are_right(
    site: Site, tmp_path: Path
) -> None:
    right = entry()
    wrong = Entry(right.name, right.file, right.bytes, "0" * 64, right.parts)

    with pytest.raises(IntegrityError, match="sha256 is"):
        asyncio.run(fetch_model(wrong, site.url, tmp_path / "cache"))

    assert list((tmp_path / "cache").iterdir()) == []


def row(body: bytes = b"x") -> dict[str, Any]:
    digest = sha256(body)
    return {"file": FILE, "bytes": len(body), "sha256": digest, "parts": [digest]}


def test_index_is_fetched_and_read(site: Site) -> None:
    text = json.dumps({"default": "u-int8", "models": {"u-int8": row() | {"title": "U"}}})
    (site.folder / "index.json").write_text(text)

    index = asyncio.run(fetch_index(site.url + "index.json"))

    assert index.find().title == "U"


@pytest.mark.parametrize("text", ["<!doctype html>", "[]", '{"default": "a"}', '{"models": {}}'])
def test_what_is_no_index_is_refused(text: str) -> None:
    with pytest.raises(IntegrityError, match=r"index\.json is not an index"):
        read_index(text, "index.json")


def test_index_that_misstates_its_parts_is_refused() -> None:
    text = json.dumps({"default": "a", "models": {"a": row() | {"parts": []}}})

    with pytest.raises(IntegrityError, match="misstates its parts"):
        read_index(text, "index.json")


def test_bare_name_means_the_default_variant_then_the_first() -> None:
    names = ("u-int4", "u-int8", "v-int4")
    models = {name: Entry(name, "f", 1, "", ("",)) for name in names}
    index = Index("u-int8", models)

    assert index.find("u").name == "u-int8"
    assert index.find("v").name == "v-int4"
    assert index.find().name == "u-int8"
    assert index.find("u-int4").name == "u-int4"
    with pytest.raises(UnknownModelError, match="'w'") as caught:
        index.find("w")
    assert "u-int4, u-int8, v-int4" in caught.value.remedy
