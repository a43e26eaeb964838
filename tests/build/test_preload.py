"""The worker's scripts in one file, and what the page asks for at once."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from offcut_build import node, preload
from offcut_build.errors import BuildError
from offcut_build.tree import Tree

ROOT = Path(__file__).resolve().parents[2]
FILES = {
    "worker.js": b"""import { area } from "./shapes.js";
import * as words from "./words.js";
console.log(words.say(`${area(3)} ${words.SIGN}`));
""",
    "shapes.js": b"""import { SIGN } from "./words.js";
const SIDE = 2; // another one than in words.js
export const area = (width) => width * SIDE + SIGN;
""",
    "words.js": b"""const SIDE = "words";
export const SIGN = "!";
export function say(text) {
  return `${SIDE}: ${text}`;
}
""",
}


def test_joined_scripts_do_what_they_do_apart(tmp_path: Path) -> None:
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "joined.js").write_bytes(preload.bundled(FILES, "worker.js"))
    program = node.find(Tree(ROOT))

    apart, joined = (
        subprocess.run(
            [program, name], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
        ).stdout
        for name in ("worker.js", "joined.js")
    )

    assert joined == apart == "words: 6! !\n"


def test_each_script_is_in_it_once_and_before_those_that_need_it() -> None:
    text = preload.bundled(FILES, "worker.js").decode()

    assert text.count("const $words = ") == 1
    assert text.index("const $words = ") < text.index("const $shapes = ")
    assert not [line for line in text.splitlines() if line.startswith(("import", "export"))]


@pytest.mark.parametrize("line", ["export default 1;", "export let x = 1;", 'import "./b.js";'])
def test_other_forms_of_import_and_export_stop_the_build(line: str) -> None:
    files = {"worker.js": f"{line}\n".encode(), "b.js": b""}

    with pytest.raises(BuildError, match=r"worker\.js.*join"):
        preload.bundled(files, "worker.js")


def test_the_page_asks_for_its_scripts_and_not_for_those_of_the_worker() -> None:
    files = {path.name: path.read_bytes() for path in (ROOT / "app").iterdir()}

    page = preload.with_preloads(files).decode()

    assert '<link rel="modulepreload" href="main.js">' in page
    assert "boot.js" not in page
    assert page.index("modulepreload") < page.index("<script")
