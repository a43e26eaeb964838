"""The benchmark's command: what fails is named, what works is kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from offcut_build.bench import __main__ as bench
from offcut_build.bench.rows import Row


def broken(setting: Any) -> list[Row]:
    raise LookupError("the page was never ready")


def whole(setting: Any) -> list[Row]:
    return [Row("size/dist", [5.0], "kB")]


@pytest.fixture(autouse=True)
def two_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a group that fails and one that works, and no browser."""

    @contextmanager
    def setting(*_: Any, **__: Any) -> Iterator[Any]:
        yield SimpleNamespace(browser=SimpleNamespace(version="1"), failed=[])

    monkeypatch.setattr(bench, "GROUPS", {"broken": broken, "whole": whole})
    monkeypatch.setattr(bench, "setting", setting)


def test_a_group_that_fails_is_named_and_the_others_are_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.main(["--json", str(tmp_path / "figures.json")]) == 1
    assert json.loads((tmp_path / "figures.json").read_text())["size/dist/median"] == 5.0
    error = capsys.readouterr().err
    assert "failed: broken" in error and "never ready" in error


def test_groups_are_chosen_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--only", "whole"]) == 0
    assert "size/dist" in capsys.readouterr().out


def test_an_unknown_group_is_refused_with_those_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert bench.main(["--only", "whole,hole"]) == 2
    error = capsys.readouterr().err
    assert "'hole'" in error and "broken, whole" in error


def test_the_page_is_not_written_from_a_part() -> None:
    assert bench.main(["--only", "whole", "--write-docs"]) == 2
