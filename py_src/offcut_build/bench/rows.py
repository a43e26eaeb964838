"""What was measured: a name, values, and the ratio to a peer of the same run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import Any

__all__ = ["Row", "document", "table"]


@dataclass(slots=True)
class Row:
    """One measurement; milliseconds unless `unit` says otherwise."""

    name: str
    values: list[float]
    unit: str = "ms"
    peer: str = ""
    ratio: float | None = None  # of the medians

    def beside(self, peer: Row) -> None:
        """Note the ratio to a peer that ran in turn with this."""
        self.peer = peer.name.split("/")[1]
        self.ratio = median(self.values) / median(peer.values)


def document(rows: Iterable[Row]) -> dict[str, Any]:
    """Return flat keys to numbers: name/min, name/median, name/ratio_to_<peer>."""
    flat: dict[str, Any] = {}
    for row in rows:
        flat[f"{row.name}/min"] = round(min(row.values), 3)
        flat[f"{row.name}/median"] = round(median(row.values), 3)
        if row.ratio is not None:
            flat[f"{row.name}/ratio_to_{row.peer}"] = round(row.ratio, 4)
    return flat


def table(rows: Iterable[Row]) -> str:
    """Return the rows as a Markdown table."""
    lines = ["| what | min | median | n | ratio to peer |", "|---|---|---|---|---|"]
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.3f} of {row.peer}"
        low, middle = min(row.values), median(row.values)
        lines.append(
            f"| {row.name} | {low:.1f} {row.unit} | {middle:.1f} {row.unit} "
            f"| {len(row.values)} | {ratio} |"
        )
    return "\n".join(lines)
