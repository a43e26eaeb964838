"""docs/performance.md says what docs/performance.json holds, and nothing else."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from offcut_build.bench import docs, machine
from offcut_build.bench.__main__ import parser
from offcut_build.bench.groups import GROUPS
from offcut_build.bench.rows import Row, document
from offcut_build.bench.targets import TARGETS, Target, verdict

ROOT = Path(__file__).resolve().parents[2]


def measured(*rows: Row) -> dict[str, Any]:
    """Return figures as a run writes them."""
    return machine.describe("1.2.3") | document(rows)


def committed() -> dict[str, Any]:
    """Return the figures of the checkout."""
    figures: dict[str, Any] = json.loads((ROOT / docs.FIGURES).read_text())
    return figures


def test_the_page_is_written_from_the_committed_figures() -> None:
    assert (ROOT / docs.PAGE).read_text() == docs.page(committed())


def test_the_committed_figures_hold_every_target() -> None:
    figures = committed()
    assert [target.key for target in TARGETS if target.key not in figures] == []


def test_every_kind_of_figure_that_the_page_explains_was_measured() -> None:
    kinds = re.findall(r"^- `(\w+)/\.\.\.`", docs.FOOT, re.MULTILINE)
    assert set(kinds) <= {key.partition("/")[0] for key in committed()} and len(kinds) > 5


def test_every_command_on_the_page_is_understood() -> None:
    commands = re.findall(r"^    python3 build\.py bench -- ([^#\n]+)", docs.HEAD, re.MULTILINE)
    for command in commands:
        options = parser().parse_args(shlex.split(command))
        assert set((options.only or "ops").split(",")) <= GROUPS.keys()
    assert len(commands) > 3


def test_the_page_calls_a_missed_target_missed() -> None:
    page = docs.page(measured(Row("size/kernels/kernels.wasm", [41.0], "kB")))
    assert re.search(r"\| kernels\.wasm \| 40 kB \| 25 kB \| 41 kB \| MISSED \|", page)


def test_the_page_lists_operators_slower_than_the_peer_and_no_others() -> None:
    slow, fast = Row("ops/slow@9x9/u8", [3.0]), Row("ops/fast@9x9/u8", [1.0])
    slow.ratios["onnxruntime_web_float32"] = 1.5
    fast.ratios["onnxruntime_web_float32"] = 0.5
    names = ("count", "slower", "ratio")
    totals = [Row(f"operators/u2netp/u8/{name}", [1.0], "") for name in names]

    page = docs.page(measured(slow, fast, *totals))

    assert "Slower in u8: `slow@9x9` (1.50)." in page and "fast@9x9" not in page


def test_the_page_names_what_was_not_measured() -> None:
    page = docs.page(measured())
    assert page.count("| not measured |") == len(TARGETS)
    assert "`--photos DIR` names the photos" in page


def test_the_page_says_how_far_the_worst_photo_is_chance_where_that_was_measured() -> None:
    names = ("accuracy/mae", *(f"accuracy/{n}" for n in ("mae_mean", "mae_worst")))
    rows = [Row(name, [0.5], "") for name in names]
    drawn = [Row("accuracy/draws/mae_mean", [0.25, 0.125], "")]
    drawn += [Row("accuracy/draws/iou_worst", [0.75, 0.5, 0.875], "")]

    assert "partly chance" not in docs.page(measured(*rows))
    page = docs.page(measured(*rows, *drawn))

    assert "worst IoU 0.75, and the least IoU 0.5." in page


@pytest.mark.parametrize(("value", "word"), [(0.9, "MISSED"), (0.96, "met"), (0.98, "aim reached")])
def test_more_is_better_where_a_target_says_so(value: float, word: str) -> None:
    assert verdict(Target("IoU", "iou", 0.96, 0.98, more=True), value) == word


def test_a_ratio_is_that_of_the_medians() -> None:
    own, peer = Row("forward/threads-1", [1.0, 2.0, 9.0]), Row("forward/threads-1/peer", [8.0])
    own.beside(peer)
    figures = document([own])
    assert figures["forward/threads-1/ratio_to_peer"] == 0.25
    assert figures["forward/threads-1/min"] == 1.0 and figures["forward/threads-1/count"] == 3


def test_the_machine_is_described_without_its_name() -> None:
    import platform

    about = machine.describe("1.2.3")
    assert about["machine/browser"] == "headless Chromium 1.2.3"
    assert platform.node() not in " ".join(about.values()).split()
