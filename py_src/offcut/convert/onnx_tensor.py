"""Read a TensorProto: every dense encoding of ONNX, as a numpy array.

Values stand in `raw_data` (little-endian), in the typed list that the data type prescribes, or in
another file beside the model. float16, bfloat16 and the small integers share `int32_data`, the
halves as their 16 bits; two 4-bit integers share a byte, the first in the low half.
Source: onnx/onnx.proto, messages TensorProto and TensorProto.DataType.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from offcut.convert.protobuf import (
    Fields,
    Value,
    fixed,
    integers,
    message,
    numbers,
    one_number,
    one_text,
)
from offcut.errors import ModelFormatError, UnsupportedOperatorError

__all__ = ["DATA_TYPES", "Beside", "none_beside", "read_tensor"]

MAX_RANK = 8
MAX_EXTENT = 1 << 40  # values

DIMS, DATA_TYPE, SEGMENT, FLOATS, INT32S, INT64S = 1, 2, 3, 4, 5, 7
NAME, RAW, DOUBLES, UINT64S, EXTERNAL, LOCATION = 8, 9, 10, 11, 13, 14

Beside = Callable[[str, str], memoryview]  # (file's name, where) -> its bytes, or an error


@dataclass(frozen=True, slots=True)
class DataType:
    """One of ONNX's element types: numpy's dtype, and the field of the typed list."""

    name: str
    dtype: str  # as stored; bfloat16 and the 4-bit integers are widened after reading
    field: int


DATA_TYPES: dict[int, DataType] = {
    1: DataType("float", "<f4", FLOATS),
    2: DataType("uint8", "|u1", INT32S),
    3: DataType("int8", "|i1", INT32S),
    4: DataType("uint16", "<u2", INT32S),
    5: DataType("int16", "<i2", INT32S),
    6: DataType("int32", "<i4", INT32S),
    7: DataType("int64", "<i8", INT64S),
    9: DataType("bool", "|u1", INT32S),
    10: DataType("float16", "<f2", INT32S),
    11: DataType("double", "<f8", DOUBLES),
    12: DataType("uint32", "<u4", UINT64S),
    13: DataType("uint64", "<u8", UINT64S),
    16: DataType("bfloat16", "<u2", INT32S),
    21: DataType("uint4", "|u1", INT32S),
    22: DataType("int4", "|u1", INT32S),
}


def none_beside(name: str, where: str) -> memoryview:
    """Refuse to read another file: what a caller uses that has the model's bytes alone."""
    raise ModelFormatError(
        f"{where}: its values lie in another file, {name!r}",
        remedy="convert it with `offcut convert`, which reads both, or save the model as one file",
    )


def read_tensor(fields: Fields, where: str, beside: Beside = none_beside) -> tuple[str, np.ndarray]:
    """Return a tensor's name and values, a view into the file where the encoding allows.

    beside: reads a file beside the model. Raises ModelFormatError when shape and data disagree,
    UnsupportedOperatorError for strings, complex numbers, float8 and float4.
    """
    name = one_text(fields, NAME, where)
    where = f"{where}: tensor {name or '(without a name)'}"
    if SEGMENT in fields:
        raise ModelFormatError(f"{where}: is stored in segments, which ONNX no longer allows")
    number = one_number(fields, DATA_TYPE, where)
    kind = DATA_TYPES.get(number)
    if kind is None:
        raise UnsupportedOperatorError(f"{where}: data type {number} is not supported")
    shape = tuple(numbers(fields.get(DIMS, []), where))
    if len(shape) > MAX_RANK or any(extent < 0 for extent in shape):
        raise ModelFormatError(f"{where}: shape is {shape}, expected at most {MAX_RANK} sizes >= 0")
    if math.prod(extent or 1 for extent in shape) > MAX_EXTENT:  # numpy minds, though one is 0
        raise ModelFormatError(f"{where}: shape is {shape}, which no memory holds")
    count = math.prod(shape)
    half_bytes = kind.name in ("int4", "uint4")
    stored = -(-count // 2) if half_bytes else count  # elements of `dtype`
    flat = _values(fields, kind, stored, where, beside)
    if flat.size != stored:
        raise ModelFormatError(f"{where}: {flat.size} values do not fill the shape {shape}")
    if half_bytes:
        flat = _halves(flat, kind.name == "int4")[:count]
    elif kind.name == "bool":
        flat = flat != 0
    elif kind.name == "bfloat16":
        flat = (flat.astype(np.uint32) << 16).view(np.float32)
    return name, flat.reshape(shape)


def _values(fields: Fields, kind: DataType, count: int, where: str, beside: Beside) -> np.ndarray:
    """Return the values, flat, from whichever encoding holds them."""
    if EXTERNAL in fields or one_number(fields, LOCATION, where) == 1:
        return _external(fields.get(EXTERNAL, []), kind, count, where, beside)
    if RAW in fields:
        return fixed(fields[RAW][-1:], kind.dtype, where)
    stored = fields.get(kind.field, [])
    if kind.field == FLOATS:
        return fixed(stored, "<f4", where)
    if kind.field == DOUBLES:
        return fixed(stored, "<f8", where)
    listed = integers(stored, where)  # int64
    if kind.name in ("int64", "uint64"):
        return listed.view(kind.dtype)
    through = np.dtype("<u2" if kind.name == "float16" else kind.dtype)
    limits = np.iinfo(through)
    if listed.size and not (limits.min <= listed.min() and listed.max() <= limits.max):
        raise ModelFormatError(f"{where}: a value does not fit {kind.name}")
    return listed.astype(through).view(kind.dtype)


def _external(
    entries: list[Value], kind: DataType, count: int, where: str, beside: Beside
) -> np.ndarray:
    """Return the values that lie in another file, from `offset` on, `length` bytes of it."""
    said: dict[str, str] = {}
    for entry in entries[:16]:
        pair = message(entry, where)
        said[one_text(pair, 1, where)] = one_text(pair, 2, where)
    size = count * np.dtype(kind.dtype).itemsize
    offset, length = said.get("offset", "0"), said.get("length", str(size))
    if not (offset.isdecimal() and length.isdecimal() and len(offset + length) < 40):
        raise ModelFormatError(f"{where}: offset {offset!r}, length {length!r} of its data")
    data = beside(said.get("location", ""), where)
    begin, end = int(offset), int(offset) + int(length)
    if int(length) != size or end > len(data):
        raise ModelFormatError(
            f"{where}: needs {size} bytes from {begin} of a file of {len(data)}, {length} are said",
            remedy="fetch both files again",
        )
    return np.frombuffer(data[begin:end], kind.dtype)


def _halves(packed: np.ndarray, signed: bool) -> np.ndarray:
    """Return the 4-bit integers of u8 (n,), int8 or u8 (2 n,)."""
    pairs = np.stack([packed & 15, packed >> 4], axis=1).reshape(-1)
    return (pairs.astype(np.int8) ^ 8) - np.int8(8) if signed else pairs
