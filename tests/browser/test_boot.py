"""The page starts from verified files only; whatever is wrong with one is named within seconds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.browser.app import BOOT_SECONDS, App
from tests.faulty_site import (
    Fault,
    Site,
    cut,
    flipped,
    late,
    missing,
    plain_text,
    shortened,
    web_page,
)
from tests.record import record

# From the reply that shows the damage to the error on the page. All files are local, so this
# bounds the whole of it; the page's own start is in it.
ERROR_SECONDS = 15.0
FAULTS = [missing, cut, shortened, flipped, web_page]
CORE = ["pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "pyodide-lock.json"]
FILES = [*(f"pyodide/{name}" for name in CORE), "start/python.pack"]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("name", FILES)
def test_L1_L2_damaged_core_file_is_named(
    fresh: App, faulty: Site, name: str, fault: Fault
) -> None:
    faulty.faults[name] = fault
    record("faults: kinds of damage to files that Python starts from", len(FAULTS) * len(FILES))

    fresh.page.goto(faulty.url)

    assert fresh.wait("error", seconds=ERROR_SECONDS) == "error"
    assert name in fresh.error
    assert fresh.page.get_by_role("button", name="Try again").is_visible()


@pytest.mark.parametrize("fault", [missing, web_page, shortened], ids=lambda f: f.__name__)
def test_L4_manifest_that_is_none_is_named(fresh: App, faulty: Site, fault: Fault) -> None:
    faulty.faults["manifest.json"] = fault

    fresh.page.goto(faulty.url)

    fresh.wait("error", seconds=ERROR_SECONDS)
    assert "manifest.json" in fresh.error


def test_both_hashes_and_the_web_page_are_told(fresh: App, faulty: Site, dist: Path) -> None:
    path = "pyodide/pyodide.asm.wasm"
    faulty.faults[path] = web_page
    expected = json.loads((dist / "manifest.json").read_text())["files"][path]["sha256"][:12]

    fresh.page.goto(faulty.url)

    fresh.wait("error", seconds=ERROR_SECONDS)
    assert expected in fresh.error
    assert "the server sent a web page in its place" in fresh.error


def test_L1_script_of_the_wrong_type_is_told_with_its_remedy(fresh: App, faulty: Site) -> None:
    faulty.faults["pyodide/pyodide.asm.mjs"] = plain_text

    fresh.page.goto(faulty.url)

    fresh.wait("error", seconds=ERROR_SECONDS)
    assert "pyodide.asm.mjs is sent as text/plain" in fresh.error
    assert "text/javascript" in fresh.error


def test_missing_script_of_the_worker_ends_in_an_error(fresh: App, faulty: Site) -> None:
    faulty.faults["worker.js"] = missing

    fresh.page.goto(faulty.url)

    fresh.wait("error", seconds=ERROR_SECONDS)
    assert "a script of the worker is missing or damaged" in fresh.error


def test_worker_that_ends_before_the_page_listens_tells_why(fresh: App, faulty: Site) -> None:
    faulty.faults |= {"worker.js": missing, "main.js": late}

    fresh.page.goto(faulty.url)

    fresh.wait("error", seconds=ERROR_SECONDS)
    assert "a script of the worker is missing or damaged" in fresh.error


@pytest.mark.parametrize("name", ["main.js", "bridge.js"])
def test_missing_script_of_the_page_is_told_by_the_style_sheet(
    fresh: App, faulty: Site, name: str
) -> None:
    faulty.faults[name] = missing
    opacity = "getComputedStyle(document.querySelector('.silence')).opacity"

    fresh.page.goto(faulty.url)

    fresh.wait_until(lambda: fresh.page.evaluate(opacity) == "1", "the hint is shown", 20)


def test_L2_file_damaged_once_is_fetched_again_without_a_word(fresh: App, faulty: Site) -> None:
    path = "start/python.pack"
    faulty.faults, faulty.times = {path: flipped}, {path: 1}

    fresh.page.goto(faulty.url)

    assert fresh.wait("ready", "error", seconds=BOOT_SECONDS) == "ready", fresh.describe()
    assert [asked for asked, _ in faulty.seen].count(path) == 2


def test_L5_trying_again_works_once_the_server_is_whole(
    fresh: App, faulty: Site, samples: Path
) -> None:
    index = json.loads((faulty.folder / "models" / "index.json").read_text())
    model = next(name for name in index["models"] if name != index["default"])
    faulty.faults[f"models/{index['models'][model]['file']}"] = flipped
    fresh.page.goto(f"{faulty.url}?model={model}")
    fresh.choose(samples / "cat.jpg")  # waits for the engine
    fresh.wait("error", seconds=BOOT_SECONDS)
    assert "part 1: sha256 is" in fresh.error

    faulty.faults.clear()
    fresh.page.get_by_role("button", name="Try again").click()

    assert fresh.wait("done", "error", seconds=BOOT_SECONDS) == "done", fresh.describe()
    assert fresh.error == ""


def test_photo_chosen_while_loading_is_cut_out_once_ready(
    fresh: App, site: str, samples: Path
) -> None:
    fresh.page.goto(site)
    fresh.choose(samples / "cat.jpg")
    assert fresh.state == "booting"
    assert "Your photo is next" in fresh.text(".busy-text")

    assert fresh.wait("done", "error", seconds=BOOT_SECONDS) == "done", fresh.describe()
