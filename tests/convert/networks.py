"""The networks that people bring: U2-Net, IS-Net, MODNet, in their true shape, with few channels.

Channels are the papers' divided by `narrow`. Sources: Qin and others, "U2-Net", 2020, and "Highly
accurate dichotomous image segmentation", 2022; Ke and others, "MODNet", 2022.
"""

from __future__ import annotations

import onnx

from tests.convert.builder import INPUT, Builder

# Per stage: levels of the U-block (0: dilated, without pooling), its middle and output channels.
ENCODER = [(7, 32, 64), (6, 32, 128), (5, 64, 256), (4, 128, 512), (0, 256, 512), (0, 256, 512)]
DECODER = [(0, 256, 512), (4, 128, 256), (5, 64, 128), (6, 32, 64), (7, 16, 64)]
SMALL_ENCODER = [(levels, 16, 64) for levels, _, _ in ENCODER]
SMALL_DECODER = [(levels, 16, 64) for levels, _, _ in DECODER]
Stages = list[tuple[int, int, int]]


def u2net(b: Builder, *, small: bool = False, narrow: int = 16) -> onnx.ModelProto:
    """Return U2-Net, or its small variant: seven maps, the fused one first."""
    stages = (SMALL_ENCODER, SMALL_DECODER) if small else (ENCODER, DECODER)
    maps = _nested(b, INPUT, *stages, narrow)
    first, *deeper = maps
    sides = [first, *(b.resize_like(side, first) for side in deeper)]
    fused = b.conv(b.concat(*sides), 1, 1)
    return b.model([b.same("Sigmoid", side) for side in (fused, *sides)])


def isnet(b: Builder, *, narrow: int = 16) -> onnx.ModelProto:
    """Return IS-Net: U2-Net's stages behind a convolution of stride 2, six maps at full size."""
    halved = b.conv(INPUT, max(64 // narrow, 2), stride=2)
    maps = _nested(b, halved, ENCODER, DECODER, narrow)
    return b.model([b.same("Sigmoid", b.resize_like(side, INPUT)) for side in maps])


def _nested(b: Builder, x: str, encoder: Stages, decoder: Stages, narrow: int) -> list[str]:
    """Return the six side maps, the finest first."""
    stages = [
        [(levels, max(middle // narrow, 2), max(c // narrow, 2)) for levels, middle, c in part]
        for part in (encoder, decoder)
    ]
    found: list[str] = []
    for at, stage in enumerate(stages[0]):
        x = u_block(b, b.pool(x) if at else x, *stage)
        found.append(x)
    maps, x = [found[-1]], found.pop()
    for stage in stages[1]:
        skip = found.pop()
        x = u_block(b, b.concat(b.resize_like(x, skip), skip), *stage)
        maps.append(x)
    return [b.conv(value, 1) for value in maps[::-1]]


def u_block(b: Builder, x: str, levels: int, middle: int, c: int) -> str:
    """Add a residual U-block: a small U-Net, or dilated convolutions when `levels` is 0."""
    x = _conv_norm_relu(b, x, c)
    found, depth = [x], levels or 4
    for level in range(1, depth):
        source = found[-1]
        if levels and level > 1:
            source = b.pool(source)
        dilation = 1 if levels else 1 << (level - 1)
        found.append(_conv_norm_relu(b, source, middle, dilation))
    y = _conv_norm_relu(b, found[-1], middle, 2 if levels else 8)
    for level in range(depth - 1, 0, -1):
        skip = found[level]
        if b.sizes[y] != b.sizes[skip]:
            y = b.resize_like(y, skip)
        dilation = 1 if levels else 1 << (level - 1)
        y = _conv_norm_relu(b, b.concat(y, skip), middle if level > 1 else c, dilation)
    return b.same("Add", y, x)


def _conv_norm_relu(b: Builder, x: str, c: int, dilation: int = 1) -> str:
    return b.same("Relu", b.batch_norm(b.conv(x, c, dilation=dilation)))


# MobileNetV2: expansion, channels, blocks, stride of the first one.
INVERTED = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1)]
INVERTED += [(6, 160, 3, 2), (6, 320, 1, 1)]


def modnet(b: Builder, *, narrow: int = 8) -> onnx.ModelProto:
    """Return MODNet: a MobileNetV2 and three branches; one map, the matte."""
    enc2, enc4, enc8, enc32 = _mobilenet(b, narrow)
    hr = b.channels[enc8]
    x = _squeeze_excite(b, enc32)
    x = _ibn(b, b.resize_by(x, 2), max(96 // narrow, 2), 5)
    lr8 = _ibn(b, b.resize_by(x, 2), hr, 5)
    hr2 = _high_resolution(b, enc2, enc4, lr8, hr)
    lr4 = _ibn(b, b.resize_by(lr8, 2), hr, 5)
    x = _ibn(b, b.concat(b.resize_by(lr4, 2), hr2), hr)
    x = _ibn(b, b.concat(b.resize_by(x, 2), INPUT), max(hr // 2, 2))
    return b.model([b.same("Sigmoid", b.conv(x, 1, 1))])


def _mobilenet(b: Builder, narrow: int) -> tuple[str, str, str, str]:
    """Return the features at a half, a quarter, an eighth and a 32nd of the input's size."""
    x = b.relu6(b.batch_norm(b.conv(INPUT, max(32 // narrow, 2), stride=2, bias=False)))
    found: dict[tuple[int, int], str] = {}
    for expansion, c, blocks, stride in INVERTED:
        for block in range(blocks):
            x = _inverted(b, x, expansion, max(c // narrow, 2), stride if block == 0 else 1)
        found[b.sizes[x]] = x
    last = b.relu6(b.batch_norm(b.conv(x, 1280 // narrow, 1, bias=False)))
    two, four, eight, *_ = found.values()
    return two, four, eight, last


def _inverted(b: Builder, x: str, expansion: int, c: int, stride: int) -> str:
    inner, y = b.channels[x] * expansion, x
    if expansion > 1:
        y = b.relu6(b.batch_norm(b.conv(y, inner, 1, bias=False)))
    y = b.relu6(b.batch_norm(b.conv(y, inner, stride=stride, group=inner, bias=False)))
    y = b.batch_norm(b.conv(y, c, 1, bias=False))
    return b.same("Add", x, y) if stride == 1 and b.channels[x] == c else y


def _squeeze_excite(b: Builder, x: str) -> str:
    """Weigh channels by what a small dense network makes of their means."""
    c = b.channels[x]
    pooled = b.keep(b.add("GlobalAveragePool", x), x)
    flat = b.keep(b.add("Flatten", pooled, axis=1), x)
    hidden = b.linear(flat, max(c // 4, 2))
    weights = b.add("Sigmoid", b.linear(b.same("Relu", hidden), c))
    tall = b.unsqueeze(b.unsqueeze(weights, 2), 3)
    return b.same("Mul", x, b.add("Expand", tall, b.add("Shape", x)))


def _ibn(b: Builder, x: str, c: int, kernel: int = 3, stride: int = 1) -> str:
    """Convolve, normalise half of the channels by constants and half by themselves, ReLU."""
    x = b.conv(x, c, kernel, stride=stride)
    half = c // 2
    fixed = b.batch_norm(b.slice(x, 0, half))
    return b.same("Relu", b.concat(fixed, b.instance_norm(b.slice(x, half, c))))


def _high_resolution(b: Builder, enc2: str, enc4: str, lr8: str, hr: int) -> str:
    image2, image4 = b.resize_by(INPUT, 1 / 2), b.resize_by(INPUT, 1 / 4)
    x = _ibn(b, b.concat(image2, _ibn(b, enc2, hr, 1)), hr, stride=2)
    x = _ibn(b, b.concat(x, _ibn(b, enc4, hr, 1)), 2 * hr)
    x = b.concat(x, b.resize_by(lr8, 2), image4)
    for c in (2 * hr, 2 * hr, hr):
        x = _ibn(b, x, c)
    x = b.concat(b.resize_by(x, 2), _ibn(b, enc2, hr, 1))
    for c in (2 * hr, hr, hr, hr):
        x = _ibn(b, x, c)
    return x
