"""The operators of U2-Net, U2-Netp, IS-Net and MODNet, each on each of its shapes once.

The networks are written down after their papers: U2-Net (Qin and others 2020, arXiv 2005.09007),
IS-Net (Qin and others 2022, arXiv 2203.03041), MODNet (Ke and others 2020, arXiv 2011.11961) with
MobileNetV2 (Sandler and others 2018, arXiv 1801.04381). BatchNorm is folded into convolutions,
as Offcut and onnxruntime both do.
"""

from __future__ import annotations

from collections.abc import Iterator

from offcut_build.bench.op import Op

__all__ = ["NETWORKS", "all_ops"]

# (depth, channels in, middle, out, size): a residual U-block of so many levels; "flat" ones dilate.
Block = tuple[int, int, int, int, int]
FLAT = 4  # the name RSU-4F: four levels, dilations instead of pooling


def conv(
    c: int,
    o: int,
    size: int,
    *,
    kernel: int = 3,
    stride: int = 1,
    dilation: int = 1,
    depthwise: bool = False,
    activation: str = "",
) -> Op:
    """Return a padded convolution with a bias."""
    pad = dilation * (kernel // 2)
    attributes: dict[str, object] = {"pads": (pad,) * 4}
    attributes |= {"strides": (stride, stride)} if stride > 1 else {}
    attributes |= {"dilations": (dilation, dilation)} if dilation > 1 else {}
    attributes |= {"group": c} if depthwise else {}
    attributes |= {"activation": activation} if activation else {}
    weight = (o, 1 if depthwise else c, kernel, kernel)
    return Op("Conv", ((1, c, size, size),), (weight, (o,)), attributes)


def pool(c: int, size: int) -> Op:
    """Return a halving MaxPool that rounds up."""
    attributes = {"kernel_shape": (2, 2), "strides": (2, 2), "ceil_mode": 1}
    return Op("MaxPool", ((1, c, size, size),), (), attributes)


def resize(c: int, size: int, size_out: int) -> Op:
    """Return a bilinear Resize."""
    attributes = {"size": (size_out, size_out), "mode": "linear"}
    attributes["coordinate_transformation_mode"] = "half_pixel"
    return Op("Resize", ((1, c, size, size),), (), attributes)


def concat(size: int, *channels: int) -> Op:
    """Return a Concat of the channels."""
    return Op("Concat", tuple((1, c, size, size) for c in channels), (), {"axis": 1})


def elementwise(op: str, c: int, size: int) -> Op:
    """Return an operator of one or two values of one shape."""
    shape = (1, c, size, size)
    return Op(op, (shape, shape) if op in ("Add", "Mul") else (shape,))


def by_channel(op: str, c: int, size: int, *, constant: bool) -> Op:
    """Return a sum or product with one number per channel."""
    shape, factor = (1, c, size, size), (1, c, 1, 1)
    return Op(op, (shape,), (factor,)) if constant else Op(op, (shape, factor))


def residual_block(block: Block, *, flat: bool) -> Iterator[Op]:
    """Yield the operators of an RSU; every convolution has a Relu."""
    depth, c, middle, o, size = block

    def relu_conv(a: int, b: int, at: int, dilation: int = 1) -> Op:
        return conv(a, b, at, dilation=dilation, activation="Relu")

    yield relu_conv(c, o, size)
    yield relu_conv(o, middle, size)
    sizes = [size if flat else -(-size >> level) for level in range(depth - 1)]
    dilations = [1 << level if flat else 1 for level in range(depth)]
    for level, at in enumerate(sizes[1:], 1):
        if not flat:
            yield pool(middle, sizes[level - 1])
        yield relu_conv(middle, middle, at, dilations[level])
    yield relu_conv(middle, middle, sizes[-1], dilations[-1] if flat else 2)
    for level in reversed(range(depth - 1)):
        at = sizes[level]
        yield concat(at, middle, middle)
        yield relu_conv(2 * middle, middle if level else o, at, dilations[level])
        if level and not flat:
            yield resize(middle, at, sizes[level - 1])
    yield elementwise("Add", o, size)


def u2net_like(channels: list[int], middles: list[int], size: int) -> Iterator[Op]:
    """Yield the operators of six encoder and five decoder blocks and the side outputs.

    channels: what each encoder block puts out; the first is also what the decoder ends with.
    middles: of the six encoder blocks, then of the five decoder blocks from the deepest up.
    """
    depths, sizes = [7, 6, 5, 4, FLAT, FLAT], [size >> level for level in range(6)]
    into = 3
    for level, o in enumerate(channels):
        block = (depths[level], into, middles[level], o, sizes[level])
        yield from residual_block(block, flat=level >= 4)
        if level < 5:
            yield pool(o, sizes[level])
        into = o
    below = channels[5]
    for level in reversed(range(5)):
        o = channels[max(level - 1, 0)] if level < 4 else channels[4]
        yield resize(below, sizes[level + 1], sizes[level])
        yield concat(sizes[level], below, channels[level])
        block = (depths[level], below + channels[level], middles[10 - level], o, sizes[level])
        yield from residual_block(block, flat=level == 4)
        yield conv(o, 1, sizes[level])
        below = o
    yield conv(channels[5], 1, sizes[5])
    for level in range(1, 6):
        yield resize(1, sizes[level], size)
    yield concat(size, 1, 1, 1, 1, 1, 1)
    yield conv(6, 1, size, kernel=1)
    yield elementwise("Sigmoid", 1, size)


FULL = [64, 128, 256, 512, 512, 512]
FULL_MIDDLES = [32, 32, 64, 128, 256, 256, 256, 128, 64, 32, 16]


def u2net() -> Iterator[Op]:
    """Yield the operators of U2-Net at 320x320."""
    yield from u2net_like(FULL, FULL_MIDDLES, 320)


def u2netp() -> Iterator[Op]:
    """Yield the operators of U2-Netp at 320x320, and of odd sizes as other inputs give them."""
    yield from u2net_like([64] * 6, [16] * 11, 320)
    yield from (pool(64, 45), resize(64, 23, 45), conv(64, 16, 45, activation="Relu"))


def isnet() -> Iterator[Op]:
    """Yield the operators of IS-Net at 1024x1024: a strided stem, then U2-Net's blocks at half."""
    yield conv(3, 64, 1024, stride=2)
    stem = conv(3, 64, 512, activation="Relu").name  # U2-Net's first, which the stem replaces
    for op in u2net_like(FULL, FULL_MIDDLES, 512):
        yield conv(64, 64, 512, activation="Relu") if op.name == stem else op
    yield resize(1, 512, 1024)
    yield elementwise("Sigmoid", 1, 1024)


# MobileNetV2: expansion, channels, repeats, stride of the first
MOBILE = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1)]
MOBILE += [(6, 160, 3, 2), (6, 320, 1, 1)]


def mobilenet(size: int) -> Iterator[Op]:
    """Yield the operators of MobileNetV2 up to its 1,280 channels."""
    yield conv(3, 32, size, stride=2, activation="Relu6")
    size, c = size // 2, 32
    for expansion, o, repeats, first in MOBILE:
        for repeat in range(repeats):
            stride, wide = (1 if repeat else first), expansion * c
            if expansion > 1:
                yield conv(c, wide, size, kernel=1, activation="Relu6")
            yield conv(wide, wide, size, stride=stride, depthwise=True, activation="Relu6")
            size //= stride
            yield conv(wide, o, size, kernel=1)
            if repeat:
                yield elementwise("Add", o, size)
            c = o
    yield conv(c, 1280, size, kernel=1, activation="Relu6")


def half_normalized(c: int, o: int, size: int, *, kernel: int = 3, stride: int = 1) -> Iterator[Op]:
    """Yield MODNet's Conv-IBNorm-Relu: half of the channels by batch, half by instance."""
    yield conv(c, o, size, kernel=kernel, stride=stride)
    size, half = size // stride, o // 2
    shape = (1, half, size, size)
    bounds = {"starts": (0,), "ends": (half,), "axes": (1,), "steps": (1,)}
    yield Op("Slice", ((1, o, size, size),), (), bounds)
    yield by_channel("Mul", half, size, constant=True)
    yield by_channel("Add", half, size, constant=True)
    yield Op("InstanceNormalization", (shape,), ((half,), (half,)), {"epsilon": 1e-5})
    yield concat(size, half, half)
    yield elementwise("Relu", o, size)


def modnet() -> Iterator[Op]:
    """Yield the operators of MODNet at 512x512, as it runs (without its training outputs)."""
    yield from mobilenet(512)
    yield Op("GlobalAveragePool", ((1, 1280, 16, 16),))
    yield Op("MatMul", ((1, 1280),), ((1280, 320),))
    yield Op("MatMul", ((1, 320),), ((320, 1280),))
    yield Op("Sigmoid", ((1, 1280),))
    yield by_channel("Mul", 1280, 16, constant=False)
    yield resize(1280, 16, 32)
    yield from half_normalized(1280, 96, 32, kernel=5)
    yield resize(96, 32, 64)
    yield from half_normalized(96, 32, 64, kernel=5)
    yield conv(32, 1, 64, stride=2)
    yield from (resize(3, 512, 256), resize(3, 512, 128))
    yield conv(16, 32, 256, kernel=1)
    yield from half_normalized(35, 32, 256, stride=2)
    yield conv(24, 32, 128, kernel=1)
    yield concat(128, 64, 32, 3)
    for c, o in ((64, 64), (99, 64), (64, 64), (64, 32)):
        yield from half_normalized(c, o, 128)
    yield resize(32, 128, 256)
    yield concat(256, 32, 32)
    for c, o in ((64, 64), (64, 32), (32, 32)):
        yield from half_normalized(c, o, 256)
    yield resize(32, 64, 128)
    yield from half_normalized(32, 32, 128, kernel=5)
    yield resize(32, 256, 512)
    yield concat(512, 32, 3)
    yield from half_normalized(35, 16, 512)
    yield conv(16, 1, 512, kernel=1)
    yield elementwise("Sigmoid", 1, 512)


NETWORKS = {"u2netp": u2netp, "u2net": u2net, "isnet": isnet, "modnet": modnet}


def all_ops() -> dict[str, tuple[Op, list[str]]]:
    """Return name -> (operator, the networks that have it), without repetitions."""
    found: dict[str, tuple[Op, list[str]]] = {}
    for network, ops in NETWORKS.items():
        for op in ops():
            _, networks = found.setdefault(op.name, (op, []))
            if network not in networks:
                networks.append(network)
    return found
