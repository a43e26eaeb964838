"""The tables of docs/security.md: every fault with its proof, and what the last test run counted.

tests/trust.toml     fault -> what it is, the tests that prove the answer, or what stays open
.cache/trust.json    name -> count, as tests/record.py notes them
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from offcut_build.errors import BuildError
from offcut_build.tree import Tree

__all__ = ["faults", "replaced", "rows", "write"]

BEGIN, END = "<!-- {}: written by build.py trust -->", "<!-- {}: end -->"


def rows(tree: Tree) -> dict[str, dict[str, Any]]:
    """Return tests/trust.toml."""
    return tomllib.loads((tree.root / "tests" / "trust.toml").read_text(encoding="utf-8"))


def faults(table: dict[str, dict[str, Any]]) -> str:
    """Return the table of faults."""
    lines = ["| | fault | shown by, below `tests/` | open |", "|---|---|---|---|"]
    for name, row in table.items():
        proof = "<br>".join(f"`{test}`" for test in row.get("proof", []))
        lines.append(f"| {name} | {row['what']} | {proof} | {row.get('open', '')} |")
    return "\n".join(lines)


def counts(path: Path) -> str:
    """Return the table of counts."""
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    lines = ["| of the last run | |", "|---|---|"]
    return "\n".join(lines + [f"| {name} | {count} |" for name, count in sorted(found.items())])


def replaced(text: str, name: str, table: str) -> str:
    """Return `text` with `table` between the marks of `name`. Raises BuildError without marks."""
    begin, end = BEGIN.format(name), END.format(name)
    if begin not in text or end not in text:
        raise BuildError(f"docs/security.md: has no marks for {name}")
    head, _, rest = text.partition(begin)
    return f"{head}{begin}\n\n{table}\n\n{end}{rest.partition(end)[2]}"


def write(tree: Tree) -> None:
    """Write both tables into docs/security.md."""
    path = tree.root / "docs" / "security.md"
    text = replaced(path.read_text(encoding="utf-8"), "faults", faults(rows(tree)))
    text = replaced(text, "counts", counts(tree.cache / "trust.json"))
    path.write_text(text, encoding="utf-8")
