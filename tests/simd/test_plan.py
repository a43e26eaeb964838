"""The arena's plan: nothing that lives at the same time overlaps, and little is wasted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from offcut.plan import ALIGNMENT, Buffer, plan

BUFFERS = st.lists(
    st.builds(
        lambda size, first, length: Buffer(size, first, first + length),
        st.integers(1, 5000),
        st.integers(0, 30),
        st.integers(0, 12),
    ),
    max_size=40,
)


@given(BUFFERS)
def test_buffers_that_live_together_do_not_overlap(buffers: list[Buffer]) -> None:
    offsets, size = plan(buffers)
    spans = [
        (offset, offset + buffer.size, buffer)
        for offset, buffer in zip(offsets, buffers, strict=True)
    ]
    for number, (begin, end, one) in enumerate(spans):
        assert begin % ALIGNMENT == 0
        assert 0 <= begin and end <= size
        for other_begin, other_end, other in spans[:number]:
            together = one.first <= other.last and other.first <= one.last
            assert not together or end <= other_begin or other_end <= begin


@given(BUFFERS)
def test_the_same_buffers_get_the_same_plan(buffers: list[Buffer]) -> None:
    assert plan(buffers) == plan(list(buffers))


def test_buffers_that_never_meet_share_their_place() -> None:
    offsets, size = plan([Buffer(640, at, at) for at in range(10)])
    assert offsets == [0] * 10
    assert size == 640


def test_no_buffers_need_no_arena() -> None:
    assert plan([]) == ([], 0)
