"""The order of the tests: those that drive a browser come last.

Playwright's blocking interface keeps an event loop running in this thread until its last browser
is closed, and asyncio.run refuses to work beside it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

BROWSER = Path(__file__).parent / "browser"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Move the browser tests to the end; the order is otherwise kept."""
    items.sort(key=lambda item: BROWSER in item.path.parents)
