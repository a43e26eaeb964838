"""The page starts from Python's memory as the build left it; where it does not fit, without."""

from __future__ import annotations

import json
from pathlib import Path

from playwright.sync_api import Browser

from tests.browser.app import BOOT_SECONDS, App
from tests.browser.python_page import python_page
from tests.faulty_site import Site, before

# Safari before 18.2: Python has another way to call C functions there.
WITHOUT_GARBAGE_COLLECTION = """
const Whole = WebAssembly.Module;
WebAssembly.Module = function (data) {
  const text = new TextDecoder("latin1").decode(data.slice(0, 4096));
  if (text.includes("trampoline_call")) throw new WebAssembly.CompileError("no such type");
  return new Whole(data);
};
Object.setPrototypeOf(WebAssembly.Module, Whole);
WebAssembly.Module.prototype = Whole.prototype;
"""
OF_ANOTHER_LAYOUT = """
const parse = JSON.parse;
JSON.parse = (text, reviver) => {
  const value = parse(text, reviver);
  if (value?.functions) value.functions += 1;
  return value;
};
"""


def default_model(site: Site) -> str:
    index = json.loads((site.folder / "models" / "index.json").read_bytes())
    return f"models/{index['models'][index['default']]['file']}"


def cut_out(app: App, site: Site, photo: Path) -> list[str]:
    """Start, cut a photo out, and return what was asked for until then."""
    app.page.goto(site.url)
    app.choose(photo)
    assert app.wait("done", "error", seconds=BOOT_SECONDS) == "done", app.describe()
    return [path for path, _ in site.seen]


def test_neither_modules_nor_the_default_model_are_fetched(
    fresh: App, faulty: Site, samples: Path
) -> None:
    asked = cut_out(fresh, faulty, samples / "cat.jpg")

    assert "start/python.pack" in asked
    assert "start/modules.pack" not in asked
    assert default_model(faulty) not in asked


def test_an_engine_that_calls_functions_in_another_way_starts_from_it_too(
    fresh: App, faulty: Site, samples: Path
) -> None:
    faulty.faults["worker.js"] = before(WITHOUT_GARBAGE_COLLECTION)

    asked = cut_out(fresh, faulty, samples / "cat.jpg")

    assert "start/modules.pack" not in asked


def test_where_it_does_not_fit_the_page_starts_from_the_modules(
    fresh: App, faulty: Site, samples: Path
) -> None:
    faulty.faults["worker.js"] = before(OF_ANOTHER_LAYOUT)

    asked = cut_out(fresh, faulty, samples / "cat.jpg")

    assert "start/modules.pack" in asked
    assert default_model(faulty) in asked


def test_chance_is_another_one_in_each_page(chromium: Browser, dist: Path, tmp_path: Path) -> None:
    source = "import random\nrandom.random()"

    drawn = []
    for name in ("one", "two"):
        with python_page(chromium, dist, tmp_path / name) as page:
            drawn.append(page.run(source))

    assert drawn[0] != drawn[1]
