"""docs/quantization.md and docs/models.md say what their figures say."""

from __future__ import annotations

import json
import re
from pathlib import Path

from offcut.evaluate import levels_text
from offcut_build import quality
from offcut_build.models_index import cards
from offcut_build.study import page
from offcut_build.study.measure import ACTIVATIONS, REPAIRS, SCHEME_ROWS
from offcut_build.study.plots import PLOTS
from offcut_build.tree import Tree

TREE = Tree(Path(__file__).resolve().parents[2])
DOCS = TREE.root / "docs"
FIGURES = json.loads((DOCS / "quantization" / "figures.json").read_text())


def shipped() -> dict[str, str]:
    """Return each shipped model's name and sha256."""
    return {
        f"{card['name']}-{variant}": row["sha256"]
        for card in cards(TREE)
        for variant, row in card["variants"].items()
    }


def test_the_page_on_quantization_is_made_of_its_figures() -> None:
    assert (DOCS / "quantization.md").read_text() == page.text(FIGURES)
    assert not re.search(r"\{\w", page.text(FIGURES)), "a figure that the words name is missing"


def test_the_study_has_every_scheme_and_every_plot() -> None:
    assert FIGURES["repairs"].keys() == REPAIRS.keys()
    assert FIGURES["schemes"].keys() == SCHEME_ROWS.keys()
    assert FIGURES["activations"].keys() == ACTIVATIONS.keys()
    text = page.text(FIGURES)
    for name in PLOTS:
        assert f"quantization/{name}.svg" in text
        assert (DOCS / "quantization" / f"{name}.svg").stat().st_size > 2000


def test_the_repairs_mend_int8_in_the_figures() -> None:
    rows = list(FIGURES["repairs"].values())
    assert rows[0]["iou"] < 0.5 and rows[1]["iou"] < 0.9
    assert rows[-1]["iou"] > 0.98 and rows[-1]["mae"] < rows[1]["mae"] / 50


def test_the_page_on_models_is_made_of_figures_of_the_files_that_are_shipped() -> None:
    document = quality.read(TREE)
    assert (DOCS / "models.md").read_text() == levels_text.page(document, quality.COMMAND)
    measured = {name: row["sha256"] for name, row in document["models"].items()}
    for name, digest in shipped().items():
        assert measured.get(name) == digest, f"{name} has changed: {quality.COMMAND}"
