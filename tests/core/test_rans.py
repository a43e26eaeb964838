"""Entropy coding: exact both ways, close to the entropy, and damage is an error, never a hang."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offcut import coding, rans
from offcut.errors import ModelFormatError


def coded(parts: list[np.ndarray]) -> tuple[rans.Stream, list[int], list[int]]:
    tables, used = coding.choose_tables(parts)
    lengths = [len(part) for part in parts]
    symbols = np.concatenate([np.empty(0, np.uint8), *parts])
    return rans.encode(symbols, lengths, tables, used), lengths, used


def bell(size: int, width: float, seed: int = 0) -> np.ndarray:
    """Return uint8 (size,) as rounded weights are distributed."""
    values = np.random.default_rng(seed).normal(128, width, size)
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=3000), max_size=5))
def test_what_is_coded_is_decoded(given_parts: list[bytes]) -> None:
    parts = [np.frombuffer(part, np.uint8) for part in given_parts]
    back = rans.decode(*coded(parts))
    assert back.tobytes() == b"".join(given_parts)


def test_two_equally_frequent_symbols_take_a_bit_each() -> None:
    part = np.tile(np.array([3, 9], np.uint8), 4096)
    stream, _, _ = coded([part])
    assert abs(stream.words.size * 16 - len(part)) <= 16 * len(stream.states)


def test_a_constant_takes_no_words() -> None:
    stream, lengths, used = coded([np.full(1000, 7, np.uint8)])
    assert stream.words.size == 0
    assert (rans.decode(stream, lengths, used) == 7).all()


def test_the_stream_is_close_to_the_entropy() -> None:
    part = bell(200_000, 3)
    p = np.bincount(part) / len(part)
    entropy = -sum(x * math.log2(x) for x in p if x) * len(part) / 8
    stream, _, _ = coded([part])
    size = stream.words.nbytes + stream.states.nbytes + stream.tables.nbytes
    assert entropy < size < 1.02 * entropy


def test_frequencies_add_up_and_keep_the_rare() -> None:
    counts = np.zeros(256, np.int64)
    counts[:200] = 1
    counts[200] = 10_000_000
    table = rans.frequencies(counts)
    assert table.sum() == 1 << rans.BITS
    assert (table[:200] == 1).all() and table[201:].sum() == 0


def test_parts_alike_share_a_table_and_others_do_not() -> None:
    alike = [bell(20_000, 2, seed) for seed in (1, 2)]
    tables, used = coding.choose_tables([*alike, bell(20_000, 30)])
    assert len(tables) == 2
    assert used[0] == used[1] != used[2]


def test_signed_symbols_come_back() -> None:
    part = np.array([[-128, -1], [0, 127]], np.int8)
    flat = coding.symbols(part)
    assert flat.tolist() == [0, 127, 128, 255]
    assert coding.from_symbols(flat, "int8").tolist() == [-128, -1, 0, 127]


@settings(max_examples=200, deadline=None)
@given(
    which=st.sampled_from(["words", "states", "tables"]),
    at=st.integers(0, 5000),
    bit=st.integers(0, 7),
)
def test_a_flipped_bit_of_words_or_states_is_noticed_and_none_does_harm(
    which: str, at: int, bit: int
) -> None:
    stream, lengths, used = coded([bell(3000, 5)])
    arrays = {"words": stream.words, "states": stream.states, "tables": stream.tables}
    damaged = bytearray(arrays[which].tobytes())
    damaged[at % len(damaged)] ^= 1 << bit
    arrays[which] = np.frombuffer(bytes(damaged), arrays[which].dtype)
    try:
        back = rans.decode(rans.Stream(**arrays), lengths, used)
    except ModelFormatError:
        return
    assert which == "tables" and len(back) == sum(lengths)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: rans.Stream(s.words[:-1], s.states, s.tables), "end too early"),
        (lambda s: rans.Stream(np.append(s.words, s.words[:1]), s.states, s.tables), "damaged"),
        (lambda s: rans.Stream(s.words, s.states[:-1], s.tables), "lanes for"),
        (lambda s: rans.Stream(s.words, s.states, s.tables[:-1]), "cut or name no symbol"),
        (lambda s: rans.Stream(s.words, s.states, s.tables[:0]), "0 tables"),
    ],
)
def test_a_stream_that_is_cut_or_too_long_is_refused(change, message: str) -> None:  # type: ignore[no-untyped-def]
    stream, lengths, used = coded([bell(3000, 5)])
    with pytest.raises(ModelFormatError, match=message):
        rans.decode(change(stream), lengths, used)


def test_a_claim_of_too_many_symbols_is_refused_at_once() -> None:
    stream, _, used = coded([np.zeros(10, np.uint8)])
    begun = time.perf_counter()
    with pytest.raises(ModelFormatError, match="at most"):
        rans.decode(stream, [1 << 40], used)
    assert time.perf_counter() - begun < 1
