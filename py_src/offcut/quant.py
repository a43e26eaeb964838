"""Quantized tensors: arrays named parts, and the table of schemes that says how to decode them.

A new scheme is one row of SCHEMES. Notation: a weight of shape (o, ...) is seen as a matrix (o, k).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from offcut.errors import ModelFormatError
from offcut.graph import Shape

__all__ = ["ALL", "SCHEMES", "Parts", "QuantizedTensor", "Scheme", "float_tensor"]

Parts = Mapping[str, np.ndarray]
ALL = slice(None)


@dataclass(frozen=True, slots=True)
class Scheme:
    """How a tensor is stored: the dtype of each part, and how to get float32 rows back."""

    name: str
    title: str
    parts: Mapping[str, str]  # part name -> numpy dtype name
    decode: Callable[[Parts, slice], np.ndarray]  # -> float32 (rows, k)
    check: Callable[[Parts, int, int], bool]  # (parts, o, k) -> are the shapes right


@dataclass(frozen=True, slots=True)
class QuantizedTensor:
    """A weight as it is stored; `decode` gives float32 and is cheap enough to call per layer."""

    scheme: str
    shape: Shape
    parts: Parts

    @property
    def bytes(self) -> int:
        """Bytes of all parts."""
        return sum(part.nbytes for part in self.parts.values())

    def decode(self, rows: slice = ALL) -> np.ndarray:
        """Return the float32 weights of `rows` of the first axis, shape (rows, *shape[1:])."""
        flat = SCHEMES[self.scheme].decode(self.parts, rows)
        return flat.reshape(-1, *self.shape[1:]) if self.shape else flat.reshape(())

    def check(self, name: str) -> None:
        """Raise ModelFormatError unless parts, shapes and values are as the scheme says."""
        scheme = SCHEMES.get(self.scheme)
        if scheme is None:
            raise ModelFormatError(
                f"{name}: scheme is {self.scheme!r}, known are {', '.join(SCHEMES)}",
                remedy="update Offcut, or convert the model again",
            )
        if {key: part.dtype.name for key, part in self.parts.items()} != dict(scheme.parts):
            got = {key: part.dtype.name for key, part in self.parts.items()}
            raise ModelFormatError(f"{name}: parts are {got}, {scheme.name} has {scheme.parts}")
        o = self.shape[0] if self.shape else 1
        k = int(np.prod(self.shape[1:], dtype=object)) if self.shape else 1
        if not scheme.check(self.parts, o, k):
            shapes = {key: part.shape for key, part in self.parts.items()}
            raise ModelFormatError(f"{name}: parts {shapes} do not fit the shape {self.shape}")
        for key, part in self.parts.items():
            if part.dtype.kind == "f" and not np.isfinite(part).all():
                raise ModelFormatError(f"{name}/{key}: holds a value that is not finite")


def _decode_float32(parts: Parts, rows: slice) -> np.ndarray:
    return parts["values"][rows]


def _decode_float16(parts: Parts, rows: slice) -> np.ndarray:
    return parts["values"][rows].astype(np.float32)


def _decode_int8_channel(parts: Parts, rows: slice) -> np.ndarray:
    return np.multiply(parts["q"][rows], parts["scale"][rows, None], dtype=np.float32)


SCHEMES: dict[str, Scheme] = {
    scheme.name: scheme
    for scheme in (
        Scheme(
            "float32",
            "float32",
            {"values": "float32"},
            _decode_float32,
            lambda parts, o, k: parts["values"].shape == (o, k),
        ),
        Scheme(
            "float16",
            "float16",
            {"values": "float16"},
            _decode_float16,
            lambda parts, o, k: parts["values"].shape == (o, k),
        ),
        Scheme(
            "int8-per-channel",
            "int8, one scale per output channel",
            {"q": "int8", "scale": "float32"},
            _decode_int8_channel,
            lambda parts, o, k: parts["q"].shape == (o, k) and parts["scale"].shape == (o,),
        ),
    )
}


def float_tensor(values: np.ndarray) -> QuantizedTensor:
    """Wrap a float array of any shape as an unquantized float32 tensor (no copy if it is one)."""
    values = np.asarray(values, np.float32)
    rows = values.shape[0] if values.ndim else 1
    flat = np.ascontiguousarray(values).reshape(rows, -1)
    return QuantizedTensor("float32", values.shape, {"values": flat})
