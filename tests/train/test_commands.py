"""From a model file, a recipe and photos to a trained model file, as `offcut train` does it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from offcut import container
from offcut.card import from_document
from offcut.cli import main
from offcut.container import Model
from offcut.quant import float_tensor
from tests.train import small

CARD = {
    "name": "small",
    "licence": "Apache-2.0",
    "input": {"size": [small.SIZE, small.SIZE], "range": "max"},
    "output": {"name": "alpha"},
}
PHASES = 'phases = [{ steps = 4, size = 32, batch = 2, rate = 1e-3, precision = "float32" }]\n'


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A float32 model file."""
    draft = small.draft()
    weights = {name: float_tensor(array) for name, array in draft.weights.items()}
    path = tmp_path / "small.safetensors"
    path.write_bytes(container.write(Model(draft.graph, weights, from_document(CARD, "test"))))
    return path


def train(source: Path, paths: list[Path], recipe: str) -> Model:
    """Run the command and return the model that it wrote."""
    folder = source.parent
    (folder / "recipe.toml").write_text(f"[training]\n{recipe}{PHASES}")
    call = [
        "train",
        str(source),
        str(folder / "recipe.toml"),
        "-o",
        str(folder / "out.safetensors"),
    ]
    call += ["--photos", str(paths[0].parent), "--held", str(paths[3].parent)]
    assert main([*call, "--run", str(folder / "run")]) == 0
    return container.read((folder / "out.safetensors").read_bytes(), "out")


def test_a_smaller_student_is_trained(source: Path, paths: list[Path]) -> None:
    full = small.draft().graph.multiply_accumulates()
    plan = f"student = {{ budget = {full // 2}, multiple = 4, least_split = 0, photos = 3 }}\n"
    model = train(source, paths, plan)
    assert model.graph.multiply_accumulates() <= full // 2
    assert {tensor.scheme for tensor in model.weights.values()} == {"float32"}
    folder = source.parent / "run"
    history = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    assert [row["step"] for row in history] == [0, 4]
    assert "<svg" in (folder / "curves.svg").read_text()


@pytest.mark.parametrize("scheme", ["step", "int3-group-16"])
def test_a_quantized_student_is_trained(source: Path, paths: list[Path], scheme: str) -> None:
    model = train(source, paths, f'quantization = {{ scheme = "{scheme}", width = 0.8 }}\n')
    weights = [tensor for tensor in model.weights.values() if len(tensor.shape) == 4]
    assert {tensor.scheme for tensor in weights} == {scheme}
    assert set(model.ranges) >= {"image", "low", "alpha"}
    assert all(np.isfinite(tensor.decode()).all() for tensor in model.weights.values())


def test_a_finished_run_gives_the_same_file_again(source: Path, paths: list[Path]) -> None:
    plan = 'quantization = { scheme = "step", width = 0.8, method = "nearest" }\n'
    first, second = (container.write(train(source, paths, plan)) for _ in range(2))
    assert first == second


def test_each_measurement_is_a_line_where_nobody_watches(
    source: Path, paths: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    plan = 'quantization = { scheme = "step", width = 0.8, method = "nearest" }\nevery = 3\n'
    train(source, paths, plan)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[1] for line in lines] == ["[0/4]", "[3/4]", "[4/4]"]


def test_a_file_without_a_recipe_is_refused(
    source: Path, paths: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    (source.parent / "empty.toml").write_text("")
    call = ["train", str(source), str(source.parent / "empty.toml"), "-o", "x"]
    call += ["--photos", str(paths[0].parent), "--held", str(paths[3].parent), "--run", "x"]
    assert main(call) == 1
    assert "has no table [training]" in capsys.readouterr().err
