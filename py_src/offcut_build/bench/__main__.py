"""Run the benchmark: `python3 build.py bench [-- --json FILE --quick]`."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from offcut_build import assets
from offcut_build.bench.browser import chromium, site
from offcut_build.bench.forward import forwards, photos
from offcut_build.bench.peers import PeerError
from offcut_build.bench.rows import document, table
from offcut_build.bench.visits import visits
from offcut_build.tree import Tree

BACKENDS = [("simd", 1), ("simd", 2), ("reference", 1)]


def main(arguments: list[str]) -> int:
    """Measure everything, print a table, and write JSON where asked."""
    parser = argparse.ArgumentParser(prog="build.py bench --")
    parser.add_argument("--json", metavar="FILE", help="write the figures there")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, small photos")
    options = parser.parse_args(arguments)
    tree = Tree(Path(__file__).resolve().parents[3])
    rounds = 2 if options.quick else 5
    sizes = [0.26, 1.0] if options.quick else [0.26, 1.0, 12.0, 24.0]
    model = assets.ensure(tree)["u2netp.onnx"]
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        try:
            with site(tree.dist, tree.cache / "bench", model, Path(folder)) as url:
                rows = visits(browser, url, rounds=rounds)
                rows += forwards(browser, url, backends=BACKENDS, rounds=rounds, runs=3)
                rows += photos(browser, url, megapixels=sizes, backend="auto")
        except PeerError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    print(table(rows))
    if options.json:
        Path(options.json).write_text(json.dumps(document(rows), indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
