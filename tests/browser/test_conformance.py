"""Operators and backends keep to their definitions inside Pyodide too."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from offcut import serve
from offcut.backends import BACKENDS

PAGES = Path(__file__).parent / "pages"
CONFORMANCE = Path(__file__).resolve().parents[1] / "conformance.py"
RUN = "async ([files, source]) => await window.runPython(files, source)"
IMPORT = "import sys; sys.path.insert(0, '/given'); from tests import conformance\n"


@pytest.fixture(scope="module")
def python(
    chromium: Browser, dist: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Page]:
    """A page that runs Python, from a copy of dist/ with the test's pages beside it."""
    folder = tmp_path_factory.mktemp("python") / "dist"
    shutil.copytree(dist, folder)
    shutil.copytree(PAGES, folder, dirs_exist_ok=True)
    with serve.start(folder) as server:
        context = chromium.new_context()
        page = context.new_page()
        page.goto(f"{server.url}/python.html")
        yield page
        context.close()


def run(page: Page, source: str) -> object:
    files = {"/given/tests/__init__.py": "", "/given/tests/conformance.py": CONFORMANCE.read_text()}
    return page.evaluate(RUN, [files, IMPORT + source])


def test_examples_by_hand_hold_in_pyodide(python: Page) -> None:
    assert run(python, "conformance.check_examples()") == []


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_backend_agrees_with_the_definitions_in_pyodide(python: Page, backend: str) -> None:
    assert run(python, f"await conformance.check_cases({backend!r})") == []
