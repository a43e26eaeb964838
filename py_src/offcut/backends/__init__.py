"""Backends: each compiles a Model into a Program. One line in BACKENDS adds one.

The order of BACKENDS is the order of preference. `choose` records why each backend before the
chosen one was passed over; asking for a backend by name never falls back silently.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

import numpy as np

from offcut.container import Model
from offcut.errors import BackendError
from offcut.graph import Graph

__all__ = [
    "BACKENDS",
    "Backend",
    "Checkpoint",
    "Choice",
    "Program",
    "choose",
    "load",
    "no_checkpoint",
]

BACKENDS: dict[str, str] = {
    "simd": "offcut.backends.simd",
    "reference": "offcut.backends.reference",
}


class Checkpoint(Protocol):
    """`await checkpoint(done, total)`: report, yield to the event loop, raise Cancelled."""

    def __call__(self, done: int, total: int) -> Awaitable[None]: ...


class Program(Protocol):
    """A model made ready to run; it owns its memory until `close`."""

    threads: int

    async def run(
        self, inputs: Mapping[str, np.ndarray], checkpoint: Checkpoint
    ) -> dict[str, np.ndarray]:
        """Return the graph's outputs for float32 NCHW inputs of the graph's shapes."""
        ...

    def forget(self) -> None:
        """Zero what the last run has left in memory."""
        ...

    def close(self) -> None:
        """Give back memory and threads; the program cannot run afterwards."""
        ...


class Backend(Protocol):
    """A module that satisfies this is a backend."""

    def unavailable(self) -> str:
        """Return why the backend cannot run on this machine, "" when it can."""
        ...

    def unsupported(self, graph: Graph) -> list[str]:
        """Return one line for each node that the backend cannot run."""
        ...

    async def compile(self, model: Model, *, threads: int | None = None) -> Program:
        """Make `model` ready; threads: how many, None for the backend's own choice."""
        ...

    async def compile_unrounded(
        self, model: Model, *, threads: int | None = None
    ) -> Program | None:
        """Do so with all values in float32; None when `compile` does, or it takes too much."""
        ...


@dataclass(frozen=True, slots=True)
class Choice:
    """A backend's name, and why the preferred ones before it were skipped: name -> reason."""

    name: str
    skipped: Mapping[str, str]


def load(name: str) -> Backend:
    """Import the backend called `name`. Raises BackendError for an unknown name."""
    path = BACKENDS.get(name)
    if path is None:
        raise BackendError(
            f"no backend is called {name!r}", remedy=f"choose one of {', '.join(BACKENDS)}"
        )
    backend: Backend = import_module(path)
    return backend


def choose(graph: Graph, name: str = "auto") -> Choice:
    """Return the backend to use for `graph`: the one called `name`, or the best that can run it.

    Raises BackendError when the one asked for cannot be had.
    """
    if name != "auto":
        reason = _obstacle(name, graph)
        if reason:
            remedy = f"leave the choice to Offcut, or choose one of {', '.join(BACKENDS)}"
            raise BackendError(f"backend {name} cannot be used: {reason}", remedy=remedy)
        return Choice(name, {})
    skipped: dict[str, str] = {}
    for candidate in BACKENDS:
        reason = _obstacle(candidate, graph)
        if not reason:
            return Choice(candidate, skipped)
        skipped[candidate] = reason
    reasons = "; ".join(f"{key}: {reason}" for key, reason in skipped.items())
    raise BackendError(f"no backend can run this model: {reasons}")


def _obstacle(name: str, graph: Graph) -> str:
    backend = load(name)
    return backend.unavailable() or "; ".join(backend.unsupported(graph)[:3])


async def no_checkpoint(done: int, total: int) -> None:
    """Neither report nor stop."""
