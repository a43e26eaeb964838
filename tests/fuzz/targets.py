"""The readers: any bytes end in a value or in an OffcutError."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from offcut import card, container
from offcut.convert.fuse import fuse
from offcut.convert.identify import Wishes, identify
from offcut.convert.onnx_reader import read_onnx
from offcut.convert.trace import trace
from offcut.download import read_index
from offcut.errors import OffcutError
from offcut.imaging import files, sniff
from tests import tiny
from tests.fuzz.mutate import mutate_container, mutate_json
from tests.fuzz.mutate_onnx import mutate_onnx

Seeds = Callable[[], Iterator[bytes]]


@dataclass(frozen=True)
class Target:
    """One reader."""

    run: Callable[[bytes], object]
    seeds: Seeds
    mutate: Callable[[bytes, int, int], bytes] | None = None  # (data, most bytes, seed)
    words: tuple[bytes, ...] = field(default=())  # what the format is made of


def check(target: Target, data: bytes) -> None:
    """Run the reader; only an OffcutError may escape from it, and is taken."""
    try:
        target.run(data)
    except OffcutError:
        pass


def _container_seeds() -> Iterator[bytes]:
    yield container.write(tiny.model())
    yield b"\x10" + bytes(7) + b'{"__metadata__":{'


def _onnx_seeds() -> Iterator[bytes]:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = numpy_helper.from_array(np.ones((2, 3, 3, 3), np.float32), "w")
    shape = numpy_helper.from_array(np.array([1, 2, 16], np.int64), "shape")
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Reshape", ["b", "shape"], ["c"]),
        helper.make_node("Sigmoid", ["c"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2, 16])],
        [weights, shape],
    )
    for opset in (9, 17):
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
        assert isinstance(model, onnx.ModelProto)
        yield model.SerializeToString()


def _import(data: bytes) -> None:
    model = read_onnx(data, "model.onnx")
    card = identify("model", model, Wishes(like="u2net"))
    fuse(trace(model, size=card.input.size, outputs=[card.output.name]), [card.output.name])


def _import_seeds() -> Iterator[bytes]:
    from onnx import TensorProto, helper, numpy_helper

    rows = {"w": np.ones((2, 3, 3, 3), "f4"), "s": np.array(0.1, "f4"), "b": np.ones(2, "f4")}
    rows |= {"i": np.array([2, 3]), "o": np.array([1, 1, 2, 2], "f4")}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s"], ["d"]),
        helper.make_node("Conv", ["d", "w"], ["a"], auto_pad="SAME_UPPER", strides=[2, 2]),
        helper.make_node("BatchNormalization", ["a", "b", "b", "b", "b"], ["n"]),
        helper.make_node("Resize", ["n", "", "o"], ["r"], mode="linear"),
        helper.make_node("InstanceNormalization", ["r", "b", "b"], ["f"]),
        helper.make_node("Shape", ["x"], ["h"]),
        helper.make_node("Gather", ["h", "i"], ["g"]),
        helper.make_node("ReduceMean", ["f"], ["m"], axes=[1]),
        helper.make_node("Clip", ["m"], ["c"]),
        helper.make_node("Unsqueeze", ["c", "i"], ["u"]),
        helper.make_node("Reshape", ["u", "g"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "wide",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [8, 8])],
        [numpy_helper.from_array(values, name) for name, values in rows.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    yield model.SerializeToString()
    yield from _onnx_seeds()


def _image_seeds() -> Iterator[bytes]:
    picture = Image.fromarray(tiny.photo(12, 10))
    exif = Image.Exif()
    exif[0x0112] = 6
    for kind in ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"):
        stream = io.BytesIO()
        image = picture if kind in ("PNG", "WEBP", "TIFF") else picture.convert("RGB")
        extra = {"exif": exif.tobytes()} if kind in ("PNG", "JPEG", "WEBP") else {}
        image.save(stream, kind, **extra)
        yield stream.getvalue()


def _look(data: bytes) -> None:
    header = sniff.read_header(data, "photo")
    if header.size is not None:
        sniff.check_size(header.size, "photo")
    sniff.check_whole(data, header, "photo")


def _index_seeds() -> Iterator[bytes]:
    entry = {"file": "a.bin", "bytes": 3, "sha256": "0" * 64, "parts": ["0" * 64]}
    entry |= {"title": "A", "licence": "MIT"}
    yield json.dumps({"default": "a-b", "models": {"a-b": entry}}).encode()


def _card_seeds() -> Iterator[bytes]:
    yield (
        b'name = "red"\ntitle = "Red"\nlicence = "MIT"\ndefault = "f"\n[input]\nsize = [8, 8]\n'
        b'range = "255"\n[output]\nname = "alpha"\n[variants.f]\nfile = "f"\nbytes = 3\n'
        b'sha256 = "0"\nscheme = "float32"\nfloor = { mae = 0.1, iou = 0.9 }\n'
    )


TARGETS: dict[str, Target] = {
    "container": Target(
        lambda data: container.read(data, "model"),
        _container_seeds,
        mutate_container,
        (b'"data_offsets":[0,1]', b'"shape":[', b'"dtype":"I8"', b'"__metadata__"', b"offcut-4"),
    ),
    "onnx": Target(
        lambda data: read_onnx(data, "model.onnx"),
        _onnx_seeds,
        words=(b"Conv", b"Constant", b"value", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
    ),
    "import": Target(
        _import,
        _import_seeds,
        mutate_onnx,
        words=(b"Tile", b"Expand", b"Range", b"Concat", b"Where", b"pads", b"axes", b"scales"),
    ),
    "header": Target(_look, _image_seeds, words=(b"IHDR", b"Exif\0\0")),
    "image": Target(lambda data: files.decode(data, "photo"), _image_seeds),
    "index": Target(lambda data: read_index(data, "index.json"), _index_seeds, mutate_json),
    "card": Target(
        lambda data: card.parse(data.decode("utf-8", "replace"), "card"),
        _card_seeds,
    ),
}
