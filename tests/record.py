"""Keeps what a test run counted, for the table in docs/security.md: .cache/trust.json.

Each row is {name: count}; a test that runs again replaces its row. `python3 build.py trust` writes
the table.
"""

from __future__ import annotations

import json
from pathlib import Path

FILE = Path(__file__).resolve().parents[1] / ".cache" / "trust.json"


def record(name: str, count: int) -> None:
    """Note a count of this run."""
    rows = json.loads(FILE.read_text()) if FILE.exists() else {}
    rows[name] = count
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(json.dumps(rows, indent=1, sort_keys=True) + "\n")
