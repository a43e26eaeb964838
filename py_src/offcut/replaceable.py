"""A function that is defined in numpy, and may be replaced by what has its results sooner."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, ParamSpec, TypeVar

__all__ = ["Replaceable"]

P = ParamSpec("P")
R = TypeVar("R")


class Replaceable(Generic[P, R]):
    """Called like the function that it decorates."""

    def __init__(self, definition: Callable[P, R]) -> None:
        self.definition = definition
        self._chosen = definition
        self.__doc__ = definition.__doc__

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Return what the definition does."""
        return self._chosen(*args, **kwargs)

    def use(self, other: Callable[P, R]) -> None:
        """Let `other` do it from now on: the same results, to the bit."""
        self._chosen = other
