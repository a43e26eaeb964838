"""Elementwise operators, and the activations that Conv and Add can carry."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from offcut.ops.registry import op

__all__ = ["ACTIVATIONS", "activate", "add", "clip", "div", "hard_sigmoid", "hard_swish"]
__all__ += ["identity", "leaky_relu", "mul", "relu", "sigmoid", "sub", "tanh"]


@op("Relu")
def relu(x: np.ndarray) -> np.ndarray:
    """Return max(x, 0)."""
    return np.maximum(x, np.float32(0))


@op("LeakyRelu")
def leaky_relu(x: np.ndarray, *, alpha: float = 0.01) -> np.ndarray:
    """Return x where it is positive, alpha * x elsewhere."""
    return np.where(x < 0, np.float32(alpha) * x, x)


@op("Sigmoid")
def sigmoid(x: np.ndarray) -> np.ndarray:
    """Return 1 / (1 + exp(-x)), without overflow for any float32."""
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, np.float32(1)) / (e + np.float32(1))


@op("Tanh")
def tanh(x: np.ndarray) -> np.ndarray:
    """Return the hyperbolic tangent."""
    return np.tanh(x)


@op("HardSigmoid")
def hard_sigmoid(x: np.ndarray, *, alpha: float = 0.2, beta: float = 0.5) -> np.ndarray:
    """Return alpha * x + beta, limited to [0, 1]."""
    return np.clip(np.float32(alpha) * x + np.float32(beta), np.float32(0), np.float32(1))


@op("HardSwish")
def hard_swish(x: np.ndarray) -> np.ndarray:
    """Return x * min(max(x / 6 + 1 / 2, 0), 1)."""
    return x * hard_sigmoid(x, alpha=1 / 6, beta=0.5)


@op("Clip")
def clip(
    x: np.ndarray, *, min: float = -np.inf, max: float = np.inf  # ONNX's names
) -> np.ndarray:
    """Return x limited to [min, max]."""
    return np.clip(x, np.float32(min), np.float32(max))


@op("Add")
def add(a: np.ndarray, b: np.ndarray, *, activation: str = "") -> np.ndarray:
    """Return a + b, broadcast."""
    return activate(a + b, activation)


@op("Sub")
def sub(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a - b, broadcast."""
    return a - b


@op("Mul")
def mul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a * b, broadcast."""
    return a * b


@op("Div")
def div(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a / b, broadcast."""
    return a / b


@op("Identity")
def identity(x: np.ndarray) -> np.ndarray:
    """Return x."""
    return x


def relu6(x: np.ndarray) -> np.ndarray:
    """Return min(max(x, 0), 6)."""
    return np.clip(x, np.float32(0), np.float32(6))


ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "": identity,
    "HardSwish": hard_swish,
    "Relu": relu,
    "Relu6": relu6,
    "Sigmoid": sigmoid,
}


def activate(x: np.ndarray, activation: str) -> np.ndarray:
    """Apply the activation called `activation` ("" for none); the result may be x itself."""
    return ACTIVATIONS[activation](x)
