"""The build of this very checkout: its command line, and the files that must agree."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import offcut
from offcut import serve
from offcut_build import third_party
from offcut_build.lock import Lock, read
from offcut_build.tree import Tree

ROOT = Path(__file__).resolve().parents[1]
TREE = Tree(ROOT)


@pytest.fixture
def lock() -> Lock:
    return read(TREE.lock_file)


def test_build_py_stays_thin() -> None:
    assert len((ROOT / "build.py").read_text().splitlines()) < 200


def test_the_build_starts_with_only_the_standard_library() -> None:
    wrong = []
    for path in [ROOT / "build.py", *(ROOT / "py_src" / "offcut_build").glob("*.py")]:
        for node in ast.parse(path.read_text()).body:  # what runs in .venv imports in functions
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            allowed = set(sys.stdlib_module_names) | {"offcut_build"}
            wrong += [f"{path.name}: {n}" for n in names if n.partition(".")[0] not in allowed]
    assert not wrong


def test_help_lists_every_task_and_needs_nothing_installed() -> None:
    call = [sys.executable, "-I", "-S", str(ROOT / "build.py"), "--help"]
    text = subprocess.run(call, capture_output=True, text=True, check=True).stdout

    tasks = "setup assets kernels models wheel dist serve test check bench size third-party"
    assert all(f"    {task}" in text for task in tasks.split())


def test_an_error_is_a_message_with_a_remedy_and_exit_code_1(tmp_path: Path) -> None:
    call = [sys.executable, str(ROOT / "build.py"), "test"]
    env = os.environ | {"OFFCUT_CHROMIUM": "/nowhere/chromium"}
    code = "import sys; sys.argv = sys.argv[1:]; import runpy; "
    code += "import offcut_build.venv as v; v.setup = lambda *a: None; "
    code += "runpy.run_path(sys.argv[0], run_name='__main__')"
    call = [sys.executable, "-c", code, *call[1:]]
    env["PYTHONPATH"] = str(ROOT / "py_src")

    done = subprocess.run(call, capture_output=True, text=True, env=env, cwd=tmp_path, check=False)

    assert done.returncode == 1
    assert done.stderr.startswith("error: OFFCUT_CHROMIUM: /nowhere/chromium")
    assert "Traceback" not in done.stderr


def test_one_pyodide_version_stands_in_the_whole_project(lock: Lock) -> None:
    named = re.compile(r"pyodide[/@\s\"=,v]{1,16}(?:version[\"=\s]+)?v?(\d{3}\.\d+\.\d+)", re.I)
    files = [TREE.lock_file, ROOT / "THIRD_PARTY.md", ROOT / "README.md", ROOT / "DESIGN.md"]
    for folder in ("app", "py_src", "tests"):
        files += (ROOT / folder).rglob("*.[pj][ys]")
    wrong = {
        f"{path.relative_to(ROOT)}: {version}"
        for path in files
        for version in named.findall(path.read_text())
        if version != lock.pyodide
    }

    assert not wrong
    assert named.findall(TREE.lock_file.read_text()), "the pattern finds the lock's own mentions"


def test_the_shipped_core_has_the_version_that_the_lock_names(lock: Lock) -> None:
    for asset in lock.assets:
        if asset.name == "Pyodide":
            assert asset.version == lock.pyodide
            assert all(lock.pyodide in s.place for s in asset.sources if s.kind == "url")
            assert all(s.version == lock.pyodide for s in asset.sources if s.kind == "npm")


def test_every_wheel_is_for_the_abi_of_the_lock(lock: Lock) -> None:
    wheels = [asset.file for asset in lock.assets if asset.package]
    abi = f"pyemscripten_{lock.info['abi_version']}_{lock.info['arch']}.whl"

    assert {"numpy", "pillow", "micropip", "pyodide-http"} == {
        asset.package for asset in lock.assets if asset.package
    }
    assert all(name.endswith((abi, "-none-any.whl")) for name in wheels)


def test_every_asset_has_a_source_that_needs_no_cdn(lock: Lock) -> None:
    for asset in lock.assets:
        assert any(source.kind == "pypi" for source in asset.sources), asset.file


def test_only_free_licences_are_shipped(lock: Lock) -> None:
    free = {"Apache-2.0", "BSD-3-Clause", "MIT", "MIT-CMU", "MPL-2.0", "PSF-2.0"}

    assert {part for asset in lock.assets for part in asset.licence.split(" AND ")} <= free


def test_THIRD_PARTY_md_is_what_the_lock_says(lock: Lock) -> None:
    want = third_party.text(lock)

    assert (ROOT / "THIRD_PARTY.md").read_text() == want, "run `python3 build.py third-party`"


def test_the_page_states_the_same_policy_as_the_headers() -> None:
    rules = serve.header_rules((ROOT / "static" / "_headers").read_text())
    header = directives(serve.headers_for(rules, "/")["Content-Security-Policy"])
    page = (ROOT / "app" / "index.html").read_text()
    meta = re.search(r'http-equiv="Content-Security-Policy"\s+content="([^"]+)"', page)
    assert meta, "app/index.html has no policy of its own"

    header.pop("frame-ancestors")  # not allowed in a page, where browsers ignore it with a warning
    assert directives(meta[1]) == header


def directives(policy: str) -> dict[str, set[str]]:
    rows = [part.split() for part in policy.split(";") if part.strip()]
    return {name: set(values) for name, *values in rows}


def test_dist_of_this_checkout_is_whole_and_consistent() -> None:
    folder = Path(os.environ.get("OFFCUT_DIST", ROOT / "dist"))
    assert folder.is_dir(), "run `python3 build.py dist`, or the tests by `python3 build.py test`"
    from offcut_build import dist

    lock_file = json.loads((folder / "pyodide" / "pyodide-lock.json").read_text())
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

    assert dist.stands(folder)
    assert lock_file["packages"]["offcut"]["version"] == version
    assert json.loads((folder / "manifest.json").read_text())["version"] == version


def test_ci_runs_check_and_test_from_a_clean_checkout() -> None:
    path = ROOT / ".ci" / "run"
    text = path.read_text()

    assert os.access(path, os.X_OK)
    assert "set -euo pipefail" in text
    assert text.index("build.py check") < text.index("build.py test")


def test_the_wheel_that_pip_builds_works_offline(tmp_path: Path) -> None:
    call = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    call += ["--no-index", "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run(call, check=True, capture_output=True)
    with zipfile.ZipFile(next(tmp_path.glob("offcut-*.whl"))) as wheel:
        names = set(wheel.namelist())

    cards = {f"offcut/models/{path.name}" for path in (ROOT / "models").glob("*.toml")}
    weights = {f"offcut/models/{path.name}" for path in (ROOT / "models").glob("*.safetensors")}
    sources = {
        f"offcut/{path.relative_to(TREE.package).as_posix()}"
        for ending in ("*.py", "*.c", "*.h")
        for path in TREE.package.rglob(ending)
    }
    assert cards and weights
    assert cards | weights | sources | {"offcut/py.typed"} <= names
    assert not [name for name in names if name.startswith("offcut_build")]


def test_the_package_tells_the_version_of_pyproject() -> None:
    assert offcut.__version__ == TREE.project().version


def test_nothing_that_can_be_made_again_is_in_the_repository() -> None:
    call = ["git", "ls-files", "-z"]
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("this is no git checkout")
    names = done.stdout.split("\0")

    assert not [n for n in names if n.startswith((".cache/", ".venv/", "dist/"))]
    assert not [n for n in names if n.endswith((".whl", ".wasm", ".onnx", ".pyc"))]


def test_pytest_collects_the_build_tests_too() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]

    assert "build" not in settings["ini_options"]["norecursedirs"]
