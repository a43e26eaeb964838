"""Every scheme runs in every backend: weights are decoded layer by layer, or at load."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from offcut import container
from offcut.convert.recipes import Recipe, recipe
from offcut.convert.steps import finish, run_steps
from offcut.quant import SCHEMES
from offcut.session import open_session
from tests.convert.drafts import CARD, calibrated, outputs, photos, small

INPUTS = photos()
# Of the largest output. The reference differs by float32 rounding; simd keeps activations in u8.
CLOSE = {"reference": 1e-5, "simd": 0.02}


@pytest.mark.parametrize("backend", CLOSE)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_network_in_every_scheme_runs(scheme: str, backend: str) -> None:
    draft = run_steps(calibrated(small(), INPUTS), recipe(Recipe(scheme=scheme)))
    model = container.read(container.write(finish(draft, CARD)), scheme)

    async def run() -> np.ndarray:
        session = await open_session(model, backend=backend)
        found = [(await session.run(x))[0, 0] for x in INPUTS]
        session.close()
        return np.stack(found)

    wanted = outputs(draft, INPUTS)
    assert abs(asyncio.run(run()) - wanted).mean() <= CLOSE[backend] * abs(wanted).max()
