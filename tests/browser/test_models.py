"""A model file dropped on the page is used for the photos after it; a bad one is refused."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import numpy as np
import onnx
import pytest
from onnx import helper
from playwright.sync_api import Browser

import offcut
from offcut import container
from offcut.convert.importer import import_file
from tests import tiny
from tests.browser.app import BOOT_SECONDS, App, png
from tests.convert import networks
from tests.convert.builder import Builder

DROP = """(files) => {
  const transfer = new DataTransfer();
  for (const [name, encoded] of files) {
    const bytes = Uint8Array.from(atob(encoded), c => c.charCodeAt(0));
    transfer.items.add(new File([bytes], name));
  }
  const options = { bubbles: true, cancelable: true, dataTransfer: transfer };
  document.querySelector('h1').dispatchEvent(new DragEvent('drop', options));
}"""
# The kernels sum in another order than numpy, and alpha is rounded to 8 bits.
ROUNDING = 1
PHOTO = ("box.png", png(tiny.photo()[..., :3].copy()))


@pytest.fixture(scope="module")
def page_of_its_own(chromium: Browser, site: str) -> Iterator[App]:
    """A page whose model may be another one in the end."""
    context = chromium.new_context()
    made = App(context.new_page())
    made.page.goto(site)
    assert made.wait("ready", "error", seconds=BOOT_SECONDS) == "ready", made.describe()
    yield made
    context.close()


@pytest.fixture
def app(page_of_its_own: App) -> App:
    page_of_its_own.page.evaluate("document.querySelector('.clear').click()")
    return page_of_its_own


def drop(app: App, *files: tuple[str, bytes]) -> None:
    listed = [[name, base64.b64encode(data).decode()] for name, data in files]
    app.page.evaluate(DROP, listed)


def unsupported() -> bytes:
    model = networks.u2net(Builder(13, (64, 64)), small=True)
    for at in (5, 9):
        node = model.graph.node[at]
        odd = helper.make_node("Einsum", node.input[:1], node.output, f"/odd{at}", equation="i->i")
        node.CopyFrom(odd)
    return model.SerializeToString()


BAD = {
    "odd.onnx": (unsupported(), "Einsum, opset 13, at nodes"),
    "letter.onnx": (b"\x00\x01 not protobuf at all", "letter.onnx"),
    "cut.onnx": (networks.isnet(Builder(13, (64, 64))).SerializeToString()[:9000], "cut"),
    "cut.safetensors": (container.write(tiny.model())[:-5], "cut.safetensors"),
    "words.safetensors": (b"only words, and quite a few of them", "words.safetensors"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_model_is_refused_in_words_and_the_former_one_stays(app: App, name: str) -> None:
    data, says = BAD[name]
    before = app.attribute("model")

    drop(app, (name, data))

    app.wait_until(lambda: says in app.error, f"the error says {says!r}", 60)
    assert "UnexpectedError" not in app.error and "reload" not in app.error
    assert app.attribute("model") == before
    assert app.cut_out(PHOTO).name == "box-offcut.png"
    assert app.error == ""


def test_model_file_is_used_for_the_next_photos(app: App) -> None:
    drop(app, ("red.safetensors", container.write(tiny.model())))
    app.wait_until(lambda: app.attribute("model") == "red", "the model is in use", 60)
    assert "red.safetensors of this device" in app.text(".notes")

    alpha = app.cut_out(PHOTO).pixels[..., 3]

    assert alpha[30, 40] == 255 and alpha[0, 0] == 0


@pytest.mark.parametrize("name", ["u2net", "modnet"])
def test_onnx_file_is_converted_in_the_page_and_equals_the_terminals(
    app: App, name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    model = getattr(networks, name)(Builder(13, (64, 64)))
    path = tmp_path_factory.mktemp("onnx") / f"{name}.onnx"
    onnx.save(model, path)
    converted = path.with_suffix(".safetensors")
    converted.write_bytes(container.write(import_file(path)[0]))
    session = offcut.new_session(str(converted), backend="reference")
    want = offcut.remove(tiny.photo()[..., :3].copy(), session=session)[..., 3]

    drop(app, (f"{name}.onnx", path.read_bytes()), PHOTO)  # the photo must wait for the model
    app.wait_until(lambda: app.attribute("model") == name, "the model is in use", 120)
    assert app.wait("done", "error") == "done", app.describe()

    got = app.download().pixels[..., 3]
    assert abs(got.astype(int) - want).max() <= ROUNDING
    assert np.ptp(want) > 0


def test_two_models_at_once_are_refused(app: App) -> None:
    data = container.write(tiny.model())
    drop(app, ("a.safetensors", data), ("b.safetensors", data))
    app.wait_until(lambda: "one model at a time" in app.error, "the error is told", 20)


def test_new_worker_gets_the_model_again(app: App) -> None:
    drop(app, ("mine.safetensors", container.write(tiny.model())))
    app.wait_until(lambda: app.attribute("model") == "mine", "the model is in use", 60)

    throw = "() => void setTimeout(() => { throw new Error('out of luck') })"
    app.page.workers[0].evaluate(throw)
    app.wait("booting", seconds=20)
    app.wait("ready", "error", seconds=BOOT_SECONDS)

    assert app.attribute("model") == "mine"


def test_model_is_converted_with_the_network_unplugged(chromium: Browser, site: str) -> None:
    context = chromium.new_context()
    app = App(context.new_page())
    app.page.goto(site)
    assert app.wait("ready", "error", seconds=BOOT_SECONDS) == "ready", app.describe()
    app.wait_until(lambda: app.attribute("offline") == "saved", "all files are kept", 60)
    context.set_offline(True)

    drop(app, ("net.onnx", networks.isnet(Builder(11, (64, 64))).SerializeToString()))

    app.wait_until(lambda: app.attribute("model") == "net", "the model is in use", 120)
    assert app.cut_out(PHOTO).pixels.shape == (60, 80, 4)
    context.close()
