"""The model file: safetensors layout, with the graph and the card as JSON in its metadata.

    8 bytes     little-endian length n of the header, n <= 1 MiB
    n bytes     JSON object:
                "__metadata__" -> {"format": "offcut-1", "card", "graph", "tensors", "ranges"}
                "<weight>/<part>" -> {"dtype", "shape", "data_offsets": [begin, end]}
    the rest    the parts' bytes, little-endian, row-major; the offsets cover them exactly

Metadata values are strings (JSON inside JSON), as safetensors demands, so that any viewer opens it.
Reading is strict: whatever is not exactly as above is a ModelFormatError; nothing in it is code.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from offcut import card as cards
from offcut.card import ModelCard
from offcut.errors import ModelFormatError
from offcut.graph import Graph, Node, Shape
from offcut.ops.shapes import check_shapes
from offcut.quant import QuantizedTensor

__all__ = ["Model", "read", "write"]

MAX_HEADER = 1 << 20
MAX_TENSORS = 10_000
FORMAT = "offcut-1"
DTYPES = {"F32": "float32", "F16": "float16", "I8": "int8", "U8": "uint8", "I32": "int32"}
MALFORMED = (  # what reading JSON of another form raises
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
NAMES = {numpy_name: name for name, numpy_name in DTYPES.items()}


@dataclass(frozen=True, slots=True)
class Model:
    """A graph, its weights and its card.

    ranges: per value (low, high) seen over the calibration photos, for backends that quantize
    activations; empty when the model was never calibrated.
    """

    graph: Graph
    weights: Mapping[str, QuantizedTensor]
    card: ModelCard
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def check(self) -> None:
        """Raise ModelFormatError unless graph, weights and card fit together."""
        self.graph.check()
        check_shapes(self.graph)
        if set(self.graph.weight_names) != set(self.weights):
            odd = sorted(set(self.graph.weight_names) ^ set(self.weights))
            raise ModelFormatError(f"weights: {odd[0]} is not both in the graph and in the file")
        for name, tensor in self.weights.items():
            tensor.check(name)
            if tensor.shape != self.graph.shapes[name]:
                want = self.graph.shapes[name]
                raise ModelFormatError(f"{name}: shape is {tensor.shape}, the graph says {want}")
        if self.card.output.name not in self.graph.outputs:
            raise ModelFormatError(f"card: output {self.card.output.name} is not in the graph")


def write(model: Model) -> bytes:
    """Return the model file's bytes; the same model gives the same bytes."""
    model.check()
    header: dict[str, Any] = {"__metadata__": _metadata(model)}
    blobs: list[bytes] = []
    at = 0
    # Largest alignment first, so that every part is aligned for np.frombuffer.
    parts = [
        (f"{name}/{key}", part)
        for name, tensor in model.weights.items()
        for key, part in tensor.parts.items()
    ]
    for key, part in sorted(parts, key=lambda item: -item[1].itemsize):
        blob = np.ascontiguousarray(part).astype(part.dtype.newbyteorder("<")).tobytes()
        offsets = [at, at + len(blob)]
        header[key] = {
            "dtype": NAMES[part.dtype.name],
            "shape": list(part.shape),
            "data_offsets": offsets,
        }
        blobs.append(blob)
        at = offsets[1]
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=True).encode()
    text += b" " * (-len(text) % 64)
    return len(text).to_bytes(8, "little") + text + b"".join(blobs)


def _metadata(model: Model) -> dict[str, str]:
    graph = model.graph
    values = {
        "card": model.card.to_metadata(),
        "graph": {
            "inputs": graph.inputs,
            "outputs": graph.outputs,
            "nodes": [[n.op, n.inputs, n.outputs, dict(n.attributes)] for n in graph.nodes],
            "shapes": dict(graph.shapes),
        },
        "tensors": {name: [t.scheme, t.shape] for name, t in model.weights.items()},
        "ranges": dict(model.ranges),
    }
    dumped = {key: json.dumps(value, separators=(",", ":")) for key, value in values.items()}
    return {"format": FORMAT} | dumped


def read(data: bytes | memoryview, where: str) -> Model:
    """Read a model file; the weights are views into `data`. Raises ModelFormatError.

    where: the name to use in errors.
    """
    try:
        model = _read(memoryview(data).cast("B"), where)
        model.check()
        return model
    except MALFORMED as error:
        raise ModelFormatError(f"{where}: malformed model file: {error}") from error


def _read(data: memoryview, where: str) -> Model:
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or size > min(MAX_HEADER, len(data) - 8):
        raise ModelFormatError(
            f"{where}: header of {size} bytes in a file of {len(data)}: not a model file, or cut",
            remedy="download it again",
        )
    header = json.loads(bytes(data[8 : 8 + size]), object_pairs_hook=_no_duplicates)
    meta = header.pop("__metadata__")
    if meta["format"] != FORMAT:
        raise ModelFormatError(f"{where}: format is {meta['format']!r}, expected {FORMAT!r}")
    if len(header) > MAX_TENSORS:
        raise ModelFormatError(f"{where}: {len(header)} tensors, at most {MAX_TENSORS}")
    arrays = _arrays(header, data[8 + size :], where)
    loaded = {
        key: json.loads(meta[key], object_pairs_hook=_no_duplicates)
        for key in ("card", "graph", "tensors", "ranges")
    }
    return Model(
        graph=_graph(loaded["graph"]),
        weights=_tensors(loaded["tensors"], arrays),
        card=cards.from_document(loaded["card"], where),
        ranges={str(name): _range(value) for name, value in loaded["ranges"].items()},
    )


def _range(value: Any) -> tuple[float, float]:
    low, high = map(float, value)
    if not -math.inf < low <= high < math.inf:
        raise ModelFormatError(f"range {value!r}: expected a least and a largest number")
    return low, high


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = dict(pairs)
    if len(keys) != len(pairs):
        raise ValueError("a JSON object names a key twice")
    return keys


def _arrays(header: dict[str, Any], data: memoryview, where: str) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    at = 0
    for key, row in sorted(header.items(), key=lambda item: list(item[1]["data_offsets"])):
        begin, end = row["data_offsets"]
        shape = _shape(row["shape"])
        dtype = np.dtype(DTYPES[row["dtype"]]).newbyteorder("<")
        count = 1
        for extent in shape:
            count *= extent
        if begin != at or end - begin != count * dtype.itemsize or end > len(data):
            raise ModelFormatError(f"{where}: {key} at [{begin}, {end}) leaves a gap or overlaps")
        arrays[key] = np.frombuffer(data[begin:end], dtype).reshape(shape)
        at = end
    if at != len(data):
        raise ModelFormatError(f"{where}: {len(data) - at} bytes after the last tensor")
    return arrays


def _shape(value: Any) -> Shape:
    if not all(type(extent) is int and extent >= 0 for extent in value):
        raise ModelFormatError(f"shape {value!r}: expected whole numbers from 0")
    return tuple(value)


def _graph(value: Any) -> Graph:
    nodes = tuple(
        Node(str(op), _names(inputs), _names(outputs), {k: _attribute(v) for k, v in rest.items()})
        for op, inputs, outputs, rest in value["nodes"]
    )
    return Graph(
        nodes=nodes,
        inputs=_names(value["inputs"]),
        outputs=_names(value["outputs"]),
        shapes={str(name): _shape(shape) for name, shape in value["shapes"].items()},
    )


def _names(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ModelFormatError(f"{value!r}: expected a list of names")
    return tuple(value)


def _attribute(value: Any) -> Any:
    if isinstance(value, list) and all(type(item) in (int, float) for item in value):
        return tuple(value)
    if type(value) in (int, float, str):
        return value
    raise ModelFormatError(f"attribute {value!r}: expected a number, a string or a list of numbers")


def _tensors(value: Any, arrays: dict[str, np.ndarray]) -> dict[str, QuantizedTensor]:
    parts: dict[str, dict[str, np.ndarray]] = {str(name): {} for name in value}
    for key, array in arrays.items():
        name, _, part = key.rpartition("/")
        if name not in parts:
            raise ModelFormatError(f"tensor {key} belongs to no weight")
        parts[name][part] = array
    return {
        name: QuantizedTensor(str(scheme), _shape(shape), parts[name])
        for name, (scheme, shape) in value.items()
    }
