"""What an ONNX file does not say comes from its family or the user, or is asked for."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from offcut import container
from offcut.convert.families import recognised
from offcut.convert.identify import Wishes, identify
from offcut.convert.importer import import_file, import_onnx
from offcut.convert.onnx_reader import OnnxModel, read_onnx
from offcut.errors import Cancelled, ModelFormatError, UnsupportedOperatorError
from offcut.session import open_session
from tests.convert import networks
from tests.convert.builder import Builder
from tests.convert.test_networks import NETWORKS, image, in_onnxruntime

FAMILY = {"u2net": "u2net", "u2netp": "u2net", "isnet": "isnet", "modnet": "modnet"}


def red(*, outputs: int = 1, activation: bool = True, size: int = 32) -> onnx.ModelProto:
    """Return a network of one convolution, of no known family."""
    weights = np.ones((outputs, 3, 1, 1), np.float32)
    nodes = [helper.make_node("Conv", ["image", "w"], ["score"], name="/only")]
    if activation:
        nodes.append(helper.make_node("Sigmoid", ["score"], ["alpha"]))
    shape = (1, outputs, size, size)
    graph = helper.make_graph(
        nodes,
        "red",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 3, size, size))],
        [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(weights, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def read(model: onnx.ModelProto) -> OnnxModel:
    return read_onnx(model.SerializeToString(), "net.onnx")


def imported(model: onnx.ModelProto, **wishes: object) -> container.Model:
    wanted = Wishes(**wishes)  # type: ignore[arg-type]
    return asyncio.run(import_onnx(model.SerializeToString(), "net.onnx", wishes=wanted))[0]


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_families_are_recognised_by_their_graphs(name: str, half: bool) -> None:
    found = recognised(read(NETWORKS[name](Builder(13, (64, 64), half=half))))
    assert found is not None and found.name == FAMILY[name]


def test_an_unknown_graph_is_asked_about() -> None:
    with pytest.raises(ModelFormatError, match="how photos are scaled") as caught:
        imported(red())
    assert "--mean" in caught.value.remedy


def test_the_user_overrules_the_family() -> None:
    model = read(networks.isnet(Builder(13, (64, 64))))
    plain = identify("net", model, Wishes(like="ormbg"))
    assert plain.input.mean == (0, 0, 0) and plain.input.range == "255"
    own = identify("net", model, Wishes(mean=(0.1, 0.2, 0.3), output=model.outputs[2].name))
    assert own.input.mean == (0.1, 0.2, 0.3) and own.input.std == (1, 1, 1)
    assert own.output.name == model.outputs[2].name


def test_size_is_the_files_or_the_familys() -> None:
    fixed = identify("net", read(networks.modnet(Builder(13, (64, 96)))), Wishes())
    assert fixed.input.size == (64, 96)
    free = identify("net", read(networks.modnet(Builder(13, (64, 96), dynamic=True))), Wishes())
    assert free.input.size == (512, 512)


def test_a_size_that_the_file_does_not_have_is_refused() -> None:
    with pytest.raises(ModelFormatError, match="fixes its size"):
        imported(red(), like="u2net", size=(64, 64))


def test_an_output_without_a_final_sigmoid_gets_one() -> None:
    assert imported(red(), like="u2net").card.output.activation == "none"
    assert imported(red(activation=False), like="u2net").card.output.activation == "sigmoid"
    asked = imported(red(activation=False), like="u2net", activation="none")
    assert asked.card.output.activation == "none"


def test_an_output_of_two_maps_is_refused() -> None:
    with pytest.raises(ModelFormatError, match="expected one map"):
        imported(red(outputs=2), like="u2net")


@pytest.mark.parametrize(
    ("wishes", "says"),
    [
        ({"like": "yolo"}, "no family"),
        ({"output": "beta"}, "beta"),
        ({"mean": (1.0,)}, "three values"),
        ({"std": (0.0, 1.0, 1.0)}, "zeros"),
        ({"mean": (float("nan"),) * 3}, "mean"),
        ({"range": "1"}, "range"),
        ({"activation": "relu"}, "activation"),
    ],
)
def test_wishes_that_make_no_sense_are_named(wishes: dict[str, object], says: str) -> None:
    with pytest.raises(ModelFormatError, match=says):
        imported(red(), **({"like": "u2net"} | wishes))


def test_an_imported_file_survives_writing_and_runs_on_every_backend() -> None:
    size = (64, 64)
    model = networks.modnet(Builder(17, size))
    back = container.read(container.write(imported(model)), "net.safetensors")
    x = image(size)
    want = in_onnxruntime(model, x)
    for backend in ("reference", "simd"):
        session = asyncio.run(open_session(back, backend=backend, threads=1))
        got = asyncio.run(session.run(x))
        session.close()
        assert abs(got - want).max() < 1e-4, backend


def test_an_import_can_be_stopped() -> None:
    async def stop(done: int, total: int) -> None:
        if done == 2:
            raise Cancelled("stopped")

    data = red().SerializeToString()
    with pytest.raises(Cancelled):
        asyncio.run(import_onnx(data, "n.onnx", wishes=Wishes(like="u2net"), checkpoint=stop))


@pytest.fixture
def apart(tmp_path: Path) -> Path:
    """A model that keeps its weights in a file beside it."""
    path = tmp_path / "net.onnx"
    onnx.save(red(), path, save_as_external_data=True, location="net.data", size_threshold=0)
    return path


def test_weights_beside_the_model_are_read(apart: Path) -> None:
    model, _ = import_file(apart, wishes=Wishes(like="u2net"))
    assert all(
        (tensor.decode() == 1).all()
        for name, tensor in model.weights.items()
        if tensor.shape == (1, 3, 1, 1)
    )


def test_weights_elsewhere_are_not_read_from_bytes_alone(apart: Path) -> None:
    with pytest.raises(ModelFormatError, match=r"another file, 'net\.data'"):
        read_onnx(apart.read_bytes(), "net.onnx")


@pytest.mark.parametrize(
    "location", ["../net.data", "/etc/passwd", "sub\\net.data", "", "gone", "link"]
)
def test_weights_outside_the_models_folder_are_refused(apart: Path, location: str) -> None:
    (apart.parent / "link").symlink_to("/etc/passwd")
    model = onnx.load(apart, load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        if entry.key == "location":
            entry.value = location
    apart.write_bytes(model.SerializeToString())
    with pytest.raises(ModelFormatError, match="no file in the model's folder"):
        import_file(apart, wishes=Wishes(like="u2net"))


@pytest.mark.parametrize(("key", "value"), [("offset", "8"), ("length", "11"), ("offset", "-1")])
def test_weights_beyond_their_file_are_refused(apart: Path, key: str, value: str) -> None:
    model = onnx.load(apart, load_external_data=False)
    entries = {entry.key: entry for entry in model.graph.initializer[0].external_data}
    entries[key].value = value
    apart.write_bytes(model.SerializeToString())
    with pytest.raises(ModelFormatError, match="tensor w: "):
        import_file(apart, wishes=Wishes(like="u2net"))


def test_everything_unsupported_is_named_at_once() -> None:
    model = red()
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(
        [
            helper.make_node("Einsum", ["image"], ["e"], name="/first", equation="nchw->nchw"),
            helper.make_node("Resize", ["e", "", "two"], ["r"], name="/after"),
            helper.make_node("Pad", ["image", "wide"], ["p"], name="/pad", mode="wrap"),
            helper.make_node("Gelu", ["r"], ["g"], name="/second", domain="com.microsoft"),
            helper.make_node("Sum", ["g", "p"], ["s"], name="/sum"),
            helper.make_node("Conv", ["s", "w"], ["score"], name="/only"),
            nodes[1],
        ]
    )
    for name, values in (("two", [1.0, 1, 1, 1]), ("wide", [0] * 8)):
        model.graph.initializer.append(numpy_helper.from_array(np.array(values), name))

    with pytest.raises(UnsupportedOperatorError) as caught:
        imported(model, like="u2net")

    text = str(caught.value)
    assert "Einsum, opset 13, at node /first" in text
    assert "com.microsoft:Gelu, opset 13, at node /second" in text
    assert "/pad (Pad), opset 13: mode is 'wrap'" in text
    assert "/after" not in text and caught.value.remedy


def test_what_the_output_does_not_need_is_not_looked_at() -> None:
    model = red()
    model.graph.node.insert(0, helper.make_node("NonZero", ["image"], ["where"]))
    model.graph.output.append(helper.make_tensor_value_info("where", TensorProto.INT64, None))
    assert imported(model, like="u2net").graph.outputs == ("alpha",)
