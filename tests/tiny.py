"""A model made on the spot that finds red things, for tests that need a pipeline but no weights."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from offcut import container
from offcut.card import from_document
from offcut.container import Model
from offcut.graph import Graph, Node
from offcut.quant import float_tensor

SIZE = 32  # of the network's input, squared
NAME = "red-float32"

CARD = {
    "name": "red",
    "title": "Finds red things",
    "licence": "Apache-2.0",
    "default": "float32",
    "input": {"size": [SIZE, SIZE], "range": "255"},
    "output": {"name": "alpha"},
}


def model() -> Model:
    """Return a network of two convolutions: alpha is near 1 where red outweighs green and blue."""
    contrast = np.zeros((4, 3, 3, 3), np.float32)
    contrast[0, :, 1, 1] = [1, -0.5, -0.5]
    mix = np.zeros((1, 4, 1, 1), np.float32)
    mix[0, 0] = 30
    shapes = {
        "image": (1, 3, SIZE, SIZE),
        "w0": contrast.shape,
        "red": (1, 4, SIZE, SIZE),
        "w1": mix.shape,
        "b1": (1,),
        "score": (1, 1, SIZE, SIZE),
        "alpha": (1, 1, SIZE, SIZE),
    }
    nodes = (
        Node("Conv", ("image", "w0"), ("red",), {"pads": (1, 1, 1, 1), "activation": "Relu"}),
        Node("Conv", ("red", "w1", "b1"), ("score",)),
        Node("Sigmoid", ("score",), ("alpha",)),
    )
    weights = {"w0": contrast, "w1": mix, "b1": np.array([-9], np.float32)}
    return Model(
        Graph(nodes, ("image",), ("alpha",), shapes),
        {name: float_tensor(values) for name, values in weights.items()},
        from_document(CARD, "the tiny card"),
        {"image": (0, 1), "red": (0, 1), "score": (-9, 21), "alpha": (0, 1)},
        {"red": np.array([0, 96, 96, 96], np.uint8)},
    )


def write(folder: Path) -> Path:
    """Write card and weights into `folder`, as a models/ folder has them; return the file."""
    data = container.write(model())
    path = folder / "red-float32.safetensors"
    path.write_bytes(data)
    (folder / "red.toml").write_text(
        'name = "red"\ntitle = "Finds red things"\nlicence = "Apache-2.0"\ndefault = "float32"\n'
        f'[input]\nsize = [{SIZE}, {SIZE}]\nrange = "255"\n[output]\nname = "alpha"\n'
        f'[variants.float32]\nfile = "{path.name}"\nbytes = {len(data)}\n'
        f'sha256 = "{hashlib.sha256(data).hexdigest()}"\nscheme = "float32"\n'
    )
    return path


def photo(height: int = 60, width: int = 80) -> np.ndarray:
    """Return u8 RGBA (height, width, 4): a red box on grey, its sides a quarter from the border."""
    image = np.full((height, width, 4), 128, np.uint8)
    image[..., 3] = 255
    image[height // 4 : -(height // 4), width // 4 : -(width // 4), :3] = (250, 20, 20)
    return image
