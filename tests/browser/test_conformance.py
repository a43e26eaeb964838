"""Operators and backends keep to their definitions inside Pyodide too."""

from __future__ import annotations

from pathlib import Path

import pytest

from offcut.backends import BACKENDS
from tests.browser.python_page import PythonPage

CONFORMANCE = Path(__file__).resolve().parents[1] / "conformance.py"
IMPORT = "import sys; sys.path.insert(0, '/given'); from tests import conformance\n"


def run(python: PythonPage, source: str) -> object:
    files = {"/given/tests/__init__.py": "", "/given/tests/conformance.py": CONFORMANCE.read_text()}
    return python.run(IMPORT + source, files)


def test_examples_by_hand_hold_in_pyodide(python: PythonPage) -> None:
    assert run(python, "conformance.check_examples()") == []


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_backend_agrees_with_the_definitions_in_pyodide(
    python: PythonPage, backend: str
) -> None:
    assert run(python, f"await conformance.check_cases({backend!r})") == []
