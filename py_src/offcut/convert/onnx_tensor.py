"""Read a TensorProto: every dense encoding of ONNX, as a numpy array.

Values stand in `raw_data` (little-endian) or in the typed list that the data type prescribes;
float16, bfloat16, and the small integers share `int32_data`, the halves as their 16 bits.
Source: onnx/onnx.proto, messages TensorProto and TensorProto.DataType.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from offcut.convert.protobuf import (
    Fields,
    fixed,
    numbers,
    one_number,
    one_text,
)
from offcut.errors import ModelFormatError, UnsupportedOperatorError

__all__ = ["DATA_TYPES", "read_tensor"]

MAX_RANK = 8

DIMS, DATA_TYPE, SEGMENT, FLOATS, INT32S, INT64S = 1, 2, 3, 4, 5, 7
NAME, RAW, DOUBLES, UINT64S, EXTERNAL, LOCATION = 8, 9, 10, 11, 13, 14


@dataclass(frozen=True, slots=True)
class DataType:
    """One of ONNX's element types: numpy's dtype, and the field of the typed list."""

    name: str
    dtype: str  # as stored; bfloat16 is widened after reading
    field: int


DATA_TYPES: dict[int, DataType] = {
    1: DataType("float", "<f4", FLOATS),
    2: DataType("uint8", "|u1", INT32S),
    3: DataType("int8", "|i1", INT32S),
    4: DataType("uint16", "<u2", INT32S),
    5: DataType("int16", "<i2", INT32S),
    6: DataType("int32", "<i4", INT32S),
    7: DataType("int64", "<i8", INT64S),
    9: DataType("bool", "|b1", INT32S),
    10: DataType("float16", "<f2", INT32S),
    11: DataType("double", "<f8", DOUBLES),
    12: DataType("uint32", "<u4", UINT64S),
    13: DataType("uint64", "<u8", UINT64S),
    16: DataType("bfloat16", "<u2", INT32S),
}


def read_tensor(fields: Fields, where: str) -> tuple[str, np.ndarray]:
    """Return a tensor's name and values, a view into the file where the encoding allows.

    Raises ModelFormatError when shape and data disagree, or when the data lies in another file;
    UnsupportedOperatorError for strings, complex numbers and types of less than 8 bits.
    """
    name = one_text(fields, NAME, where)
    where = f"{where}: tensor {name or '(without a name)'}"
    if EXTERNAL in fields or one_number(fields, LOCATION, where) == 1:
        raise ModelFormatError(
            f"{where}: its data lies in another file",
            remedy="save the model as one file, without external data",
        )
    if SEGMENT in fields:
        raise ModelFormatError(f"{where}: is stored in segments, which ONNX no longer allows")
    number = one_number(fields, DATA_TYPE, where)
    kind = DATA_TYPES.get(number)
    if kind is None:
        raise UnsupportedOperatorError(f"{where}: data type {number} is not supported")
    shape = tuple(numbers(fields.get(DIMS, []), where))
    if len(shape) > MAX_RANK or any(extent < 0 for extent in shape):
        raise ModelFormatError(f"{where}: shape is {shape}, expected at most {MAX_RANK} sizes >= 0")
    flat = _values(fields, kind, where)
    count = 1
    for extent in shape:
        count *= extent
    if count != flat.size:
        raise ModelFormatError(f"{where}: {flat.size} values do not fill the shape {shape}")
    if kind.name == "bfloat16":
        flat = (flat.astype(np.uint32) << 16).view(np.float32)
    return name, flat.reshape(shape)


def _values(fields: Fields, kind: DataType, where: str) -> np.ndarray:
    """Return the values, flat, from whichever encoding holds them."""
    if RAW in fields:
        return fixed(fields[RAW][-1:], kind.dtype, where)
    stored = fields.get(kind.field, [])
    if kind.field == FLOATS:
        return fixed(stored, "<f4", where)
    if kind.field == DOUBLES:
        return fixed(stored, "<f8", where)
    listed = numbers(stored, where)
    if kind.name == "uint64":
        listed = [value % (1 << 64) for value in listed]
    through = "<u2" if kind.name == "float16" else kind.dtype
    try:
        return np.array(listed, through).view(kind.dtype)
    except OverflowError as error:
        raise ModelFormatError(f"{where}: a value does not fit {kind.name}") from error
