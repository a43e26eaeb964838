"""Changes to ONNX graphs that keep them protobuf: operators, wires, attributes, shapes, values."""

from __future__ import annotations

import random
from typing import Any

from offcut.convert.fold import FOLDS
from offcut.convert.translate import TRANSLATIONS

__all__ = ["mutate_onnx"]

INTEGERS = (0, 1, -1, 2, 3, 8, 255, 1 << 20, 1 << 31, (1 << 63) - 1, -(1 << 63))
FLOATS = (0.0, -1.0, 0.5, 1.5, 1e-30, 3e38, float("inf"), float("nan"))


def mutate_onnx(data: bytes, most: int, seed: int) -> bytes:
    """Return the model with some of its graph changed; the bytes as they are when unreadable."""
    import onnx
    from google.protobuf.message import DecodeError

    chance = random.Random(seed)
    try:
        model = onnx.load_from_string(data)
        for _ in range(chance.randint(1, 5)):
            chance.choice(CHANGES)(model.graph, chance)
        made: bytes = model.SerializeToString()
        return made if len(made) <= most else data
    except (DecodeError, IndexError, ValueError, TypeError, UnicodeError):
        return data


def _operator(graph: Any, chance: random.Random) -> None:
    chance.choice(graph.node).op_type = chance.choice(sorted({*TRANSLATIONS, *FOLDS}))


def _wire(graph: Any, chance: random.Random) -> None:
    node = chance.choice(graph.node)
    names = [name for other in graph.node for name in (*other.input, *other.output)] + [""]
    if chance.random() < 0.3:
        node.input.append(chance.choice(names))
    elif node.input:
        node.input[chance.randrange(len(node.input))] = chance.choice(names)


def _attribute(graph: Any, chance: random.Random) -> None:
    import onnx

    node = chance.choice(graph.node)
    names = "axis axes pads strides dilations group kernel_shape scales mode perm to keepdims"
    names += " ceil_mode starts ends block_size min max alpha split num_outputs output_shape"
    few = [chance.choice(INTEGERS) for _ in range(chance.randint(1, 4))]
    real = [chance.choice(FLOATS) for _ in few]
    value = chance.choice([few, few[0], real, real[0], "linear", "reflect", "cubic"])
    key = chance.choice(names.split())
    kept = [attribute for attribute in node.attribute if attribute.name != key]
    del node.attribute[:]
    node.attribute.extend([*kept, onnx.helper.make_attribute(key, value)])


def _shape(graph: Any, chance: random.Random) -> None:
    weight = chance.choice(graph.initializer)
    if chance.random() < 0.5 and weight.dims:
        weight.dims[chance.randrange(len(weight.dims))] = chance.choice(INTEGERS)
    else:
        values = [chance.choice(INTEGERS) for _ in range(chance.randint(1, 5))]
        weight.raw_data = b"".join((v % (1 << 64)).to_bytes(8, "little") for v in values)
        weight.data_type = 7
        del weight.dims[:]
        weight.dims.extend(chance.choice([[len(values)], [1, len(values)]]))


def _double(graph: Any, chance: random.Random) -> None:
    node = chance.choice(graph.node)
    copy = graph.node.add()
    copy.CopyFrom(node)
    copy.output[0] += "x"


def _input(graph: Any, chance: random.Random) -> None:
    dims = graph.input[0].type.tensor_type.shape.dim
    chance.choice(dims).dim_value = chance.choice(INTEGERS)


CHANGES = (_operator, _wire, _attribute, _shape, _double, _input)
