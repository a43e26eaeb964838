"""docs/quantization.md: the words of words.md, with the tables made of the figures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from offcut_build import stamp
from offcut_build.tree import Tree

__all__ = ["text", "write_page"]

WORDS = Path(__file__).with_name("words.md")


def write_page(tree: Tree, document: Mapping[str, Any]) -> None:
    """Write docs/quantization.md."""
    stamp.put(tree.root / "docs" / "quantization.md", text(document).encode())


def text(document: Mapping[str, Any]) -> str:
    """Return the page: in the words {group} is a table, and {group/name/figure} a figure."""
    page = WORDS.read_text(encoding="utf-8")
    page = page.replace("{photos}", str(document["photos"]))
    for group in ("repairs", "schemes", "activations", "shipped"):
        page = page.replace(f"{{{group}}}", _table(document[group]))
        for name, row in document[group].items():
            for figure, value in row.items():
                shown = f"{value:,}" if figure == "bytes" else f"{value:.4g}"
                page = page.replace(f"{{{group}/{name}/{figure}}}", shown)
    return page


def _table(rows: Mapping[str, Mapping[str, float]]) -> str:
    lines = ["| | file, bytes | bits a weight | MAE to float32 | IoU | worst IoU |"]
    lines.append(f"|{'---|' * 6}")
    for name, row in rows.items():
        cells = [name, f"{row['bytes']:,}", f"{row['bits']:.2f}", f"{row['mae']:.4f}"]
        cells += [f"{row['iou']:.4f}", f"{row['worst_iou']:.4f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
