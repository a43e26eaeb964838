"""The table of operators, filled by the decorator at each op function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["OPS", "Op", "op"]

Op = Callable[..., Any]
OPS: dict[str, Op] = {}

F = TypeVar("F", bound=Op)


def op(name: str) -> Callable[[F], F]:
    """Register the decorated function as the definition of the ONNX operator `name`."""

    def register(function: F) -> F:
        OPS[name] = function
        return function

    return register
