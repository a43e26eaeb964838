"""Entropy-coded symbols decoded by the kernels are those that numpy decodes, damage included."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offcut import coding, rans
from offcut.backends.simd.workbench import Workbench
from offcut.errors import ModelFormatError
from tests.simd import machines


@pytest.fixture(params=["native", "wasm"])
def kernels(request: pytest.FixtureRequest, cache: pytest.Cache) -> Iterator[rans.Decoder]:
    start = machines.native if request.param == "native" else machines.wasm(cache, pictures=True)
    yield Workbench(lambda size: start(size, 1)).decode


def coded(parts: list[np.ndarray]) -> tuple[rans.Stream, list[np.ndarray], list[int], list[int]]:
    tables, used = coding.choose_tables(parts)
    lengths, symbols = [len(part) for part in parts], np.concatenate(parts)
    return rans.encode(symbols, lengths, tables, used), tables, lengths, used


def weights(seed: int, size: int, width: float) -> np.ndarray:
    values = np.random.default_rng(seed).normal(128, width, size)
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def test_parts_of_several_tables_come_back(kernels: rans.Decoder) -> None:
    parts = [weights(1, 70_001, 3), weights(2, 5, 30), weights(3, 40_000, 50)]
    symbols, states, rest = kernels(*coded(parts))
    assert np.array_equal(symbols, np.concatenate(parts))
    assert (states == 1 << 16).all() and rest == 0


@settings(max_examples=25, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=2000), min_size=1, max_size=4), st.randoms())
def test_damaged_words_give_what_numpy_gives(given_parts: list[bytes], random: object) -> None:
    stream, tables, lengths, used = coded([np.frombuffer(part, np.uint8) for part in given_parts])
    words = stream.words.copy()
    if len(words):
        words[random.randrange(len(words))] ^= 1 + random.randrange(0xFFFF)  # type: ignore[attr-defined]
        words = words[: random.randrange(len(words) + 1)]  # type: ignore[attr-defined]
    damaged = rans.Stream(words, stream.states, stream.tables)
    native = Workbench(lambda size: machines.native(size, 1)).decode
    expected = rans.decode_words.definition(damaged, tables, lengths, used)
    symbols, states, rest = native(damaged, tables, lengths, used)
    assert rest == expected[2]
    if rest >= 0:
        assert np.array_equal(symbols, expected[0]) and np.array_equal(states, expected[1])


def test_a_decoder_that_is_used_tells_of_damage(
    kernels: rans.Decoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rans.decode_words, "_chosen", kernels)
    stream, _, lengths, used = coded([weights(4, 3000, 20)])
    assert len(rans.decode(stream, lengths, used)) == 3000
    cut = rans.Stream(stream.words[:-1], stream.states, stream.tables)
    with pytest.raises(ModelFormatError, match="end too early"):
        rans.decode(cut, lengths, used)
