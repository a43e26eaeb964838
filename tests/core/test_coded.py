"""The coded parts of a model file: they come back, and tables that follow the kernels pay."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offcut import coded, coding, rans
from offcut.coded import Layout
from offcut.errors import ModelFormatError


def levels(seed: int, rows: np.ndarray, columns: np.ndarray, taps: int = 9) -> np.ndarray:
    """Return int8 (o, c * taps) whose spread is the product of a row's and a column's."""
    spread = np.repeat(rows[:, None] * columns, taps, axis=1)
    values = np.random.default_rng(seed).laplace(0, 1, spread.shape) * spread
    return np.clip(np.rint(values), -127, 127).astype(np.int8)


def size(columns: dict[str, np.ndarray]) -> int:
    return sum(column.nbytes for column in columns.values())


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9), st.booleans()), max_size=4))
def test_what_is_coded_is_decoded(given_shapes: list[tuple[int, int, bool]]) -> None:
    parts, layouts = [], []
    for at, (o, c, signed) in enumerate(given_shapes):
        part = levels(at, np.full(o, 3.0), np.arange(c, dtype=np.float64))
        part = part if signed else part.view(np.uint8)
        parts.append(part)
        layouts.append(Layout(part.dtype.name, part.shape, c if signed else 0))
    columns, document = coded.encode(parts, layouts)
    back = coded.decode(columns, document, layouts)
    assert not columns
    assert [part.dtype for part in back] == [part.dtype for part in parts]
    assert all(np.array_equal(a, b) for a, b in zip(back, parts, strict=True))


def test_tables_that_follow_the_kernels_take_fewer_bytes_than_one_for_all() -> None:
    random = np.random.default_rng(1)
    q = levels(2, 2.0 ** random.normal(1, 1, 64), 2.0 ** random.normal(0, 1, 64))
    columns, _ = coded.encode([q], [Layout("int8", q.shape, 64)])
    flat = coding.symbols(q)
    tables, used = coding.choose_tables([flat])
    stream = rans.encode(flat, [q.size], tables, used)
    alone = stream.words.nbytes + stream.states.nbytes + stream.tables.nbytes
    assert size(columns) < 0.95 * alone


def test_sizes_of_parts_add_up_to_the_stream() -> None:
    parts = [levels(at, np.full(40, 2.0 + at), np.ones(30)) for at in range(3)]
    layouts = [Layout("int8", part.shape, 30) for part in parts]
    columns, _ = coded.encode(parts, layouts)
    words = columns["codes.words"].nbytes + columns["codes.states"].nbytes
    assert sum(coded.sizes(parts, layouts)) == pytest.approx(words, rel=0.02)


def test_damaged_spreads_are_an_error_or_other_weights_but_no_harm() -> None:
    q = levels(3, np.arange(1.0, 30), np.arange(1.0, 30))
    layouts = [Layout("int8", q.shape, 29)]
    columns, document = coded.encode([q], layouts)
    for at in range(0, columns["spreads.words"].size):
        damaged = dict(columns)
        damaged["spreads.words"] = columns["spreads.words"].copy()
        damaged["spreads.words"][at] ^= 0x55
        with pytest.raises((ModelFormatError, IndexError)):
            coded.decode(damaged, document, layouts)


def test_a_claim_of_too_many_symbols_is_refused_at_once() -> None:
    layouts = [Layout("int8", (1 << 20, 1 << 20), 1 << 20)]
    with pytest.raises(ModelFormatError, match="at most"):
        coded.decode({}, {"spreads": [], "kernels": [], "parts": []}, layouts)
