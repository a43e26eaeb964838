"""The model file: safetensors layout, small, and strict in what it accepts.

    8 bytes     little-endian length n of the header, n <= 1 MiB
    n bytes     JSON object:
                "__metadata__" -> {"format": "offcut-4", "card", "graph", "weights", "codes"}
                "<column>" -> {"dtype", "shape", "data_offsets": [begin, end]}
    the rest    the columns' bytes, little-endian; the offsets cover them exactly

A column holds one part of every weight that has it, flat, one weight after another:
"values.float32" are all float32 values. Parts of 8 bits are not columns but, in the same order,
entropy-coded (coded.py): the columns "codes.words", "codes.states", "codes.tables" and the same of
"spreads". "ranges" (n, 2) holds a value's low and high, row by row; "spans" the spans (spans.py) of
the channels of all values that have them.

Metadata values are strings (JSON inside JSON), as safetensors demands, so that any viewer opens it:

    card        names, licence, input and output; how the weights were quantized
    graph       see graph_text.py
    weights     {"schemes": [...], "used": [per weight, its scheme's number]}
    codes       which tables code what, see coded.py

Reading is strict: whatever is not exactly as above is a ModelFormatError; nothing in it is code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from offcut import card as cards
from offcut import coded, graph_text
from offcut.card import ModelCard
from offcut.coded import Layout
from offcut.errors import ModelFormatError
from offcut.graph import Graph, Shape
from offcut.ops.shapes import check_shapes
from offcut.quant import QuantizedTensor, part_shapes
from offcut.spans import MOST_SPAN, spanned_values

__all__ = ["Model", "coded_parts", "read", "write"]

MAX_HEADER = 1 << 20
FORMAT = "offcut-4"
DTYPES = {"F32": "float32", "F16": "float16", "U8": "uint8", "U16": "uint16", "U32": "uint32"}
MALFORMED = (  # what reading JSON of another form raises
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
NAMES = {numpy_name: name for name, numpy_name in DTYPES.items()}
CODED = ("int8", "uint8")
Columns = Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Model:
    """A graph, its weights and its card.

    ranges: per value (low, high) seen over the calibration photos, for backends that quantize
    activations; empty when the model was never calibrated. spans: how much of it each channel
    takes, uint8 (c,), of all spanned_values, or of none.
    """

    graph: Graph
    weights: Mapping[str, QuantizedTensor]
    card: ModelCard
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    spans: Mapping[str, np.ndarray] = field(default_factory=dict)

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
    names = model.graph.weight_names
    code_columns, codes = coded.encode(*coded_parts([model.weights[name] for name in names]))
    header: dict[str, Any] = {"__metadata__": _metadata(model, names, codes)}
    columns = _columns(model, names) | code_columns
    blobs: list[bytes] = []
    at = 0
    # Largest alignment first, so that every column is aligned for np.frombuffer.
    for key, column in sorted(columns.items(), key=lambda item: (-item[1].itemsize, item[0])):
        blob = column.astype(column.dtype.newbyteorder("<")).tobytes()
        header[key] = {
            "dtype": NAMES[column.dtype.name],
            "shape": list(column.shape),
            "data_offsets": [at, at + len(blob)],
        }
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=True).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + b"".join(blobs)


def _metadata(model: Model, names: Sequence[str], codes: Mapping[str, Any]) -> dict[str, str]:
    schemes = list(dict.fromkeys(model.weights[name].scheme for name in names))
    values = {
        "card": model.card.to_metadata(),
        "graph": graph_text.to_document(model.graph),
        "weights": {
            "schemes": schemes,
            "used": [schemes.index(model.weights[name].scheme) for name in names],
        },
        "codes": codes,
    }
    dumped = {key: json.dumps(value, separators=(",", ":")) for key, value in values.items()}
    return {"format": FORMAT} | dumped


def coded_parts(tensors: Sequence[QuantizedTensor]) -> tuple[list[np.ndarray], list[Layout]]:
    """Return the parts of 8 bits of all tensors, and how they are laid out."""
    parts, layouts = [], []
    for tensor in tensors:
        for key, part in _in_order(tensor).items():
            if part.dtype.name in CODED:
                parts.append(part)
                layouts.append(_layout(key, part.dtype.name, part.shape, tensor.shape))
    return parts, layouts


def _layout(key: str, dtype: str, shape: Shape, weight: Shape) -> Layout:
    """Return how a part of a weight is laid out; levels that count from zero go by kernels."""
    return Layout(dtype, shape, weight[1] if key == "q" and dtype == "int8" and weight[1:] else 0)


def _in_order(tensor: QuantizedTensor) -> Mapping[str, np.ndarray]:
    """Return the parts in the scheme's order, whatever the order they were made in."""
    return {key: tensor.parts[key] for key in part_shapes(tensor.scheme, tensor.shape, "")}


def _columns(model: Model, names: Sequence[str]) -> dict[str, np.ndarray]:
    found: dict[str, list[np.ndarray]] = {}
    for name in names:
        for key, part in _in_order(model.weights[name]).items():
            if part.dtype.name not in CODED:
                found.setdefault(f"{key}.{part.dtype.name}", []).append(part.reshape(-1))
    columns = {key: np.concatenate(parts) for key, parts in found.items()}
    if model.ranges:
        values = graph_text.value_names(model.graph)
        none = (np.nan, np.nan)
        rows = [model.ranges.get(name, none) for name in values]
        columns["ranges"] = np.array(rows, np.float32)
    if model.spans:
        spanned = spanned_values(model.graph, model.ranges)
        columns["spans"] = np.concatenate([model.spans[name] for name in spanned])
    return columns


def read(data: bytes | memoryview, where: str) -> Model:
    """Read a model file; the float weights are views into `data`. Raises ModelFormatError.

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
        raise ModelFormatError(
            f"{where}: format is {meta['format']!r}, expected {FORMAT!r}",
            remedy="convert the model again with this version",
        )
    columns = _read_columns(header, data[8 + size :], where)
    loaded = {
        key: json.loads(meta[key], object_pairs_hook=_no_duplicates)
        for key in ("card", "graph", "weights", "codes")
    }
    graph = graph_text.from_document(loaded["graph"])
    graph.check()
    rows, spans = columns.pop("ranges", None), columns.pop("spans", None)
    ranges = {} if rows is None else _ranges(graph, rows)
    model = Model(
        graph=graph,
        weights=_weights(graph, loaded["weights"], loaded["codes"], columns),
        card=cards.from_document(loaded["card"], where),
        ranges=ranges,
        spans={} if spans is None else _spans(graph, ranges, spans),
    )
    if columns:
        raise ModelFormatError(f"{where}: column {min(columns)} belongs to no weight")
    return model


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = dict(pairs)
    if len(keys) != len(pairs):
        raise ValueError("a JSON object names a key twice")
    return keys


def _read_columns(header: dict[str, Any], data: memoryview, where: str) -> dict[str, np.ndarray]:
    columns: dict[str, np.ndarray] = {}
    at = 0
    for key, row in sorted(header.items(), key=lambda item: list(item[1]["data_offsets"])):
        begin, end = row["data_offsets"]
        shape = graph_text.shape_of(row["shape"])
        dtype = np.dtype(DTYPES[row["dtype"]]).newbyteorder("<")
        count = 1
        for extent in shape:
            count *= extent
        if begin != at or end - begin != count * dtype.itemsize or end > len(data):
            raise ModelFormatError(f"{where}: {key} at [{begin}, {end}) leaves a gap or overlaps")
        columns[key] = np.frombuffer(data[begin:end], dtype).reshape(shape)
        at = end
    if at != len(data):
        raise ModelFormatError(f"{where}: {len(data) - at} bytes after the last column")
    return columns


def _weights(
    graph: Graph, schemes: Any, codes: Any, columns: dict[str, np.ndarray]
) -> dict[str, QuantizedTensor]:
    """Cut the columns, which are removed, and the coded stream into the weights' parts."""
    names = graph.weight_names
    chosen = [str(schemes["schemes"][number]) for number in _numbers(schemes["used"])]
    wanted = [
        part_shapes(scheme, graph.shapes[name], name)
        for name, scheme in zip(names, chosen, strict=True)
    ]
    layouts = [
        _layout(key, dtype, shape, graph.shapes[name])
        for name, parts in zip(names, wanted, strict=True)
        for key, (dtype, shape) in parts.items()
        if dtype in CODED
    ]
    decoded = iter(coded.decode(columns, codes, layouts))
    used: dict[str, int] = {}
    weights: dict[str, QuantizedTensor] = {}
    for name, scheme, parts in zip(names, chosen, wanted, strict=True):
        made: dict[str, np.ndarray] = {}
        for key, (dtype, shape) in parts.items():
            if dtype in CODED:
                made[key] = next(decoded)
                continue
            column = f"{key}.{dtype}"
            first = used.get(column, 0)
            made[key] = columns[column][first : first + _count(shape)].reshape(shape)
            used[column] = first + _count(shape)
        weights[name] = QuantizedTensor(scheme, graph.shapes[name], made)
    for key, taken in used.items():
        if columns[key].shape != (taken,) or columns[key].dtype.name != key.rpartition(".")[2]:
            raise ModelFormatError(f"column {key}: {columns[key].shape}, the weights take {taken}")
        del columns[key]
    return weights


def _numbers(value: Any) -> list[int]:
    if not isinstance(value, list) or not all(type(n) is int and n >= 0 for n in value):
        raise ModelFormatError("metadata: expected a list of whole numbers from 0")
    return value


def _count(shape: Shape) -> int:
    count = 1
    for extent in shape:
        count *= extent
    return count


def _ranges(graph: Graph, rows: np.ndarray) -> dict[str, tuple[float, float]]:
    names = graph_text.value_names(graph)
    if rows.shape != (len(names), 2) or rows.dtype.name != "float32":
        raise ModelFormatError(f"ranges: {rows.shape}, the graph has {len(names)} values")
    known = ~np.isnan(rows).all(axis=1)
    if not (np.isfinite(rows[known]).all() and (rows[known, 0] <= rows[known, 1]).all()):
        raise ModelFormatError("ranges: expected a least and a largest number each")
    return {
        name: (float(low), float(high))
        for name, (low, high), there in zip(names, rows, known, strict=True)
        if there
    }


def _spans(
    graph: Graph, ranges: Mapping[str, tuple[float, float]], spans: np.ndarray
) -> dict[str, np.ndarray]:
    names = spanned_values(graph, ranges)
    counts = [graph.shapes[name][1] for name in names]
    if spans.shape != (sum(counts),) or spans.dtype.name != "uint8":
        raise ModelFormatError(f"spans: {spans.shape}, the graph has {sum(counts)} channels")
    if spans.max(initial=0) > MOST_SPAN:
        raise ModelFormatError(f"spans: expected at most {MOST_SPAN}")
    own = spans.copy()  # a view would keep the whole file in memory
    return dict(zip(names, np.split(own, np.cumsum(counts)[:-1]), strict=True))
