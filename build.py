#!/usr/bin/env python3
"""Every task of the project: `python3 build.py TASK`, with Python 3.11 or newer and nothing else.

Each task sets up what it needs first and skips what stands since its last run. The work is done
by the modules of py_src/offcut_build; this file only reads the command line.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

if sys.version_info < (3, 11):  # noqa: UP036  # said here, before an import says it badly
    sys.exit(f"error: Python {sys.version.split()[0]} is too old\n  remedy: use 3.11 or newer")

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "py_src"))

from offcut_build import (  # noqa: E402  # the path is set just above
    assets,
    browser,
    check,
    dist,
    kernels,
    models,
    quality,
    requirements,
    serving,
    size,
    stamp,
    testing,
    third_party,
    trust,
    venv,
    wheel,
)
from offcut_build.command import run  # noqa: E402
from offcut_build.console import say  # noqa: E402
from offcut_build.errors import BuildError  # noqa: E402
from offcut_build.tree import Tree  # noqa: E402

Task = Callable[[Tree, argparse.Namespace, list[str]], int | None]


def main(arguments: list[str]) -> int:
    """Run one task and return the exit code."""
    own, rest = arguments, []
    if "--" in arguments:
        at = arguments.index("--")
        own, rest = arguments[:at], arguments[at + 1 :]
    options = _parser().parse_args(own)
    try:
        return options.task(Tree(ROOT), options, rest) or 0
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        if error.remedy:
            print(f"  remedy: {error.remedy}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="build.py", description=__doc__)
    tasks = parser.add_subparsers(required=True, metavar="TASK")
    for name, (task, text) in TASKS.items():
        sub = tasks.add_parser(name, help=text, description=text)
        sub.set_defaults(task=task)
        if name == "serve":
            sub.add_argument("--port", type=int, help="default: the first free one from 8000")
            sub.add_argument("--no-open", action="store_true", help="do not open the browser")
    return parser


def _setup(tree: Tree, options: argparse.Namespace, rest: list[str]) -> None:
    venv.setup(tree, "dev")


def _assets(tree: Tree, options: argparse.Namespace, rest: list[str]) -> None:
    venv.setup(tree)
    assets.ensure(tree)


def _kernels(tree: Tree, options: argparse.Namespace, rest: list[str]) -> None:
    kernels.build(tree)


def _models(tree: Tree, options: argparse.Namespace, rest: list[str]) -> int:
    return models.build(tree, rest)


def _quality(tree: Tree, options: argparse.Namespace, rest: list[str]) -> int:
    return quality.build(tree, rest)


def _study(tree: Tree, options: argparse.Namespace, rest: list[str]) -> int:
    venv.setup(tree, "train", "kernels")
    return run([tree.python, "-m", "offcut_build.study", *rest], where=ROOT)


def _wheel(tree: Tree, options: argparse.Namespace, rest: list[str]) -> None:
    path = tree.cache / "wheels" / tree.project().wheel_name
    stamp.put(path, wheel.build(tree))
    say(str(path.relative_to(ROOT)))


def _dist(tree: Tree, options: argparse.Namespace, rest: list[str]) -> None:
    dist.make(tree)


def _serve(tree: Tree, options: argparse.Namespace, rest: list[str]) -> int:
    return serving.serve(tree, port=options.port, open_page=not options.no_open)


def _test(tree: Tree, options: argparse.Namespace, rest: list[str]) -> int:
    return testing.test(tree, rest)


def _check(tree: Tree, options: argparse.Namespace, rest: list[str]) -> None:
    check.check(tree)


def _bench(tree: Tree, options: argparse.Namespace, rest: list[str]) -> int:
    venv.setup(tree, "test")
    env = browser.environment(tree) | {"OFFCUT_DIST": str(dist.make(tree))}
    return run([tree.python, "-m", "offcut_build.bench", *rest], where=ROOT, env=env)


def _size(tree: Tree, options: argparse.Namespace, rest: list[str]) -> None:
    dist.make(tree)
    say(size.table(tree))


def _lock(tree: Tree, options: argparse.Namespace, rest: list[str]) -> None:
    venv.create(tree)
    requirements.lock(tree)


def _third_party(tree: Tree, options: argparse.Namespace, rest: list[str]) -> None:
    third_party.write(tree)


TASKS: dict[str, tuple[Task, str]] = {
    "setup": (_setup, "install everything for development into .venv"),
    "assets": (_assets, "fetch and verify third-party files; OFFCUT_SOURCES=npm,pypi: from there"),
    "kernels": (_kernels, "compile the SIMD kernels to WebAssembly"),
    "models": (_models, "make the shipped models again from their sources; arguments after --"),
    "quality": (_quality, "measure the shipped models on photos with ground truth, after --"),
    "study": (_study, "measure what quantization does, for docs/quantization.md; photos after --"),
    "wheel": (_wheel, "make the wheel for the browser"),
    "dist": (_dist, "make dist/, the folder to host"),
    "serve": (_serve, "make dist/, serve it on 127.0.0.1 and open the page"),
    "test": (_test, "run the tests; arguments after -- go to pytest"),
    "check": (_check, "run ruff, mypy and tsc"),
    "bench": (_bench, "measure Offcut beside its peers; arguments after -- go to the benchmark"),
    "size": (_size, "list what dist/ weighs and where the lines of code are"),
    "lock": (_lock, "write requirements.lock from pyproject.toml's dependency groups"),
    "third-party": (_third_party, "write THIRD_PARTY.md from assets.lock.toml"),
    "trust": (lambda tree, *_: trust.write(tree), "write docs/security.md's tables"),
}

if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
