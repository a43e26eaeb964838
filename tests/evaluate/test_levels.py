"""Quantization levels side by side: figures, intervals, text, pictures."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from offcut import cli, container
from offcut.errors import ImageError
from offcut.evaluate import levels, levels_text
from offcut.evaluate.levels import compare, interval
from offcut.evaluate.pictures import side_by_side
from offcut.quant import float_tensor
from tests import tiny


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two sets of photos with truth, and two levels: the tiny model, and one that sees less red."""
    for name, sizes in {"large": [(60, 80), (50, 70)], "small": [(40, 44)]}.items():
        for number, size in enumerate(sizes):
            photo = tiny.photo(*size)
            truth = (photo[..., 0] > 200).astype(np.uint8) * 255
            for kind, picture in (("im", photo), ("gt", truth)):
                place = tmp_path / "photos" / name / kind
                place.mkdir(parents=True, exist_ok=True)
                Image.fromarray(picture).save(place / f"p{number}.png")
    model = tiny.model()
    weights = dict(model.weights) | {"b1": float_tensor(np.array([-24], np.float32))}
    (tmp_path / "exact.safetensors").write_bytes(container.write(model))
    (tmp_path / "coarse.safetensors").write_bytes(container.write(replace(model, weights=weights)))
    return tmp_path


def compared(folder: Path) -> levels.Comparison:
    exact, coarse = (str(folder / f"{name}.safetensors") for name in ("exact", "coarse"))
    return compare(folder / "photos", exact, [exact, coarse])


def test_every_level_is_measured_on_every_photo_of_every_set(folder: Path) -> None:
    comparison = compared(folder)
    document = comparison.document()

    assert document["photos"] == {"large": 2, "small": 1}
    base, same, coarse = document["models"].values()
    assert base["to_float32"] == {}
    assert same["to_float32"]["mae_to_float32"]["worst"] == 0
    assert same["to_float32"]["iou_to_float32"]["mean"] == 1
    assert coarse["to_float32"]["mae_to_float32"]["mean"] > 0.01
    assert coarse["truth"]["large"]["iou"]["change"] == pytest.approx(
        coarse["truth"]["large"]["iou"]["mean"] - base["truth"]["large"]["iou"]["mean"]
    )
    assert set(base["milliseconds"]) == {"simd", "reference"}
    assert len(coarse["to_float32"]["worst_photos"]) == 3


def test_figures_over_all_photos_are_those_of_the_photos_not_of_the_sets(folder: Path) -> None:
    comparison = compared(folder)
    exact, _, coarse = comparison.levels
    every = [photo for photos in comparison.sets.values() for photo in photos]
    mean, change = levels_text.overall(comparison.document(), coarse.name)["iou"]
    assert mean == pytest.approx(coarse.column("iou", every).mean())
    assert change == pytest.approx(mean - exact.column("iou", every).mean())


def test_an_interval_holds_the_mean_and_narrows_with_photos() -> None:
    few = np.random.default_rng(1).normal(0.5, 0.1, 10)
    many = np.random.default_rng(1).normal(0.5, 0.1, 1000)
    for values in (few, many):
        low, high = interval(values)
        assert low < values.mean() < high
    assert np.diff(interval(many)) < np.diff(interval(few)) / 5
    # 1.96 standard errors of the mean, about.
    assert np.diff(interval(many))[0] == pytest.approx(2 * 1.96 * 0.1 / 1000**0.5, rel=0.15)


def test_the_page_has_each_figure_of_the_document(folder: Path) -> None:
    document = compared(folder).document()
    text = levels_text.page(document, "the command")

    for name, row in document["models"].items():
        assert f"`{name}` | {row['bytes']:,}" in text
    assert "the command" in text and "large, 2 photos" in text
    assert "exact" in levels_text.table(document)


def test_the_command_writes_json_and_the_worst_pictures(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exact, coarse = (str(folder / f"{name}.safetensors") for name in ("exact", "coarse"))
    call = ["evaluate", str(folder / "photos"), "--compare", "--against", exact]
    call += ["--models", coarse, "--json", str(folder / "q.json"), "--pictures", str(folder / "p")]

    assert cli.main(call) == 0

    assert "MAE to f32" in capsys.readouterr().out
    assert len(json.loads((folder / "q.json").read_text())["models"]) == 2
    pictures = list((folder / "p").rglob("*.png"))
    assert len(pictures) == 3


def test_pictures_show_what_is_lost_in_red_and_won_in_blue() -> None:
    image = tiny.photo(4, 4)
    first, second = np.zeros((4, 4), np.float32), np.zeros((4, 4), np.float32)
    first[0, 0], second[3, 3] = 1, 1

    difference = side_by_side(image, first, second)[:, -4:]

    assert tuple(difference[0, 0]) == (255, 0, 0)
    assert tuple(difference[3, 3]) == (0, 0, 255)
    assert tuple(difference[1, 1]) == (255, 255, 255)


def test_a_folder_without_pairs_is_an_error_with_a_remedy(folder: Path) -> None:
    exact = str(folder / "exact.safetensors")
    with pytest.raises(ImageError, match="neither im/ and gt/") as caught:
        compare(folder, exact, [exact])
    assert caught.value.remedy
