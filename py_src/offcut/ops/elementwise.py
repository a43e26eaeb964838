"""Elementwise operators, and the activations that Conv and Add can carry."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from offcut.ops.registry import op

__all__ = ["ACTIVATIONS", "abs_", "activate", "add", "clip", "div", "elu", "exp", "hard_sigmoid"]
__all__ += ["hard_swish", "identity", "leaky_relu", "log", "max_", "min_", "mul", "pow_", "prelu"]
__all__ += ["relu", "sigmoid", "softplus", "sqrt", "sub", "tanh"]


@op("Relu")
def relu(x: np.ndarray) -> np.ndarray:
    """Return max(x, 0)."""
    return np.maximum(x, np.float32(0))


@op("LeakyRelu")
def leaky_relu(x: np.ndarray, *, alpha: float = 0.01) -> np.ndarray:
    """Return x where it is positive, alpha * x elsewhere."""
    return np.where(x < 0, np.float32(alpha) * x, x)


@op("PRelu")
def prelu(x: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Return x where it is positive, slope * x elsewhere; the slope broadcasts to x."""
    return np.where(x < 0, slope * x, x)


@op("Elu")
def elu(x: np.ndarray, *, alpha: float = 1.0) -> np.ndarray:
    """Return x where it is positive, alpha * (exp(x) - 1) elsewhere."""
    return np.where(x < 0, np.float32(alpha) * np.expm1(np.minimum(x, np.float32(0))), x)


@op("Softplus")
def softplus(x: np.ndarray) -> np.ndarray:
    """Return log(1 + exp(x)), without overflow for any float32."""
    return np.logaddexp(np.float32(0), x)


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
    x: np.ndarray,
    *,
    min: float = -np.inf,
    max: float = np.inf,  # ONNX's names
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


@op("Pow")
def pow_(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a to the power of b, broadcast."""
    return np.power(a, b)


@op("Max")
def max_(*parts: np.ndarray) -> np.ndarray:
    """Return the largest of all parts at each place, broadcast."""
    return functools.reduce(np.maximum, parts)


@op("Min")
def min_(*parts: np.ndarray) -> np.ndarray:
    """Return the smallest of all parts at each place, broadcast."""
    return functools.reduce(np.minimum, parts)


@op("Sqrt")
def sqrt(x: np.ndarray) -> np.ndarray:
    """Return the square root."""
    return np.sqrt(x)


@op("Exp")
def exp(x: np.ndarray) -> np.ndarray:
    """Return e to the power of x."""
    return np.exp(x)


@op("Log")
def log(x: np.ndarray) -> np.ndarray:
    """Return the natural logarithm."""
    return np.log(x)


@op("Abs")
def abs_(x: np.ndarray) -> np.ndarray:
    """Return the absolute value."""
    return np.abs(x)


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
