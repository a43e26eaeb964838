"""The operators: one numpy function each, the definition that every backend is judged by.

An op function takes float32 arrays in ONNX's order and its attributes as keywords, whose defaults
are ONNX's defaults; it returns one array. Adding an operator is one function with @op, its rule
in shape_rules.py, and its cases in tests/conformance.py.
"""

from __future__ import annotations

from offcut.ops import conv, elementwise, matmul, movement, pool, reduce, resize
from offcut.ops.registry import OPS, op

__all__ = ["OPS", "conv", "elementwise", "matmul", "movement", "op", "pool", "reduce", "resize"]
