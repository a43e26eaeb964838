"""Translations of the operators that work on each element alone."""

from __future__ import annotations

import numpy as np

from offcut.convert.translate import Site, translates
from offcut.graph import Node

__all__: list[str] = []  # filled into TRANSLATIONS by the decorators

LARGEST = 3.4e38  # JSON knows no infinity


@translates("Identity", "Dropout")
def identity(site: Site) -> list[Node]:
    """Write what does nothing at inference as Identity."""
    return [site.make("Identity", site.node.inputs[0])]


@translates("Cast")
def cast(site: Site) -> list[Node]:
    """Write a cast between floats as Identity: the IR computes in float32."""
    if site.get("to", 1) not in (1, 10, 11, 16):
        raise site.unsupported("casts computed values to integers")
    return identity(site)


@translates("Relu", "Sigmoid", "Tanh", "HardSwish", "Softplus", "Sqrt", "Exp", "Log", "Abs")
def unary(site: Site) -> list[Node]:
    """Copy an operator without attributes."""
    return [site.make(site.node.op, site.node.inputs[0])]


@translates("LeakyRelu", "Elu")
def sloped(site: Site) -> list[Node]:
    """Copy the slope."""
    alpha = float(site.get("alpha", {"LeakyRelu": 0.01, "Elu": 1.0}[site.node.op]))
    return [site.make(site.node.op, site.node.inputs[0], alpha=alpha)]


@translates("PRelu")
def prelu(site: Site) -> list[Node]:
    """Copy; a single slope becomes an attribute."""
    x, slope = site.node.inputs
    if slope in site.constants and site.constant(1).size == 1:
        return [site.make("LeakyRelu", x, alpha=float(site.constant(1).item()))]
    return [site.make("PRelu", x, slope)]


@translates("HardSigmoid")
def hard_sigmoid(site: Site) -> list[Node]:
    """Copy slope and offset."""
    alpha, beta = float(site.get("alpha", 0.2)), float(site.get("beta", 0.5))
    return [site.make("HardSigmoid", site.node.inputs[0], alpha=alpha, beta=beta)]


@translates("Clip")
def clip(site: Site) -> list[Node]:
    """Make the bounds, which are inputs since opset 11, attributes; write ReLU as such."""
    low, high = float(site.get("min", -np.inf)), float(site.get("max", np.inf))
    if site.has(1):
        low = float(site.constant(1).item())
    if site.has(2):
        high = float(site.constant(2).item())
    x = site.node.inputs[0]
    low, high = max(low, -LARGEST), min(high, LARGEST)
    if low == 0 and high == LARGEST:
        return [site.make("Relu", x)]
    return [site.make("Clip", x, min=low, max=high)]


@translates("Add", "Sub", "Mul", "Div")
def binary(site: Site) -> list[Node]:
    """Copy the operator; broadcasting is numpy's since opset 7."""
    return [site.make(site.node.op, *site.node.inputs)]


@translates("Max", "Min")
def extreme(site: Site) -> list[Node]:
    """Copy all operands."""
    return [site.make(site.node.op, *site.node.inputs)]


@translates("Sum")
def sum_(site: Site) -> list[Node]:
    """Write a sum of many as a chain of Adds."""
    total, *rest = site.node.inputs
    if not rest:
        return identity(site)
    nodes: list[Node] = []
    for at, name in enumerate(rest, 1):
        to = site.output if at == len(rest) else f"{site.output}/sum{at}"
        nodes.append(site.make("Add", total, name, to=to))
        total = to
    return nodes


@translates("Neg", "Reciprocal")
def one_operand(site: Site) -> list[Node]:
    """Write a negation as a product with -1, a reciprocal as 1 divided by the operand."""
    x = site.node.inputs[0]
    if site.node.op == "Neg":
        return [site.make("Mul", x, site.weight("minus", np.array(-1, np.float32)))]
    return [site.make("Div", site.weight("one", np.array(1, np.float32)), x)]


@translates("Pow")
def pow_(site: Site) -> list[Node]:
    """Write a square as a product and a square root as such; copy any other power."""
    x, exponent = site.node.inputs
    power = float(site.constant(1).item()) if _is_scalar(site, exponent) else 0.0
    if power == 2:
        return [site.make("Mul", x, x)]
    return [site.make("Sqrt", x) if power == 0.5 else site.make("Pow", x, exponent)]


def _is_scalar(site: Site, name: str) -> bool:
    return name in site.constants and site.constants[name].size == 1
