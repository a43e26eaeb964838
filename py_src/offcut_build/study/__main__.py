"""Run the study: see the package."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from offcut.errors import OffcutError
from offcut_build import stamp
from offcut_build.console import say
from offcut_build.errors import BuildError
from offcut_build.study.measure import measure, read_source
from offcut_build.study.page import write_page
from offcut_build.study.plots import write_plots
from offcut_build.tree import Tree


def main(arguments: Sequence[str]) -> int:
    """Measure where a folder is given, then make plots and page."""
    parser = argparse.ArgumentParser(prog="build.py study --")
    parser.add_argument("folder", nargs="?", type=Path, metavar="DIR", help="photos")
    options = parser.parse_args(arguments)
    tree = Tree(Path(__file__).resolve().parents[3])
    figures = tree.root / "docs" / "quantization" / "figures.json"
    try:
        source = read_source(tree)
        if options.folder:
            made = measure(tree, source, options.folder, say)
            stamp.put(figures, json.dumps(made, indent=1).encode() + b"\n")
        document = json.loads(figures.read_text(encoding="utf-8"))
        write_plots(tree, source, document)
        write_page(tree, document)
    except (BuildError, OffcutError) as error:
        print(f"error: {error}\n  remedy: {error.remedy}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
