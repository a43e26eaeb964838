"""Grids, rounding, GPTQ, bias correction, mixed precision: by hand, and on a small network."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offcut import container
from offcut.convert import report
from offcut.convert.columns import pivots, round_columns, spreads
from offcut.convert.gptq import Moments, refit
from offcut.convert.grids import Grid, choose_grid
from offcut.convert.recipes import Recipe, recipe
from offcut.convert.rounding import round_balanced
from offcut.convert.steps import finish, run_steps
from offcut.errors import ModelFormatError
from offcut.quant import SCHEMES, small_floats
from offcut.spans import spans_for
from tests.convert.drafts import CARD, calibrated, outputs, photos, small

INPUTS = photos()
ROUNDED = [name for name, scheme in SCHEMES.items() if scheme.levels]


def quantized(scheme: str, **choice: object):  # type: ignore[no-untyped-def]
    draft = calibrated(small(), INPUTS)
    return run_steps(draft, recipe(Recipe(scheme=scheme, **choice)))  # type: ignore[arg-type]


def test_small_floats_are_exact() -> None:
    codes = np.array([0, 1, 15, 16, 24, 255], np.uint8)
    assert small_floats(codes).tolist() == [1, 1.0625, 1.9375, 2, 3, 63488]


def test_int8_per_channel_by_hand() -> None:
    w = np.array([[1.27, -0.5, 0.014], [0, 0, 0]])
    grid = choose_grid(w, "int8-per-channel")
    tensor = grid.tensor(grid.nearest(w), (2, 3))
    assert tensor.parts["q"].tolist() == [[127, -50, 1], [0, 0, 0]]
    assert tensor.decode() == pytest.approx(np.array([[1.27, -0.5, 0.01], [0, 0, 0]]))


def test_a_large_input_channel_leaves_levels_to_the_others() -> None:
    w = np.array([[16.0, -7.9, 1.0, 0.4], [-4.0, 16.0, -1.0, 0.29]])  # two channels of two taps
    grid = choose_grid(w, "int8-both-channels", inputs=2)
    tensor = grid.tensor(grid.nearest(w), (2, 2, 1, 2))
    assert small_floats(tensor.parts["inputs"]).tolist() == [4, 1]  # roots of 16 / 1 and 1 / 1
    assert tensor.parts["q"].tolist() == [[127, -63, 32, 13], [-32, 127, -32, 9]]
    assert abs(tensor.decode().reshape(w.shape) - w)[:, 2:].max() <= 4 / 127 / 2
    plain = choose_grid(w, "int8-per-channel")
    assert (grid.scale[:, 2:] < plain.scale[:, 2:] / 3.9).all()


def test_an_input_channel_without_weights_is_no_obstacle() -> None:
    w = np.array([[0.0, 2.0], [0.0, -1.0]])
    grid = choose_grid(w, "int8-both-channels")
    tensor = grid.tensor(grid.nearest(w), (2, 2))
    tensor.check("w")
    assert tensor.decode().tolist() == [[0, 2], [0, -1]]


def test_int8_per_tensor_has_one_scale() -> None:
    w = np.array([[12.7, 1.0], [0.1, 0.04]])
    grid = choose_grid(w, "int8-per-tensor")
    assert grid.tensor(grid.nearest(w), (2, 2)).parts["q"].tolist() == [[127, 10], [1, 0]]


def test_groups_of_a_row_have_their_own_scales() -> None:
    w = np.concatenate([np.full(32, 7.0), np.full(4, 0.07)])[None]
    grid = choose_grid(w, "int4-group-32")
    tensor = grid.tensor(grid.nearest(w), (1, 36))
    assert tensor.parts["scale"].shape == (1, 2)
    assert np.abs(tensor.decode() / w - 1).max() < 1 / 14  # half a step of seven


def test_even_steps_are_as_wide_as_asked() -> None:
    w = np.random.default_rng(0).normal(size=(3, 400)) * np.array([[1], [10], [100]])
    grid = choose_grid(w, "step", width=0.5)
    assert grid.scale[:, 0] / np.sqrt(np.square(w).mean(axis=1)) == pytest.approx(0.5, rel=0.04)


def test_a_codebook_finds_the_values_that_there_are() -> None:
    values = np.linspace(-1, 1, 16)
    w = np.tile(values, 8)[None]
    grid = choose_grid(w, "codebook-16")
    assert np.abs(grid.tensor(grid.nearest(w), w.shape).decode() - w).max() < 0.1


def test_least_squares_reach_no_further_than_pays() -> None:
    w = np.concatenate([np.random.default_rng(0).normal(size=31), [8.0]])[None]
    errors = []
    for name in ("max", "mse"):
        grid = choose_grid(w, "int4-group-32", range=name)
        errors.append(np.square(grid.values(grid.nearest(w)) - w).sum())
    assert errors[1] < errors[0]


@settings(max_examples=40, deadline=None)
@given(
    scheme=st.sampled_from(ROUNDED),
    o=st.integers(1, 5),
    k=st.integers(1, 70),
    seed=st.integers(0, 99),
    magnitude=st.integers(-12, 12),
)
def test_every_scheme_decodes_what_its_grid_means(
    scheme: str, o: int, k: int, seed: int, magnitude: int
) -> None:
    w = np.random.default_rng(seed).normal(size=(o, k)) * 10.0**magnitude
    grid = choose_grid(w, scheme)
    numbers = grid.nearest(w)
    tensor = grid.tensor(numbers, (o, k))
    tensor.check("w")
    assert np.allclose(tensor.decode(), grid.values(numbers), rtol=1e-6, atol=0)
    assert np.array_equal(tensor.decode(slice(o - 1, o)), tensor.decode()[o - 1 :])


def test_balanced_rounding_makes_a_kernels_errors_cancel() -> None:
    w = np.full((1, 1, 9), 0.4)
    w[0, 0, 0] = 127
    grid = choose_grid(w.reshape(1, 9), "int8-per-channel")
    numbers = round_balanced(w, grid)
    assert abs(grid.levels[numbers].sum() - w.sum()) <= 0.5


def test_gptq_makes_up_for_an_error_in_a_column_that_moves_along() -> None:
    # Both inputs are nearly the same: 0.4 + 0.4 is best made of a one and a zero.
    h = np.array([[1.0, 0.99], [0.99, 1.0]])
    w = np.array([[0.45, 0.45]])
    grid = replace(choose_grid(w, "int8-per-channel"), scale=np.ones((1, 2)))
    assert grid.levels[round_columns(w, grid, h, damping=1e-6)].sum() == 1
    assert grid.levels[grid.nearest(w)].sum() == 0


def test_gptq_without_correlation_is_nearest() -> None:
    w = np.random.default_rng(0).normal(size=(4, 30))
    grid = choose_grid(w, "int4-group-32")
    h = np.diag(np.random.default_rng(1).uniform(1, 2, 30))
    assert np.array_equal(round_columns(w, grid, h, damping=0.0), grid.nearest(w))


def test_rounding_where_bits_count_takes_levels_that_are_cheaper() -> None:
    w = np.random.default_rng(0).normal(size=(16, 60))
    grid = choose_grid(w, "step", width=0.8)
    h = np.diag(np.random.default_rng(1).uniform(0.1, 2, 60))
    plain = round_columns(w, grid, h, damping=0.0)
    spread = spreads(plain, grid.levels, inputs=60)
    thrifty = round_columns(w, grid, h, damping=0.0, rate=3.0, spread=spread)
    assert np.abs(grid.levels[thrifty]).sum() < 0.9 * np.abs(grid.levels[plain]).sum()
    moved = (thrifty != plain).mean(axis=0)  # (60,): more where an error costs less
    assert moved[np.diag(h) < 1].mean() > 1.5 * moved[np.diag(h) > 1].mean()


def test_spread_of_a_kernel_is_its_rows_times_its_columns() -> None:
    levels = np.arange(-8.0, 8.0)
    numbers = 8 + np.array([[1, -1, 4, 4], [2, 2, -8, 8]])  # two channels of two taps
    made = spreads(numbers, levels, inputs=2)
    assert made == pytest.approx(np.array([[1, 1, 4, 4], [2, 2, 8, 8]]))


def test_pivots_of_inputs_that_do_not_move_along_are_their_deviations() -> None:
    h = np.diag([4.0, 1.0, 9.0])
    assert pivots(h, damping=0.0) ** -2.0 == pytest.approx([4.0, 1.0, 9.0])


def test_refit_moves_the_weights_to_where_the_input_went() -> None:
    # The rounded network's input is twice the float32 network's: half the weight does the same.
    h = np.array([[4.0]])
    moments = Moments(np.zeros(1), np.zeros(1), h, np.array([[2.0]]))
    assert refit(np.array([[3.0]]), moments, ridge=0.0).item() == pytest.approx(1.5)
    assert refit(np.array([[3.0]]), moments, ridge=1e9).item() == pytest.approx(3.0)


@pytest.mark.parametrize("scheme", [*ROUNDED, "float16"])
def test_a_network_in_every_scheme_survives_the_file(scheme: str) -> None:
    draft = quantized(scheme)
    model = finish(draft, CARD)
    data = container.write(model)
    back = container.read(data, scheme)
    assert container.write(back) == data
    for name, tensor in model.weights.items():
        assert np.array_equal(back.weights[name].decode(), tensor.decode())


def test_the_same_input_gives_the_same_bytes() -> None:
    first, second = (container.write(finish(quantized("step"), CARD)) for _ in range(2))
    assert first == second


def test_gptq_is_closer_to_float32_than_rounding_to_nearest() -> None:
    fresh = photos(8, seed=7)
    wanted = outputs(small(), fresh)
    errors = {
        method: np.abs(outputs(quantized("step", width=0.8, method=method), fresh) - wanted).mean()
        for method in ("nearest", "gptq")
    }
    assert errors["gptq"] < 0.8 * errors["nearest"]


def test_gptq_without_photos_follows_the_file_made_before() -> None:
    rows = recipe(Recipe(scheme="step", method="gptq"))
    model = finish(quantized("step", method="gptq"), CARD)
    bare = replace(calibrated(small(), INPUTS), photos=())
    again = run_steps(replace(bare, decided=model.weights), rows)
    assert container.write(finish(again, CARD)) == container.write(model)
    with pytest.raises(ModelFormatError, match="needs the calibration photos"):
        run_steps(bare, rows)
    wider = recipe(Recipe(scheme="step", method="gptq", width=0.8))
    with pytest.raises(ModelFormatError, match="another grid"):
        run_steps(replace(bare, decided=model.weights), wider)


def test_training_is_replayed_from_the_file_made_before() -> None:
    rows = recipe(Recipe(scheme="step", method="gptq"))
    model = finish(quantized("step", method="gptq"), CARD)
    moved = dict(model.weights)
    parts = moved["wb"].parts
    moved["wb"] = replace(moved["wb"], parts={**parts, "q": np.roll(parts["q"], 1, axis=1)})
    training = [*rows, {"step": "train", "recipe": "some.toml"}]
    again = run_steps(replace(calibrated(small(), INPUTS), decided=moved), training)
    assert np.array_equal(again.rounded["wb"].decode(), moved["wb"].decode())
    with pytest.raises(ModelFormatError, match="no file made before"):
        run_steps(replace(calibrated(small(), INPUTS), photos=tuple(INPUTS)), training)


def test_steps_by_sensitivity_are_finer_where_errors_do_more_harm() -> None:
    draft = calibrated(small(), INPUTS)
    rows = [{"step": "calibrate", "scheme": "step", "width": 0.2, "by": "sensitivity"}]
    ones = {name: np.ones(len(w)) for name, w in draft.weights.items()}
    uneven = {**ones, "wb": np.where(np.arange(len(ones["wb"])) == 0, 16.0, 1.0)}
    scales = []
    for known in (ones, uneven):
        grid = run_steps(replace(draft, sensitivity=known), rows).grids["wb"]
        assert isinstance(grid, Grid)
        scales.append(grid.scale[:, 0])
    assert scales[1][0] / scales[1][1] < 0.7 * scales[0][0] / scales[0][1]
    with pytest.raises(ModelFormatError, match="is not known"):
        run_steps(draft, rows)


def test_correct_bias_restores_the_mean() -> None:
    draft = calibrated(small(), INPUTS)
    rows = recipe(Recipe(scheme="int3-group-16", method="nearest"))
    fewer = [row for row in rows if row["step"] != "correct_bias"]
    wanted = outputs(draft, INPUTS).mean()
    without, with_it = (outputs(run_steps(draft, r), INPUTS).mean() for r in (fewer, rows))
    assert abs(with_it - wanted) < abs(without - wanted)


def test_spans_are_those_of_the_values_as_they_are_in_the_end() -> None:
    draft = run_steps(calibrated(small(), INPUTS), recipe(Recipe()))
    assert draft.spans
    for name, spans in draft.spans.items():
        row = draft.statistics[name]
        assert np.array_equal(spans, spans_for(row.maximum, float(np.float32(row.maximum.max()))))


def test_layers_that_are_kept_stay_in_float16() -> None:
    draft = quantized("int3-group-16", keep=("c",))
    assert draft.rounded["wc"].scheme == "float16"
    assert draft.rounded["wb"].scheme == "int3-group-16"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"step": "fry"}], "known are"),
        ([{"step": "shift", "by": 2}], "it has none"),
        ([{"step": "round"}], "no weight has a grid"),
        ([{"step": "calibrate", "scheme": "int9"}], "known are"),
        ([{"step": "calibrate", "scheme": "step", "width": -1}], "width"),
        ([{"step": "calibrate", "scheme": "step", "only": ["zz"]}], "no convolution"),
        ([{"step": "calibrate", "scheme": "step"}, {"step": "round", "method": "up"}], "method"),
    ],
)
def test_steps_that_make_no_sense_are_refused(rows: list[dict[str, object]], message: str) -> None:
    with pytest.raises(ModelFormatError, match=message):
        run_steps(calibrated(small(), INPUTS), rows)


def test_the_report_adds_up_and_ranks_layers() -> None:
    draft = quantized("int4-group-32")
    model = finish(draft, CARD)
    rows = report.with_sensitivity(report.layers(model, draft), model, draft)
    assert [row.name for row in rows] == ["a", "b", "c", "alpha"]
    noise = np.square(model.weights["wb"].decode() - draft.exact["wb"]).mean()
    signal = np.square(draft.exact["wb"]).mean()
    assert rows[1].error == pytest.approx(math.sqrt(noise), rel=1e-3)
    assert rows[1].snr == pytest.approx(10 * math.log10(signal / noise), abs=0.01)
    assert all(row.sensitivity and 2 < row.bits < 12 for row in rows)
    assert report.as_text(rows).splitlines()[-1].startswith("all")
    assert len(report.document(rows)) == 4
