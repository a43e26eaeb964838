"""Make every shipped model again from its card: the source weights, converted and quantized."""

from __future__ import annotations

from offcut_build.tree import Tree

__all__ = ["build"]


def build(tree: Tree) -> None:
    """TODO"""
