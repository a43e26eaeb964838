"""Machines for the simd tests."""

from __future__ import annotations

import pytest

from tests.simd import machines


@pytest.fixture
def native() -> machines.Machine:
    """The native library."""
    return machines.native


@pytest.fixture
def wasm(request: pytest.FixtureRequest) -> machines.Machine:
    """WebAssembly in wasmtime."""
    cache = request.config.cache
    assert cache is not None
    return machines.wasm(cache)
