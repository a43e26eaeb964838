"""Translations of normalisations, matrix products and reductions."""

from __future__ import annotations

import numpy as np

from offcut.convert.translate import Site, translates
from offcut.errors import ModelFormatError
from offcut.graph import Node

__all__: list[str] = []  # filled into TRANSLATIONS by the decorators


@translates("BatchNormalization")
def batch_normalization(site: Site) -> list[Node]:
    """Write the frozen normalisation as a product and a sum per channel, for `fuse` to fold."""
    if site.get("training_mode", 0) or not site.get("spatial", 1):
        raise site.unsupported("only the inference form, per channel, is supported")
    scale, bias, mean, variance = (site.constant(at).astype(np.float64) for at in range(1, 5))
    if not scale.shape == bias.shape == mean.shape == variance.shape == (site.shape()[1],):
        raise ModelFormatError(f"{site.node}: its weights do not fit {site.shape()[1]} channels")
    factor = scale / np.sqrt(variance + site.get("epsilon", 1e-5))
    shape = (-1, *[1] * (len(site.shape()) - 2))  # broadcasts over (n, c, h, w)
    middle = f"{site.output}/scaled"
    scaling = site.weight("scale", factor.reshape(shape))
    shift = site.weight("shift", (bias - mean * factor).reshape(shape))
    return [
        site.make("Mul", site.node.inputs[0], scaling, to=middle),
        site.make("Add", middle, shift),
    ]


@translates("InstanceNormalization")
def instance_normalization(site: Site) -> list[Node]:
    """Copy; the statistics are the image's own, so nothing folds."""
    epsilon = float(site.get("epsilon", 1e-5))
    return [site.make("InstanceNormalization", *site.node.inputs, epsilon=epsilon)]


@translates("MatMul")
def matmul(site: Site) -> list[Node]:
    """Copy."""
    return [site.make("MatMul", *site.node.inputs)]


@translates("Gemm")
def gemm(site: Site) -> list[Node]:
    """Copy with its attributes."""
    inputs = [name for name in site.node.inputs if name]
    alpha, beta = float(site.get("alpha", 1.0)), float(site.get("beta", 1.0))
    a, b = int(site.get("transA", 0)), int(site.get("transB", 0))
    return [site.make("Gemm", *inputs, alpha=alpha, beta=beta, transA=a, transB=b)]


@translates("Softmax")
def softmax(site: Site) -> list[Node]:
    """Copy the axis. Before opset 13 all axes from it on were one, which only the last fits."""
    rank = len(site.shape())
    axis = site.axis(-1 if site.opset >= 13 else 1)
    tail = site.shape()[axis + 1 :]
    if site.opset < 13 and any(extent != 1 for extent in tail):
        raise site.unsupported(f"axis {axis} of {rank} means several axes before opset 13")
    return [site.make("Softmax", site.node.inputs[0], axis=axis)]


@translates("ReduceMean", "ReduceSum", "ReduceMax")
def reduce(site: Site) -> list[Node]:
    """Make the axes, an input in newer opsets, an attribute; write the spatial mean as such."""
    x, rank = site.node.inputs[0], len(site.shape())
    axes = site.axes()
    if not axes and site.get("noop_with_empty_axes", 0):
        return [site.make("Identity", x)]
    axes = axes or tuple(range(rank))
    keep = int(site.get("keepdims", 1))
    if site.node.op == "ReduceMean" and keep and rank == 4 and axes == (2, 3):
        return [site.make("GlobalAveragePool", x)]
    return [site.make(site.node.op, x, axes=axes, keepdims=keep)]
