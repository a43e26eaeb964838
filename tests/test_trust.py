"""tests/trust.toml and docs/security.md say what there is."""

from __future__ import annotations

import ast
from pathlib import Path

from offcut_build import trust
from offcut_build.tree import Tree

ROOT = Path(__file__).resolve().parents[1]
ROWS = trust.rows(Tree(ROOT))
AREAS = {"P": 9, "L": 17, "I": 14, "M": 14, "S": 8}  # letter -> how many faults


def test_every_proof_is_a_test() -> None:
    missing = []
    for name, row in ROWS.items():
        for proof in row.get("proof", []):
            file, _, function = proof.partition("::")
            path = ROOT / "tests" / file
            body = ast.parse(path.read_text()).body if path.exists() else []
            if function not in {node.name for node in body if isinstance(node, ast.FunctionDef)}:
                missing.append(f"{name}: {proof}")
    assert not missing


def test_every_fault_is_shown_or_said_to_be_open() -> None:
    assert all(row["what"] and (row.get("proof") or row.get("open")) for row in ROWS.values())
    wanted = {f"{area}{k + 1}" for area, count in AREAS.items() for k in range(count)}
    assert wanted <= ROWS.keys()


def test_security_md_lists_them() -> None:
    text = (ROOT / "docs" / "security.md").read_text()

    assert trust.faults(ROWS) in text, "run `python3 build.py trust`"
