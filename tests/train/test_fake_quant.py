"""Fake quantization: values and derivatives that were worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from offcut.convert.grids import choose_grid
from offcut.errors import ModelFormatError
from offcut.quant import QuantizedTensor
from offcut.train.fake_quant import WeightQuantizer, fake_quantize


def stored(scheme: str, w: np.ndarray, **choice: object) -> QuantizedTensor:
    """Return w (o, k) rounded to the nearest levels of a scheme."""
    grid = choose_grid(w, scheme, **choice)  # type: ignore[arg-type]
    return grid.tensor(grid.nearest(w), w.shape)


def test_a_weight_becomes_the_nearest_step_within_the_levels() -> None:
    w = torch.tensor([0.6, -0.2, 1.4, 9.0, -9.0])
    made = fake_quantize(w, torch.tensor(0.5), -4, 3)
    assert made.tolist() == [0.5, 0.0, 1.5, 1.5, -2.0]


def test_the_weights_derivative_passes_straight_through_within_the_levels_only() -> None:
    w = torch.tensor([0.6, -0.2, 9.0], requires_grad=True)
    fake_quantize(w, torch.tensor(0.5), -4, 3).sum().backward()
    assert w.grad is not None and w.grad.tolist() == [1.0, 1.0, 0.0]


def test_the_scales_derivative_is_that_of_learned_step_sizes() -> None:
    scale = torch.tensor(0.5, requires_grad=True)
    made = fake_quantize(torch.tensor([0.6, -0.2, 9.0, -9.0]), scale, -4, 3)
    (made * torch.tensor([1.0, 10.0, 100.0, 1000.0])).sum().backward()
    # round(1.2) - 1.2 = -0.2; round(-0.4) + 0.4 = 0.4; clamped: the levels 3 and -4
    assert scale.grad is not None
    assert scale.grad.item() == pytest.approx(-0.2 + 10 * 0.4 + 100 * 3 - 1000 * 4, rel=1e-5)


SCHEMES = ["step", "int3-group-16", "int4-group-32", "int8-per-tensor", "int8-per-channel"]
SCHEMES += ["int8-both-channels"]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_an_untrained_weight_decodes_to_what_was_stored(scheme: str) -> None:
    w = np.random.default_rng(0).normal(0, 0.1, (6, 45))
    tensor = stored(scheme, w, width=0.8)
    quantizer = WeightQuantizer(tensor, "w")
    latent = torch.tensor(tensor.decode())
    assert np.allclose(quantizer(latent).detach(), tensor.decode(), atol=1e-6)
    again = quantizer.tensor(latent)
    again.check("w")
    assert {k: v.tolist() for k, v in again.parts.items()} == {
        k: v.tolist() for k, v in tensor.parts.items()
    }


@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_is_stored_after_training_is_what_was_trained(scheme: str) -> None:
    w = np.random.default_rng(0).normal(0, 0.1, (6, 45))
    quantizer = WeightQuantizer(stored(scheme, w, width=0.8), "w")
    latent = torch.tensor(w, dtype=torch.float32)
    with torch.no_grad():
        quantizer.scale *= 1.234
    assert np.allclose(quantizer.tensor(latent).decode(), quantizer(latent).detach(), atol=1e-6)


def test_a_scheme_without_even_steps_is_refused() -> None:
    w = np.random.default_rng(0).normal(0, 0.1, (4, 32))
    with pytest.raises(ModelFormatError, match="even steps"):
        WeightQuantizer(stored("nf4-group-32", w), "w")


def test_the_bits_of_a_weight_are_the_entropy_of_its_levels() -> None:
    q = np.tile([[0, 0, 0, 0, 1, 1, -1, 2]], 1000)
    parts = {"q": q.astype(np.int8), "scale": np.ones(1, np.float32)}
    quantizer = WeightQuantizer(QuantizedTensor("int8-per-channel", q.shape, parts), "w")
    w = torch.tensor(q, dtype=torch.float32, requires_grad=True)
    bits = quantizer.bits(w)
    assert bits.item() == pytest.approx(1000 * (4 * 1 + 2 * 2 + 3 + 3), rel=0.02)
    bits.backward()
    assert w.grad is not None and float(w.grad[0, 7]) > 0 > float(w.grad[0, 6])
