"""Measure Offcut beside its peers: `python3 build.py bench [-- OPTIONS]`.

Everything runs on this machine, in headless Chromium and on CPython, in turn with onnxruntime-web,
onnxruntime and plain Pyodide. A group that fails is named, the others are measured all the same.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from offcut_build.bench import docs, machine
from offcut_build.bench.groups import GROUPS, derived, setting
from offcut_build.bench.peers import PeerError
from offcut_build.bench.rows import Row, document, table
from offcut_build.bench.targets import report
from offcut_build.console import say
from offcut_build.tree import Tree

DETAIL = ("ops/", "operators/")  # printed as their own table


def main(arguments: list[str]) -> int:
    """Measure what is asked for, print tables, write files where asked; return the exit code."""
    options = parser().parse_args(arguments)
    tree = Tree(Path(__file__).resolve().parents[3])
    if options.render:
        docs.render(tree)
        return 0
    chosen = options.only.split(",") if options.only else list(GROUPS)
    unknown = [name for name in chosen if name not in GROUPS]
    if unknown:
        print(f"error: no group is called {unknown[0]!r}", file=sys.stderr)
        print(f"  remedy: choose of {', '.join(GROUPS)}", file=sys.stderr)
        return 2
    if options.write_docs and options.only:
        print("error: the page is written from one whole run, without --only", file=sys.stderr)
        return 2
    try:
        figures, failed, lost = _measure(tree, options, chosen)
    except PeerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if options.json:
        _write(Path(options.json), figures)
    if options.write_docs and not failed:
        _write(tree.root / docs.FIGURES, figures)
        docs.render(tree)
    print(report(figures))
    if failed or lost:
        print(f"error: failed: {', '.join(failed + lost)}", file=sys.stderr)
    return 1 if failed or lost else 0


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    form = argparse.RawDescriptionHelpFormatter
    made = argparse.ArgumentParser("build.py bench --", description=__doc__, formatter_class=form)
    made.add_argument("--json", metavar="FILE", help="write the figures there, flat")
    made.add_argument("--only", metavar="GROUPS", help=f"of {','.join(GROUPS)}; default: all")
    made.add_argument("--quick", action="store_true", help="fewer rounds, small photos")
    help_match = "of ops: those whose name or networks this regular expression finds"
    made.add_argument("--match", default="", metavar="REGEX", help=help_match)
    help_photos = "for accuracy: the first 24 that the model was not calibrated with"
    made.add_argument("--photos", type=Path, metavar="DIR", help=help_photos)
    help_docs = f"write {docs.FIGURES}, and {docs.PAGE} from it, if nothing fails"
    made.add_argument("--write-docs", action="store_true", help=help_docs)
    help_render = f"only write {docs.PAGE} again from {docs.FIGURES}"
    made.add_argument("--render", action="store_true", help=help_render)
    return made


def _measure(
    tree: Tree, options: argparse.Namespace, chosen: list[str]
) -> tuple[dict[str, Any], list[str], list[str]]:
    """Return the figures, flat, which groups failed, and which single operators."""
    rows: list[Row] = []
    failed: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        how = {"quick": options.quick, "match": options.match, "photos": options.photos}
        with setting(tree, Path(folder), **how) as s:
            about = machine.describe(s.browser.version, quick=options.quick)
            for at, name in enumerate(chosen, 1):
                begin = time.monotonic()
                say(f"[{at}/{len(chosen)}] measuring {name}")
                try:
                    rows += GROUPS[name](s)
                except Exception:  # the other groups are still worth having
                    failed.append(name)
                    traceback.print_exc()
                say(f"[{at}/{len(chosen)}] {name}: {time.monotonic() - begin:.0f} s")
        lost = list(s.failed)
    rows += derived({row.name: row for row in rows})
    print(table(row for row in rows if not row.name.startswith(DETAIL)))
    return about | document(rows), failed, lost


def _write(path: Path, figures: dict[str, Any]) -> None:
    path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
