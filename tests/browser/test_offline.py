"""After one visit everything works without a network, in every engine; a photo as well."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.browser.app import BOOT_SECONDS, encoded
from tests.browser.scenario import Driver, cut_out, describe, wait, wait_for

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def server_process(dist: Path, port: int = 0) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a server of its own; yield the process and its address."""
    call = [sys.executable, "-m", "offcut.serve", str(dist), "--port", str(port)]
    env = {"PYTHONPATH": str(ROOT / "py_src"), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(call, env=env, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            line = process.stdout.readline()
            yield process, line.split(" at ")[1].split()[0]
        finally:
            process.kill()


@pytest.mark.slow
def test_L15_new_photos_are_cut_out_after_one_visit_with_the_server_stopped(
    engine: Driver, dist: Path, samples: Path, tmp_path: Path
) -> None:
    see_through = np.array(Image.open(samples / "cat.jpg").convert("RGBA"))
    see_through[:, ::2, 3] = 128  # decoded by Pillow, which nothing has asked for so far
    (tmp_path / "half.png").write_bytes(encoded(Image.fromarray(see_through), "PNG"))
    with server_process(dist) as (process, url):
        engine.open(url)
        assert wait(engine, "ready", "error", seconds=BOOT_SECONDS) == "ready", describe(engine)
        wait_for(engine, "offline", "saved")
        process.kill()
        process.wait()

        engine.open(url)

        assert wait(engine, "ready", "error", seconds=BOOT_SECONDS) == "ready", describe(engine)
        assert cut_out(engine, samples / "coffee.jpg").shape == (400, 600)
        assert cut_out(engine, tmp_path / "half.png").shape == (300, 451)
