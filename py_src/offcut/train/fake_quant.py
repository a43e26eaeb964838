"""Fake quantization: what a stored weight will be, differentiable, while it is still being trained.

A weight w (o, k) becomes s * clamp(round(w / s)), with its scales s learned, too. Rounding has no
useful derivative, so the straight-through estimator takes that of the identity (Bengio et al. 2013,
arXiv 1308.3432); what follows for s, inside the clamp and beyond it,

    d/ds = round(w / s) - w / s,  or the level that w is clamped to,

is that of learned step sizes (Esser et al. 2020, arXiv 1902.08153). Scales that the scheme stores
as small floats are rounded to them on the way, straight through.

A file codes each weight with as many bits as its level is rare. Between two levels that price is
taken to rise evenly, so that there is a slope towards the levels that are used more often.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from offcut.errors import ModelFormatError
from offcut.quant import SCHEMES, QuantizedTensor, small_floats

__all__ = ["WeightQuantizer", "fake_quantize"]

UNSEEN = 0.5  # times that a level is taken to occur besides those that were counted


def straight_through(x: Tensor, y: Tensor) -> Tensor:
    """Return y with the derivative of x."""
    return x + (y - x).detach()


def fake_quantize(w: Tensor, scale: Tensor, lowest: int, highest: int) -> Tensor:
    """Return w as whole multiples, from lowest to highest, of scale, which broadcasts over w."""
    x = (w / scale).clamp(lowest, highest)
    return straight_through(x, x.round()) * scale


class WeightQuantizer(nn.Module):
    """The grid of one stored weight, with scales to learn. Raises ModelFormatError for other grids.

    Network.quantize takes it.
    """

    codes: Tensor

    def __init__(self, tensor: QuantizedTensor, name: str) -> None:
        super().__init__()
        scheme = SCHEMES[tensor.scheme]
        if "levels" in tensor.parts or "scale" not in tensor.parts or "nf4" in scheme.name:
            raise ModelFormatError(
                f"{name}: scheme {scheme.name} has no even steps to learn",
                remedy="train with step, int3-group-16, int4-group-32 or an int8 scheme",
            )
        self.scheme, self.shape, self.group = scheme.name, tensor.shape, scheme.group
        self.lowest = scheme.lowest + (scheme.levels == 256)  # of 8 bits -127, so as to be even
        self.highest = scheme.lowest + scheme.levels - 1
        scale, self.unit = tensor.parts["scale"], None
        if "unit" in tensor.parts:
            self.unit = tensor.parts["unit"]
            values = small_floats(np.arange(256, dtype=np.uint8)) * self.unit[0]
            self.register_buffer("codes", torch.from_numpy(values), persistent=False)
            scale = values[scale]
        self.scale = nn.Parameter(torch.tensor(scale.reshape(len(scale), -1)))
        self.inputs = tensor.parts.get("inputs")  # input channels' scales, which stay as they are

    def forward(self, w: Tensor) -> Tensor:
        """Return the weight w (o, ...) as it will be decoded."""
        flat = w.reshape(len(w), -1)
        made = fake_quantize(flat, self.wide(flat.shape[1]), self.lowest, self.highest)
        return made.reshape(w.shape)

    def bits(self, w: Tensor) -> Tensor:
        """Return what the levels of the weight w take with an ideal code of their own, a scalar."""
        flat = w.reshape(len(w), -1)
        wide = self.wide(flat.shape[1]).detach()
        x = (flat / wide).clamp(self.lowest, self.highest) - self.lowest
        q = x.detach().round().long()
        counts = torch.bincount(q.reshape(-1), minlength=self.highest - self.lowest + 1) + UNSEEN
        price = counts.sum().log2() - counts.log2()  # bits, by level
        low = x.detach().floor().long().clamp(max=len(price) - 2)
        slope = price[low + 1] - price[low]
        return straight_through((x * slope).sum(), price[q].sum())

    def wide(self, k: int) -> Tensor:
        """Return the scale of each weight, as stored, broadcasting over (o, k)."""
        scale = self.scale
        if self.unit is not None:
            scale = straight_through(scale, self.codes[self._codes()])
        if self.inputs is not None:
            factors = torch.from_numpy(small_floats(self.inputs))  # (c,)
            scale = scale * factors.repeat_interleave(k // len(factors))
        return scale.repeat_interleave(self.group, dim=1)[:, :k] if self.group else scale

    def _codes(self) -> Tensor:
        """Return the small floats nearest to the scales, as indices."""
        middles = (self.codes[1:] + self.codes[:-1]) / 2
        return torch.bucketize(self.scale.detach(), middles)

    @torch.no_grad()
    def tensor(self, w: Tensor) -> QuantizedTensor:
        """Return the weight w (o, ...) as it is stored."""
        flat = w.reshape(len(w), -1)
        q = (flat / self.wide(flat.shape[1])).clamp(self.lowest, self.highest).round()
        parts: dict[str, np.ndarray] = {"q": q.numpy().astype(np.int8)}
        if self.unit is None:
            parts["scale"] = self.scale.numpy().astype(np.float32).reshape(-1)
            parts |= {} if self.inputs is None else {"inputs": self.inputs}
        else:
            codes = self._codes().numpy().astype(np.uint8)
            parts["scale"] = codes if self.group else codes.reshape(-1)
            parts["unit"] = self.unit
        return QuantizedTensor(self.scheme, self.shape, parts)
