"""The model file: what is written is read back, and whatever is not exactly right is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offcut import container
from offcut.card import from_document
from offcut.container import Model
from offcut.errors import ModelFormatError
from offcut.graph import Graph, Node
from offcut.quant import QuantizedTensor, float_tensor

CARD = from_document(
    {"name": "tiny", "input": {"size": [4, 4]}, "output": {"name": "y"}}, "the test's card"
)


def tiny() -> Model:
    """Return a model of one 1x1 convolution with int8 weights."""
    q = QuantizedTensor(
        "int8-per-channel",
        (2, 3, 1, 1),
        {
            "q": np.array([[1, -2, 3], [127, 0, -127]], np.int8),
            "scale": np.array([0.5, 0.25], np.float32),
        },
    )
    shapes = {"x": (1, 3, 4, 4), "w": (2, 3, 1, 1), "b/0": (2,), "y": (1, 2, 4, 4)}
    node = Node("Conv", ("x", "w", "b/0"), ("y",), {"pads": (0, 0, 0, 0), "activation": "Relu"})
    return Model(
        Graph((node,), ("x",), ("y",), shapes),
        {"w": q, "b/0": float_tensor(np.array([1, 2]))},
        CARD,
        {"y": (0.0, 2.5)},
        {"y": np.array([0, 33], np.uint8)},
    )


def header_of(data: bytes) -> dict[str, Any]:
    size = int.from_bytes(data[:8], "little")
    header: dict[str, Any] = json.loads(data[8 : 8 + size])
    return header


def with_header(data: bytes, header: Any) -> bytes:
    size = int.from_bytes(data[:8], "little")
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data[8 + size :]


def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    data = container.write(tiny())
    header = header_of(data)
    change(header)
    return with_header(data, header)


def codes(**changes: list[int]) -> str:
    """Return the document about tables of the tiny model, with changes."""
    header = header_of(container.write(tiny()))
    document: dict[str, Any] = json.loads(header["__metadata__"]["codes"])
    return json.dumps(document | changes)


def changed_graph(change: Callable[[dict[str, Any]], object]) -> bytes:
    def apply(header: dict[str, Any]) -> None:
        graph = json.loads(header["__metadata__"]["graph"])
        change(graph)
        header["__metadata__"]["graph"] = json.dumps(graph)

    return changed(apply)


def test_what_is_written_is_read_back() -> None:
    model, data = tiny(), container.write(tiny())
    back = container.read(data, "tiny")
    assert back.graph == model.graph
    assert back.ranges == model.ranges
    assert back.spans["y"].tolist() == [0, 33]
    assert back.card.input == model.card.input
    assert back.weights["w"].decode().ravel().tolist() == [0.5, -1, 1.5, 31.75, 0, -31.75]
    assert container.write(back) == data


def test_a_span_that_no_channel_can_have_is_refused() -> None:
    model = replace(tiny(), spans={"y": np.array([0, 97], np.uint8)})
    with pytest.raises(ModelFormatError, match="at most 96"):
        container.read(container.write(model), "wide")


def test_a_model_without_spans_is_read_back_without() -> None:
    assert not container.read(container.write(replace(tiny(), spans={})), "plain").spans


def test_decoding_some_rows_equals_those_rows_of_all() -> None:
    w = tiny().weights["w"]
    assert np.array_equal(w.decode(slice(1, 2)), w.decode()[1:2])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: d[:4], "not a model file, or cut"),
        (lambda d: b"", "not a model file, or cut"),
        (lambda d: (1 << 40).to_bytes(8, "little") + d[8:], "not a model file, or cut"),
        (lambda d: d[:-1], "leaves a gap or overlaps"),
        (lambda d: d + b"\0", "after the last column"),
        (lambda d: with_header(d, b"{]"), "malformed"),
        (lambda d: with_header(d, b'{"a": 1, "a": 2}'), "twice"),
        (lambda d: with_header(d, b"[]"), "malformed"),
        (lambda d: with_header(d, b"[" * 100_000), "malformed"),
    ],
)
def test_damaged_bytes_are_refused(damage: Callable[[bytes], bytes], message: str) -> None:
    with pytest.raises(ModelFormatError, match=message):
        container.read(damage(container.write(tiny())), "damaged")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h: h["__metadata__"].update(format="offcut-99"), "format is"),
        (lambda h: h["__metadata__"].pop("card"), "malformed"),
        (lambda h: h["scale.float32"].update(shape=[2, 1]), "the weights take 2"),
        (lambda h: h["scale.float32"].update(shape=[3]), "gap or overlaps"),
        (lambda h: h["scale.float32"].update(shape=[-2]), "whole numbers"),
        (lambda h: h["scale.float32"].update(dtype="U32"), "the weights take 2"),
        (lambda h: h["scale.float32"].update(dtype="X9"), "malformed"),
        (lambda h: h["values.float32"].update(data_offsets=[12, 20]), "gap or overlaps"),
        (lambda h: h.update(other=h.pop("scale.float32")), "malformed"),
        (lambda h: h["codes.states"].update(dtype="F32"), "columns are"),
        (lambda h: h["ranges"].update(shape=[4]), "the graph has 2 values"),
        (lambda h: h["spans"].update(shape=[1, 2]), "the graph has 2 channels"),
        (lambda h: h.pop("spans"), "gap or overlaps"),
    ],
)
def test_a_header_that_lies_is_refused(
    change: Callable[[dict[str, Any]], object], message: str
) -> None:
    with pytest.raises(ModelFormatError, match=message):
        container.read(changed(change), "lying")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda g: g["nodes"][0].__setitem__(1, 9), "number 9"),
        (lambda g: g["nodes"][0].__setitem__(1, -2), "number -2"),
        (lambda g: g["nodes"][0].__setitem__(0, 1), "number 1"),
        (lambda g: g["nodes"][0].__setitem__(1, 1), "reads y before it is made"),
        (lambda g: g["nodes"][0].__setitem__(2, 3), "order of first use"),
        (lambda g: g["nodes"].append(g["nodes"][0]), "before it is made"),
        (lambda g: g.update(outputs=[7]), "number 7"),
        (lambda g: g["sizes"].pop(), "number 3"),
        (lambda g: g["shapes"].__setitem__(1, [2, 0, 1, 1]), "positive static sizes"),
        (lambda g: g["names"].update({"1": "x"}), "sizes for"),
        (lambda g: g["kinds"][0].__setitem__(1, {"a": {"b": 1}}), "expected a number"),
        (lambda g: g.update(inputs="xy"), "before it is made"),
    ],
)
def test_a_graph_that_does_not_fit_is_refused(
    change: Callable[[dict[str, Any]], object], message: str
) -> None:
    with pytest.raises(ModelFormatError, match=message):
        container.read(changed_graph(change), "misfit")


def test_values_that_are_not_finite_are_refused() -> None:
    model = tiny()
    model.weights["b/0"].parts["values"][0] = np.nan
    with pytest.raises(ModelFormatError, match="not finite"):
        container.write(model)


@settings(max_examples=300, deadline=None)
@given(at=st.integers(0, 2000), flip=st.integers(1, 255))
def test_any_flipped_byte_ends_in_a_model_or_a_named_error(at: int, flip: int) -> None:
    data = bytearray(container.write(tiny()))
    data[at % len(data)] ^= flip
    try:
        container.read(bytes(data), "flipped")
    except ModelFormatError:
        pass


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(codes=codes(kernels=[9] * 99)), "pieces name others"),
        (lambda m: m.update(codes=codes(kernels=[])), "malformed"),
        (lambda m: m.update(codes=codes(kernels=[-1])), "whole numbers"),
        (lambda m: m.update(codes=codes(parts=[0])), "tables of 1 parts"),
        (lambda m: m.update(codes=codes(spreads=[0])), "pieces name others"),
        (lambda m: m.update(codes='{"kernels":[0]}'), "malformed"),
        (lambda m: m.update(weights='{"schemes":["int2"],"used":[0,0]}'), "known are"),
        (lambda m: m.update(weights='{"schemes":["float32"],"used":[0]}'), "malformed"),
        (lambda m: m.update(weights='{"schemes":["float32"],"used":[0,1]}'), "malformed"),
    ],
)
def test_metadata_that_does_not_fit_is_refused(
    change: Callable[[dict[str, str]], object], message: str
) -> None:
    with pytest.raises(ModelFormatError, match=message):
        container.read(changed(lambda header: change(header["__metadata__"])), "misfit")


def test_a_weight_beyond_its_schemes_levels_is_refused() -> None:
    shape = (1, 2, 1, 1)
    parts = {
        "q": np.array([[0, 8]], np.int8),
        "scale": np.zeros((1, 1), np.uint8),
        "unit": np.ones(1, np.float32),
    }
    with pytest.raises(ModelFormatError, match="does not have"):
        QuantizedTensor("int4-group-32", shape, parts).check("w")
