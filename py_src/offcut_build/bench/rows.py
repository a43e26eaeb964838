"""What was measured: a name, values, and ratios to peers of the same run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median
from typing import Any

__all__ = ["Row", "document", "table"]


@dataclass(slots=True)
class Row:
    """One measurement; milliseconds unless `unit` says otherwise."""

    name: str
    values: list[float]
    unit: str = "ms"
    ratios: dict[str, float] = field(default_factory=dict)  # peer -> this median over the peer's

    @property
    def median(self) -> float:
        """The median of the values."""
        return median(self.values)

    def beside(self, peer: Row) -> None:
        """Note the ratio to a peer that ran in turn with this, known by its name's last part."""
        self.ratios[peer.name.rpartition("/")[2]] = self.median / max(peer.median, 1e-6)


def document(rows: Iterable[Row]) -> dict[str, Any]:
    """Return flat keys to numbers: name/min, name/median, name/count, name/ratio_to_<peer>."""
    flat: dict[str, Any] = {}
    for row in rows:
        flat[f"{row.name}/min"] = _short(min(row.values))
        flat[f"{row.name}/median"] = _short(row.median)
        flat[f"{row.name}/count"] = len(row.values)
        for peer, ratio in row.ratios.items():
            flat[f"{row.name}/ratio_to_{peer}"] = _short(ratio)
    return flat


def _short(value: float) -> float:
    return float(f"{value:.5g}")


def table(rows: Iterable[Row]) -> str:
    """Return the rows as a table for a terminal."""
    lines = [f"{'what':58} {'min':>10} {'median':>10} {'unit':4} {'n':>3}  ratio to"]
    for row in rows:
        ratios = ", ".join(f"{peer} {ratio:.3f}" for peer, ratio in row.ratios.items())
        low, middle = (f"{value:10,.5g}" for value in (min(row.values), row.median))
        lines.append(f"{row.name:58} {low} {middle} {row.unit:4} {len(row.values):>3}  {ratios}")
    return "\n".join(lines)
