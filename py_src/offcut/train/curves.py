"""Draw the curves of training runs: the loss, and how far the map on held-out photos is off."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["draw", "read_history"]


def read_history(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of a run's history.jsonl."""
    lines = (folder / "history.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def draw(runs: Mapping[str, Path], target: Path) -> None:
    """Write an SVG (or what `target` ends in) with a line per run; runs: title -> folder."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams |= {"svg.hashsalt": "offcut", "svg.fonttype": "none", "font.size": 9}
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(8, 3), layout="constrained")
    for title, folder in runs.items():
        rows = read_history(folder)
        losses = [row for row in rows if row["loss"] is not None]
        left.plot([r["step"] for r in losses], [r["loss"] for r in losses], label=title)
        right.plot([r["step"] for r in rows], [r["mae"] for r in rows], label=title)
    left.set(xlabel="step", ylabel="training loss", yscale="log")
    right.set(xlabel="step", ylabel="MAE to the teacher, held out")
    right.set_ylim(bottom=0)
    for axes in (left, right):
        axes.grid(alpha=0.3)
    right.legend(frameon=False)
    figure.savefig(target, metadata={"Date": None} if target.suffix == ".svg" else None)
    pyplot.close(figure)
