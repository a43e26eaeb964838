"""Cancelling at any moment, in every engine: at once for the visitor, and soon for the worker.

The default run tries some moments in Chromium, see test_recovery.py; `-m soak` tries these.
"""

from __future__ import annotations

import time
from pathlib import Path
from random import Random

import numpy as np
import pytest

from tests.browser.app import BOOT_SECONDS
from tests.browser.scenario import Driver, cut_out, describe, start_over, wait
from tests.record import record

MOMENTS = 20
ACKNOWLEDGED = 100  # milliseconds
WORK_SECONDS = 0.9  # about what the photo takes where there are no threads
CANCEL = """
const begin = performance.now();
document.querySelector('.cancel').click();
return [performance.now() - begin, document.documentElement.dataset.view];
"""


@pytest.mark.soak
def test_M11_cancel_is_acknowledged_at_twenty_moments_in_every_engine(
    engine: Driver, request: pytest.FixtureRequest, site: str, samples: Path
) -> None:
    random = Random(11)
    engine.open(site)
    assert wait(engine, "ready", "error", seconds=BOOT_SECONDS) == "ready", describe(engine)
    expected = cut_out(engine, samples / "cat.jpg")
    at_work = 0
    for _ in range(MOMENTS):
        start_over(engine)
        engine.choose(samples / "coffee.jpg")
        wait(engine, "working", "done", seconds=BOOT_SECONDS)
        time.sleep(random.uniform(0, WORK_SECONDS))
        at_work += engine.run("return document.documentElement.dataset.state") == "working"

        milliseconds, view = engine.run(CANCEL)

        assert milliseconds < ACKNOWLEDGED
        assert view == "empty"
    assert at_work > MOMENTS // 4  # else it would not be the work that is cancelled
    assert np.array_equal(cut_out(engine, samples / "cat.jpg"), expected)
    name = request.node.callspec.params["engine"]
    record(f"faults: cancels at random points in {name}", MOMENTS)
