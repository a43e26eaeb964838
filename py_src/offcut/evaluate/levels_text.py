"""The comparison of quantization levels as text: a table for a terminal, a page for the docs.

Both are made from the JSON of `Comparison.document`, which is what is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["overall", "page", "table", "words"]

# Figures shown against ground truth; for the last ones less is better.
SHOWN = {"max_f": "max F", "weighted_f": "weighted F", "structure": "S", "iou": "IoU", "mae": "MAE"}
MATTE = {"sad": "SAD", "mse": "MSE", "gradient": "gradient"}


def words(quality: Mapping[str, Any]) -> str:
    """Return a level's loss in plain words, from its entry of the document."""
    fidelity = quality.get("to_float32")
    if not fidelity:
        return "the original network"
    same = fidelity["iou_to_float32"]["mean"]
    return f"{same * 100:.1f} % the same cutout as the original network"


def table(document: Mapping[str, Any]) -> str:
    """Return the levels as an aligned table."""
    rows = [["model", "bytes", "MAE to f32", "worst", "IoU to f32", "worst"]]
    for name, row in document["models"].items():
        rows.append([name, f"{row['bytes']:,}", *_fidelity(row)])
    lines = _aligned(rows)
    for group, photos in document["photos"].items():
        lines += ["", f"against ground truth: {group}, {photos} photos (change from float32)"]
        lines += _aligned(list(_truth_rows(document, group)))
    return "\n".join(lines)


def page(document: Mapping[str, Any], command: str) -> str:
    """Return docs/models.md. command: what measured the figures."""
    photos = sum(document["photos"].values())
    groups = ", ".join(f"{count} {name}" for name, count in document["photos"].items())
    parts = [
        "# What quantization costs, level by level",
        "",
        f"Made by `{command}`; do not edit. {photos} photos with ground truth, none of which was",
        f"used to make a model: {groups}.",
        "",
        "Each file is a compressed version of the float32 network. *To float32*: mean absolute",
        "difference of the alpha maps, and IoU of the maps cut at one half, both with the worst",
        "photo; in brackets 95 % bootstrap intervals of the mean. 8-bit activations are included.",
        "",
        "| model | bytes | MAE to float32 | worst | IoU to float32 | worst | forward, ms |",
        f"|{'---|' * 7}",
    ]
    for name, row in document["models"].items():
        cells = [f"`{name}`", f"{row['bytes']:,}", *_fidelity(row, intervals=True), _times(row)]
        parts.append(f"| {' | '.join(cells)} |")
    parts += ["", "Milliseconds are of one thread on the machine that measured: compare them only"]
    parts += ["with each other; `docs/performance.md` has ratios.", ""]
    head, *rows = _overall_rows(document)
    parts += [f"## Against ground truth: all {photos} photos", ""]
    parts += ["In brackets the change from float32.", ""]
    parts += [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    parts += [*(f"| {' | '.join(row)} |" for row in rows), ""]
    for group, count in document["photos"].items():
        head, *rows = _truth_rows(document, group, intervals=True)
        parts += [f"## Against ground truth: {group}, {count} photos", ""]
        parts += ["In brackets the 95 % interval of the change from float32.", ""]
        parts += [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
        parts += [f"| {' | '.join(row)} |" for row in rows]
        parts.append("")
    return "\n".join(parts)


def _fidelity(row: Mapping[str, Any], *, intervals: bool = False) -> list[str]:
    fidelity = row["to_float32"]
    if not fidelity:
        return ["0", "0", "1", "1"]
    cells = []
    for figure, digits in (("mae_to_float32", 5), ("iou_to_float32", 4)):
        values = fidelity[figure]
        mean = f"{values['mean']:.{digits}f}"
        if intervals:
            mean += f" [{', '.join(f'{bound:.{digits}f}' for bound in values['interval'])}]"
        cells += [mean, f"{values['worst']:.{digits}f}"]
    return cells


def _truth_rows(
    document: Mapping[str, Any], group: str, *, intervals: bool = False
) -> Iterator[list[str]]:
    """Yield the head and each model's row."""
    models = document["models"]
    known = next(iter(models.values()))["truth"][group]
    figures = {key: title for key, title in (SHOWN | MATTE).items() if key in known}
    yield ["model", *figures.values()]
    for name, row in models.items():
        cells = [name]
        for figure in figures:
            values = row["truth"][group][figure]
            text = f"{values['mean']:.4f}"
            if intervals and "interval" in values:
                text += f" [{', '.join(f'{bound:+.4f}' for bound in values['interval'])}]"
            elif "change" in values:
                text += f" ({values['change']:+.4f})"
            cells.append(text)
        yield cells


def overall(document: Mapping[str, Any], model: str) -> dict[str, tuple[float, float]]:
    """Return a model's (mean, change from float32) over all photos, of figures that all sets have.

    Means of the sets, by their numbers of photos; float32's own change is 0.
    """
    counts, sets = document["photos"], document["models"][model]["truth"]
    photos = sum(counts.values())

    def mean(figure: str, key: str) -> float:
        return float(sum(n * sets[name][figure].get(key, 0) for name, n in counts.items()) / photos)

    shared = [figure for figure in SHOWN if all(figure in sets[name] for name in counts)]
    return {figure: (mean(figure, "mean"), mean(figure, "change")) for figure in shared}


def _overall_rows(document: Mapping[str, Any]) -> Iterator[list[str]]:
    """Yield the head and each model's row of figures over all photos."""
    for at, name in enumerate(document["models"]):
        figures = overall(document, name)
        if not at:
            yield ["model", *(SHOWN[figure] for figure in figures)]
        yield [name, *(f"{m:.4f}{f' ({c:+.4f})' if at else ''}" for m, c in figures.values())]


def _times(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {spent:g}" for name, spent in row["milliseconds"].items())


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if number == 0 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
