"""No kernel leaves its memory or relies on undefined behaviour, by AddressSanitizer and UBSan."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from offcut.backends.simd import compile_native
from offcut_build import stamp
from tests.simd import sanitized

ROOT = Path(__file__).resolve().parents[2]
FAULT = 99  # the sanitizers' exit code

pytestmark = pytest.mark.skipif(
    shutil.which("gcc") is None or not sys.platform.startswith("linux"),
    reason="needs GCC with its sanitizers, on Linux",
)


@pytest.fixture(scope="module")
def library(request: pytest.FixtureRequest) -> Path:
    folder = request.config.cache.mkdir("kernels")
    key = stamp.fingerprint([compile_native.SOURCES, Path(sanitized.__file__)])[:16]
    path: Path = folder / f"{key}-sanitized.so"
    if not path.exists():
        sanitized.compile_library(path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)
    return path


def run(library: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | sanitized.environment() | {"OFFCUT_SANITIZED": str(library)}
    env["PYTHONPATH"] = os.pathsep.join([str(ROOT / "py_src"), str(ROOT)])
    call = [sys.executable, "-m", "tests.simd.sanitized", *arguments]
    return subprocess.run(call, cwd=ROOT, env=env, capture_output=True, text=True)


def assert_clean(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0 and done.stdout.endswith("no fault\n"), (
        done.stdout[-300:] + done.stderr[-4000:]
    )


def test_S2_every_operators_cases_stay_inside_their_memory(library: Path) -> None:
    assert_clean(run(library, "cases"))


def test_S2_random_networks_stay_inside_their_memory(library: Path) -> None:
    assert_clean(run(library, "0", "8"))


def test_S2_work_on_pictures_stays_inside_its_memory(library: Path) -> None:
    assert_clean(run(library, "pictures"))


def test_S2_a_trespass_is_caught(library: Path) -> None:
    done = run(library, "trespass")
    assert done.returncode == FAULT and "use-after-poison" in done.stderr


@pytest.mark.fuzz
def test_S2_many_random_networks_stay_inside_their_memory(library: Path) -> None:
    assert_clean(run(library, "8", "208"))
