"""Matrix products."""

from __future__ import annotations

import numpy as np

from offcut.ops.registry import op

__all__ = ["gemm", "matmul", "product"]


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a (..., o, c) @ b (..., c, p), without BLAS.

    Pyodide's numpy has no BLAS: there einsum, whose inner loop runs along p, reaches 1.9 GMAC/s for
    p of some hundreds, matmul 0.5 to 1.3. Elsewhere einsum keeps the result the same whatever BLAS
    numpy has, and away from BLAS threads, which fight each other on a busy machine.
    """
    return np.einsum("...cp,...oc->...op", b, a)


@op("MatMul")
def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a @ b with numpy's broadcasting."""
    return np.matmul(a, b)


@op("Gemm")
def gemm(
    a: np.ndarray,
    b: np.ndarray,
    c: np.ndarray | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> np.ndarray:
    """Return alpha * a' @ b' + beta * c, where ' transposes if asked. Source: ONNX Gemm-13."""
    y = np.float32(alpha) * np.matmul(a.T if transA else a, b.T if transB else b)
    return y if c is None else y + np.float32(beta) * c
