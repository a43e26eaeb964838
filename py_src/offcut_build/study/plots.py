"""The plots of docs/quantization/, as SVG; the same figures give the same bytes."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np

from offcut.convert.draft import Draft
from offcut.convert.steps import run_steps
from offcut_build import stamp
from offcut_build.study.measure import EQUALIZE, SHIFT, Source
from offcut_build.tree import Tree

__all__ = ["PLOTS", "write_plots"]

INK, SOFT, GREEN, RED, BLUE = "#15201b", "#8b958f", "#0d6b50", "#b23a2a", "#2f5fa8"
STYLE = {
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.figsize": (7.2, 3.6),
    "font.size": 10,
    "svg.fonttype": "none",
    "svg.hashsalt": "offcut",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


def write_plots(tree: Tree, source: Source, document: Mapping[str, Any]) -> None:
    """Write every plot of PLOTS."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    with matplotlib.rc_context(STYLE):
        for name, draw in PLOTS.items():
            figure, axes = pyplot.subplots(layout="constrained")
            draw(axes, source, document)
            sink = io.BytesIO()
            figure.savefig(sink, format="svg", metadata={"Date": None, "Creator": None})
            pyplot.close(figure)
            stamp.put(tree.root / "docs" / "quantization" / f"{name}.svg", sink.getvalue())


def _constants(axes: Any, source: Source, document: Mapping[str, Any]) -> None:
    """Every channel of every Relu: how large it is against how much it varies."""
    rows = [row for row in source.draft.statistics.values() if (row.minimum >= 0).all()]
    mean = np.concatenate([row.mean for row in rows])
    spread = np.sqrt(np.concatenate([row.variance for row in rows]))
    alive = spread > 1e-3
    bad = alive & (mean > 20 * spread)
    axes.loglog(mean[alive & ~bad], spread[alive & ~bad], ".", color=SOFT, ms=3, label="channels")
    axes.loglog(mean[bad], spread[bad], "o", color=RED, ms=6, label="mean above 20 deviations")
    axes.set_xlabel("mean of a channel over the calibration photos")
    axes.set_ylabel("standard deviation")
    axes.legend(frameon=False, loc="upper left")


def _repairs(axes: Any, source: Source, document: Mapping[str, Any]) -> None:
    rows = document["repairs"]
    at = np.arange(len(rows))
    values = [row["iou"] for row in rows.values()]
    axes.barh(at, values, color=[RED if value < 0.95 else GREEN for value in values])
    axes.set_yticks(at, rows)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.12)
    axes.set_xlabel("IoU with float32 at one half, mean over the photos")
    for y, value in zip(at, values, strict=True):
        axes.text(value + 0.01, y, f"{value:.3f}", va="center")


def _widest(draft: Draft) -> np.ndarray:
    """Return the weights of the convolution that has most, (o, k)."""
    names = [node.inputs[1] for node in draft.graph.nodes if node.op == "Conv"]
    w = draft.weights[max(names, key=lambda name: draft.weights[name].size)]
    return w.reshape(len(w), -1)


def _histogram(axes: Any, source: Source, document: Mapping[str, Any]) -> None:
    """The weights of the largest layer in root mean squares of their row, and two grids."""
    w = _widest(run_steps(source.draft, [SHIFT, EQUALIZE]))
    scaled = (w / np.sqrt(np.mean(w * w, axis=1, keepdims=True))).ravel()
    axes.hist(scaled, bins=np.linspace(-4, 4, 161), color=SOFT, label="weights")
    top = axes.get_ylim()[1]
    for width, color, low, label in (
        (0.4, GREEN, 0.90, "step 0.4: each bucket 0.4 rms wide"),
        (1.0, BLUE, 0.80, "step 1.0"),
    ):
        edges = (np.arange(-10, 10) + 0.5) * width
        axes.vlines(edges, top * low, top * (low + 0.08), color=color, lw=0.8, label=label)
    axes.set_xlim(-4, 4)
    axes.set_xlabel("weight, in root mean squares of its row")
    axes.set_ylabel("how many")
    axes.legend(frameon=False, loc="center left", fontsize=8)


def _sizes(axes: Any, source: Source, document: Mapping[str, Any]) -> None:
    """Size against quality over all schemes, and the files that are shipped."""
    steps = [row for name, row in document["schemes"].items() if name.startswith("step")]
    axes.plot(
        [row["bytes"] / 1e3 for row in steps],
        [row["mae"] for row in steps],
        "-o",
        color=GREEN,
        ms=4,
        label="uniform steps, entropy-coded",
    )
    for name, row in document["schemes"].items():
        if not name.startswith("step") and name != "float16":
            axes.plot(row["bytes"] / 1e3, row["mae"], "s", color=BLUE, ms=5)
            place = (6, -3) if name in ("nf4-group-32", "codebook-16") else (-60, 6)
            axes.annotate(name, (row["bytes"] / 1e3, row["mae"]), place, fontsize=8, **POINTS)
    for name, row in document["shipped"].items():
        axes.plot(row["bytes"] / 1e3, row["mae"], "D", color=RED, ms=6)
        axes.annotate(name, (row["bytes"] / 1e3, row["mae"]), (6, -10), fontsize=8, **POINTS)
    axes.set_yscale("log")
    axes.set_xlabel("size of the model file, kB")
    axes.set_ylabel("mean absolute difference to float32")
    axes.legend(frameon=False)


POINTS = {"textcoords": "offset points"}


def _bits(axes: Any, source: Source, document: Mapping[str, Any]) -> None:
    """Where few bits stop being enough: the cutouts that agree, by bits of a weight."""
    rows = {name: row for name, row in document["schemes"].items() if name != "float16"}
    for name, row in rows.items():
        color = GREEN if name.startswith("step") else BLUE
        axes.plot(row["bits"], row["worst_iou"], "o", color=color, ms=4, alpha=0.5)
        axes.plot(row["bits"], row["iou"], "o", color=color, ms=5)
        place = (-8, 7) if name.startswith("step") else (2, -11)
        axes.annotate(name, (row["bits"], row["iou"]), place, fontsize=7, **POINTS)
    axes.axvline(4, color=SOFT, lw=0.8, ls=":")
    axes.set_xlabel("bits of each weight in the file")
    axes.set_ylabel("IoU with float32 (pale: worst photo)")
    axes.set_ylim(0, 1.08)


PLOTS = {
    "constants": _constants,
    "repairs": _repairs,
    "histogram": _histogram,
    "sizes": _sizes,
    "bits": _bits,
}
