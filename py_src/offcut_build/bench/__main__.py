"""Run the benchmark: `python3 build.py bench [-- --only GROUPS --json FILE --quick]`."""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser

from offcut_build import assets
from offcut_build.bench.browser import chromium, site
from offcut_build.bench.forward import forwards, photos
from offcut_build.bench.networks import all_ops
from offcut_build.bench.op_table import heading, line, summary
from offcut_build.bench.ops import time_ops
from offcut_build.bench.peers import PeerError
from offcut_build.bench.rows import Row, document, table
from offcut_build.bench.visits import visits
from offcut_build.console import say
from offcut_build.tree import Tree

BACKENDS = [("simd", 1), ("simd", 2), ("reference", 1)]


@dataclass(frozen=True, slots=True)
class Setting:
    """What a group of rows is measured with."""

    browser: Browser
    url: str  # of the site, with a final slash
    folder: Path  # that is served there
    quick: bool
    match: str  # a regular expression of operators' names and networks

    @property
    def rounds(self) -> int:
        """How often everything is run in turn."""
        return 2 if self.quick else 5


def _visits(setting: Setting) -> list[Row]:
    return visits(setting.browser, setting.url, rounds=setting.rounds)


def _forward(setting: Setting) -> list[Row]:
    return forwards(setting.browser, setting.url, backends=BACKENDS, rounds=setting.rounds, runs=3)


def _photos(setting: Setting) -> list[Row]:
    sizes = [0.26, 1.0] if setting.quick else [0.26, 1.0, 12.0, 24.0]
    return photos(setting.browser, setting.url, megapixels=sizes, backend="auto")


def _ops(setting: Setting) -> list[Row]:
    wanted = re.compile(setting.match or ("u2netp" if setting.quick else ""))
    ops = [
        op
        for name, (op, networks) in all_ops().items()
        if wanted.search(" ".join([name, *networks]))
    ]
    print(heading())
    timed = []
    rounds = 2 if setting.quick else 3
    for done in time_ops(setting.browser, setting.url, setting.folder, ops, rounds=rounds):
        timed.append(done)
        print(line(done), flush=True)
    print(summary(timed))
    return [row for done in timed for row in done.rows()]


Group = Callable[[Setting], list[Row]]
GROUPS: dict[str, Group] = {
    "visits": _visits,
    "forward": _forward,
    "photos": _photos,
    "ops": _ops,
}


def main(arguments: list[str]) -> int:
    """Measure what is asked for, print tables, and write JSON where asked."""
    options = _parser().parse_args(arguments)
    chosen = options.only.split(",") if options.only else list(GROUPS)
    unknown = [name for name in chosen if name not in GROUPS]
    if unknown:
        print(f"error: no group is called {unknown[0]!r}", file=sys.stderr)
        print(f"  remedy: choose of {', '.join(GROUPS)}", file=sys.stderr)
        return 2
    rows, failed = [], []
    try:
        with _setting(options) as setting:
            for name in chosen:
                begin = time.monotonic()
                say(f"measuring {name}")
                try:
                    rows += GROUPS[name](setting)
                except Exception as error:  # the other groups are still worth having
                    failed.append(name)
                    print(f"error: {name}: {error}", file=sys.stderr)
                say(f"{name}: {time.monotonic() - begin:.0f} s")
    except PeerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(table(row for row in rows if not row.name.startswith("ops/")))
    if options.json:
        Path(options.json).write_text(json.dumps(document(rows), indent=1) + "\n")
    if failed:
        print(f"error: failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="build.py bench --", description=__doc__)
    parser.add_argument("--json", metavar="FILE", help="write the figures there")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, small photos")
    parser.add_argument("--only", metavar="GROUPS", help=f"of {','.join(GROUPS)}; default: all")
    help_match = "operators whose name or networks this regular expression finds"
    parser.add_argument("--match", default="", metavar="REGEX", help=help_match)
    return parser


@contextmanager
def _setting(options: argparse.Namespace) -> Iterator[Setting]:
    tree = Tree(Path(__file__).resolve().parents[3])
    model = assets.ensure(tree)["u2netp.onnx"]
    with tempfile.TemporaryDirectory() as name, chromium() as browser:
        folder = Path(name)
        with site(tree.dist, tree.cache / "bench", model, folder) as url:
            yield Setting(browser, url, folder, options.quick, options.match)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
