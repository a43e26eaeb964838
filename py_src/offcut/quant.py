"""Quantized tensors: arrays named parts, and the table of schemes that says how to decode them.

A new scheme is one row of SCHEMES. Notation: a weight of shape (o, ...) is seen as a matrix (o, k).
Every scheme but the floats stores `q`, 8 bits a weight in memory; the file codes it by its entropy
(see container.py), so that few levels mean few bytes without packing bits.

Parts of the schemes besides q (o, k):

    scale   float32 (1,) or (o,), or uint8 codes (o,) or (o, groups) of small floats: times `unit`
    inputs  uint8 codes (c,) of small floats: the scales of the input channels, times `scale`
    unit    float32 (1,): what a small float's code 0 stands for
    levels  float32 (16,): the values that q counts through, rising

A small float has four bits each of exponent and mantissa; code u is
(1 + (u mod 16) / 16) * 2^(u div 16).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from offcut.errors import ModelFormatError
from offcut.graph import Shape

__all__ = [
    "ALL",
    "NF4",
    "SCHEMES",
    "PartShapes",
    "Parts",
    "QuantizedTensor",
    "Scheme",
    "float_tensor",
    "small_floats",
]

Parts = Mapping[str, np.ndarray]
PartShapes = Mapping[str, tuple[str, Shape]]  # part name -> numpy dtype name, shape
ALL = slice(None)

# The values that split a normal distribution into 16 equally likely parts, 0 among them.
# Source: NormalFloat of QLoRA (Dettmers et al. 2023, arXiv 2305.14314, appendix E).
NF4 = np.array(
    [
        *(-1.0, -0.6961928, -0.52507305, -0.39491749, -0.28444138, -0.18477343, -0.09105004, 0.0),
        *(0.0795803, 0.1609302, 0.2461123, 0.33791524, 0.44070983, 0.5626170, 0.72295684, 1.0),
    ],
    np.float32,
)


@dataclass(frozen=True, slots=True)
class Scheme:
    """How a tensor is stored, and how to get float32 rows back."""

    name: str
    title: str
    parts: Callable[[int, int, int], PartShapes]  # of a matrix (o, k) that reads c channels
    decode: Callable[[Parts, slice], np.ndarray]  # -> float32 (rows, k)
    lowest: int = 0  # value of q that the first level has
    levels: int = 0  # how many values q takes; 0 for floats
    group: int = 0  # weights of a row that share a scale; 0: the whole row
    inputs: bool = False  # input channels have scales, too


@dataclass(frozen=True, slots=True)
class QuantizedTensor:
    """A weight as it is stored; `decode` gives float32 and is cheap enough to call per layer."""

    scheme: str
    shape: Shape
    parts: Parts

    @property
    def bytes(self) -> int:
        """Bytes of all parts in memory."""
        return sum(part.nbytes for part in self.parts.values())

    def decode(self, rows: slice = ALL) -> np.ndarray:
        """Return the float32 weights of `rows` of the first axis, shape (rows, *shape[1:])."""
        flat = SCHEMES[self.scheme].decode(self.parts, rows)
        return flat.reshape(-1, *self.shape[1:]) if self.shape else flat.reshape(())

    def check(self, name: str) -> None:
        """Raise ModelFormatError unless parts, shapes and values are as the scheme says."""
        want = dict(part_shapes(self.scheme, self.shape, name))
        got = {key: (part.dtype.name, part.shape) for key, part in self.parts.items()}
        if got != want:
            raise ModelFormatError(f"{name}: parts are {got}, {self.scheme} has {want}")
        for key, part in self.parts.items():
            if part.dtype.kind == "f" and not np.isfinite(part).all():
                raise ModelFormatError(f"{name}/{key}: holds a value that is not finite")
        scheme, q = SCHEMES[self.scheme], self.parts.get("q")
        if q is not None and q.size:
            if int(q.min()) < scheme.lowest or int(q.max()) >= scheme.lowest + scheme.levels:
                raise ModelFormatError(f"{name}/q: holds a value that {scheme.name} does not have")


def part_shapes(scheme: str, shape: Shape, name: str) -> PartShapes:
    """Return what the parts of a weight must be. Raises ModelFormatError for an unknown scheme."""
    if scheme not in SCHEMES:
        raise ModelFormatError(
            f"{name}: scheme is {scheme!r}, known are {', '.join(SCHEMES)}",
            remedy="update Offcut, or convert the model again",
        )
    k = 1
    for extent in shape[1:]:
        k *= extent
    return SCHEMES[scheme].parts(shape[0] if shape else 1, k, shape[1] if len(shape) > 1 else 1)


def small_floats(codes: np.ndarray) -> np.ndarray:
    """Return the values of uint8 codes of small floats, float32; see the module."""
    mantissa = (codes & 15).astype(np.float32) * np.float32(1 / 16) + np.float32(1)
    return np.ldexp(mantissa, (codes >> 4).astype(np.int32))


def _floats(name: str) -> Scheme:
    def parts(o: int, k: int, c: int) -> PartShapes:
        return {"values": (name, (o, k))}

    return Scheme(
        name, name, parts, lambda p, rows: p["values"][rows].astype(np.float32, copy=False)
    )


def _integers(name: str, title: str, *, rows_scaled: bool, inputs: bool = False) -> Scheme:
    """Return int8 with float32 scales, for each row or for all, and perhaps for input channels."""

    def parts(o: int, k: int, c: int) -> PartShapes:
        made: dict[str, tuple[str, Shape]] = {"q": ("int8", (o, k))}
        made["scale"] = ("float32", (o if rows_scaled else 1,))
        return made | ({"inputs": ("uint8", (c,))} if inputs else {})

    def decode(parts: Parts, rows: slice) -> np.ndarray:
        q = parts["q"][rows]
        scale = parts["scale"][rows, None] if rows_scaled else parts["scale"]
        if not inputs:
            return np.multiply(q, scale, dtype=np.float32)
        factors = small_floats(parts["inputs"])  # (c,)
        return np.multiply(q, np.repeat(factors, q.shape[1] // len(factors))) * scale

    return Scheme(name, title, parts, decode, -128, 256, inputs=inputs)


def _grouped(
    name: str, title: str, *, lowest: int, levels: int, group: int = 0, table: int = 0
) -> Scheme:
    """Return a scheme with scales in small floats; table: levels that a tensor brings along."""
    fixed = NF4 if name.startswith("nf4") else None
    dtype = "int8" if lowest < 0 else "uint8"

    def parts(o: int, k: int, c: int) -> PartShapes:
        scales = (o, -(-k // group)) if group else (o,)
        made: dict[str, tuple[str, Shape]] = {"q": (dtype, (o, k)), "scale": ("uint8", scales)}
        made["unit"] = ("float32", (1,))
        return made | ({"levels": ("float32", (table,))} if table else {})

    def decode(parts: Parts, rows: slice) -> np.ndarray:
        q = parts["q"][rows]
        known = parts["levels"] if table else fixed
        values = q.astype(np.float32) if known is None else known[q]  # (rows, k)
        scale = small_floats(parts["scale"][rows]) * parts["unit"]
        if group:
            scale = np.repeat(scale, group, axis=1)[:, : q.shape[1]]
        else:
            scale = scale[:, None]
        values *= scale
        return values

    return Scheme(name, title, parts, decode, lowest, levels, group)


SCHEMES: dict[str, Scheme] = {
    scheme.name: scheme
    for scheme in (
        _floats("float32"),
        _floats("float16"),
        _integers("int8-per-tensor", "int8, one scale", rows_scaled=False),
        _integers("int8-per-channel", "int8, a scale per output channel", rows_scaled=True),
        _integers(
            "int8-both-channels",
            "int8, a scale per output channel and one per input channel",
            rows_scaled=True,
            inputs=True,
        ),
        _grouped("int4-group-32", "4 bits, a scale per 32", lowest=-8, levels=16, group=32),
        _grouped("int3-group-16", "3 bits, a scale per 16", lowest=-4, levels=8, group=16),
        _grouped("nf4-group-32", "16 normal levels, a scale per 32", lowest=0, levels=16, group=32),
        _grouped(
            "codebook-16", "16 levels of its own, a scale per row", lowest=0, levels=16, table=16
        ),
        _grouped("step", "even steps, a scale per row, entropy-coded", lowest=-128, levels=256),
    )
}


def float_tensor(values: np.ndarray) -> QuantizedTensor:
    """Wrap a float array of any shape as an unquantized float32 tensor (no copy if it is one)."""
    values = np.asarray(values, np.float32)
    rows = values.shape[0] if values.ndim else 1
    flat = np.ascontiguousarray(values).reshape(rows, -1)
    return QuantizedTensor("float32", values.shape, {"values": flat})
