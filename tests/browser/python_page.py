"""A page that runs Python in a worker, booted as the app does, from a copy of dist/ and pages/."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page

from offcut import serve

PAGES = Path(__file__).parent / "pages"
RUN = "async ([files, source]) => await window.runPython(files, source)"


@dataclass(frozen=True)
class PythonPage:
    """The page, and the folder that its server serves."""

    page: Page
    folder: Path

    def run(self, source: str, files: dict[str, str] | None = None) -> object:
        """Write files (path -> text), run the source, return its last expression's value."""
        return self.page.evaluate(RUN, [files or {}, source])


@contextmanager
def python_page(
    browser: Browser, dist: Path, folder: Path, *, headers: bool = True
) -> Iterator[PythonPage]:
    """Serve a copy of dist/ in `folder`, and open the page; headers: with the policy."""
    shutil.copytree(dist, folder)
    shutil.copytree(PAGES, folder, dirs_exist_ok=True)
    if not headers:
        (folder / "_headers").unlink()
    with serve.start(folder) as server:
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"{server.url}/python.html")
        yield PythonPage(page, folder)
        context.close()
