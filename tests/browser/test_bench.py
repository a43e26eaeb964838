"""The benchmark's pages run what the package and the page's start have become."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from offcut import serve
from offcut_build.bench.browser import ask, lay_out, page_at
from offcut_build.bench.networks import all_ops
from offcut_build.bench.op_model import shape_out

SAMPLE = Path(__file__).resolve().parents[2] / "static/samples/cat.jpg"
SIMD = {"threads": 2, "backend": "simd", "precision": "auto"}


@pytest.fixture(scope="module")
def url(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The benchmark's site, without the peers."""
    folder = tmp_path_factory.mktemp("bench") / "site"
    lay_out(dist, folder)
    shutil.copy(SAMPLE, folder / "cat.jpg")
    with serve.start(folder) as server:
        yield server.url


@pytest.fixture
def page(chromium: Browser, url: str) -> Iterator[Page]:
    """An empty page."""
    context = chromium.new_context()
    yield context.new_page()
    context.close()


def test_passes_kernels_and_photos_are_timed_in_the_browser(page: Page, url: str) -> None:
    page_at(page, f"{url}bench_offcut.html")
    assert ask(page, "open", SIMD)["kernels_memory"] > 1e6
    assert all(ms > 0 for ms in ask(page, "forward", 2)["milliseconds"])
    assert all(ms > 0 for ms in ask(page, "second_look", 2)["milliseconds"])
    assert ask(page, "profile", 1)["conv_winograd"]["macs"] > 1e9
    stages = ask(page, "photo", "cat.jpg")["milliseconds"]
    assert {"decode", "inference", "encode", "total"} <= stages.keys()


@pytest.mark.parametrize("name", ["conv3x3-16x16-relu@20x20", "sigmoid-1280@1"])
def test_an_operator_is_timed_in_both_precisions(page: Page, url: str, name: str) -> None:
    op, _ = all_ops()[name]
    page_at(page, f"{url}bench_offcut.html?script=bench_ops.py")
    wanted = {"op": op.op, "inputs": op.inputs, "weights": op.weights, "low": 0.0, "high": 4.0}
    wanted |= {"attributes": op.attributes, "shape_out": shape_out(op)}
    opened = ask(page, "open", wanted)
    for precision in ("u8", "float32"):
        assert len(opened[precision]["sample"]) == 64
        assert ask(page, "run", {"precision": precision, "times": 2}) > 0
