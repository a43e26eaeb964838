"""How large a photo may be depends on the memory that a browser admits to."""

from __future__ import annotations

import pytest

from offcut.web.budget import pixel_limit

PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile/15E148"
DESK = "Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0"


@pytest.mark.parametrize(
    ("gigabytes", "agent", "megapixels"),
    [
        (0.25, PHONE, 12),
        (1, PHONE, 12),
        (2, DESK, 24),
        (4, PHONE, 50),
        (32, DESK, 50),
        (None, PHONE, 24),
        (None, DESK, 50),
    ],
)
def test_M13_limit_follows_the_memory(gigabytes: float | None, agent: str, megapixels: int) -> None:
    assert pixel_limit(gigabytes, agent) == megapixels * 1_000_000
