"""Read protobuf's wire format: a message is a run of (field number, wire type, value).

    varint      wire type 0     7 bits a byte, least significant first
    64 bits     wire type 1     little-endian
    bytes       wire type 2     a varint length, then that many bytes: text, message or packed list
    32 bits     wire type 5     little-endian

Everything is a view into the file; lengths are checked against it, and fields are counted, so a
damaged file cannot make this module allocate. Source: protobuf.dev, "Encoding".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from offcut.errors import ModelFormatError

__all__ = [
    "MAX_NUMBERS",
    "Fields",
    "Value",
    "fixed",
    "integers",
    "message",
    "numbers",
    "one_message",
    "one_number",
    "one_text",
    "signed",
    "text",
]

VARINT, BITS64, BYTES, BITS32 = 0, 1, 2, 5
MAX_FIELDS = 1 << 18  # in one message; the largest graphs have some thousands of nodes
MAX_TEXT = 1 << 14  # bytes of a name
MAX_NUMBERS = 1 << 16  # in a list that is no tensor
PIECE = 1 << 20  # bytes of a packed list that are decoded at a time
Value = int | memoryview
Fields = Mapping[int, list[Value]]


def message(data: Value, where: str) -> Fields:
    """Return a message's values by field number, in the file's order.

    A varint is an int, anything else a view of its bytes. Raises ModelFormatError when cut.
    """
    if isinstance(data, int):
        raise ModelFormatError(f"{where}: a number stands where a message is expected")
    fields: dict[int, list[Value]] = {}
    for count, (number, value) in enumerate(_fields(data, where)):
        if count == MAX_FIELDS:
            raise ModelFormatError(f"{where}: a message of more than {MAX_FIELDS} fields")
        fields.setdefault(number, []).append(value)
    return fields


def _fields(data: memoryview, where: str) -> Iterator[tuple[int, Value]]:
    at = 0
    while at < len(data):
        key, at = _varint(data, at, where)
        wire = key & 7
        if wire == VARINT:
            value, at = _varint(data, at, where)
            yield key >> 3, value
            continue
        if wire == BYTES:
            size, at = _varint(data, at, where)
        elif wire in (BITS32, BITS64):
            size = 4 if wire == BITS32 else 8
        else:
            raise ModelFormatError(f"{where}: wire type {wire} in field {key >> 3}: not protobuf")
        if size > len(data) - at:
            raise ModelFormatError(
                f"{where}: field {key >> 3} says {size} bytes, {len(data) - at} are left: cut file"
            )
        yield key >> 3, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int, where: str) -> tuple[int, int]:
    """Return the number that begins at `at`, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise ModelFormatError(f"{where}: ends inside a number: cut file")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
    raise ModelFormatError(f"{where}: a number of more than 10 bytes: not protobuf")


def signed(value: int) -> int:
    """Read a varint as the two's complement int64 that it encodes."""
    return value - (1 << 64) if value >= 1 << 63 else value


def numbers(values: list[Value], where: str) -> list[int]:
    """Return a repeated integer field, packed or not, as signed numbers; a short one."""
    if sum(1 if isinstance(value, int) else len(value) for value in values) > 10 * MAX_NUMBERS:
        raise ModelFormatError(f"{where}: a list of more than {MAX_NUMBERS} numbers")
    listed: list[int] = integers(values, where).tolist()
    return listed


def integers(values: list[Value], where: str) -> np.ndarray:
    """Return a repeated integer field, packed or not, as int64 (count,)."""
    if all(isinstance(value, int) for value in values):
        return np.array([signed(value) for value in values], np.int64)  # type: ignore[arg-type]
    parts: list[np.ndarray] = []
    for value in values:
        if isinstance(value, int):
            parts.append(np.array([signed(value)], np.int64))
            continue
        at = 0
        while at < len(value):
            part, size = _unpacked(np.frombuffer(value[at : at + PIECE], np.uint8), where)
            parts.append(part)
            at += size
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def _unpacked(data: np.ndarray, where: str) -> tuple[np.ndarray, int]:
    """Return the varints that end in `data`, u8 (n,), as int64, and how many bytes these are."""
    ends = np.flatnonzero(data < 0x80)  # (count,)
    if not ends.size:
        raise ModelFormatError(f"{where}: a packed list ends inside a number: cut file")
    starts = np.concatenate([np.zeros(1, np.intp), ends[:-1] + 1])
    sizes = ends - starts + 1
    if sizes.max() > 10:
        raise ModelFormatError(f"{where}: a number of more than 10 bytes: not protobuf")
    result = np.zeros(ends.size, np.uint64)
    for step in range(int(sizes.max())):
        longer = np.flatnonzero(sizes > step)
        bits = (data[starts[longer] + step] & 0x7F).astype(np.uint64)
        result[longer] |= bits << np.uint64(7 * step)
    return result.view(np.int64), int(ends[-1]) + 1


def fixed(values: list[Value], dtype: str, where: str) -> np.ndarray:
    """Return a repeated float or double field, packed or not, as a flat array."""
    size = np.dtype(dtype).itemsize
    pieces: list[memoryview] = []
    for value in values:
        if isinstance(value, int) or len(value) % size:
            raise ModelFormatError(f"{where}: a list of {dtype} has a broken element")
        pieces.append(value)
    return np.frombuffer(pieces[0] if len(pieces) == 1 else b"".join(pieces), dtype)


def text(value: Value, where: str) -> str:
    """Return a text field. Raises ModelFormatError unless it is UTF-8."""
    if isinstance(value, int):
        raise ModelFormatError(f"{where}: a number stands where text is expected")
    if len(value) > MAX_TEXT:
        raise ModelFormatError(f"{where}: a name of {len(value)} bytes")
    try:
        return str(value, "utf-8")
    except UnicodeDecodeError as error:
        raise ModelFormatError(f"{where}: text is not UTF-8: {error}") from error


def one_text(fields: Fields, number: int, where: str) -> str:
    """Return the last value of a text field, "" when absent (protobuf's default)."""
    values = fields.get(number)
    return text(values[-1], where) if values else ""


def one_number(fields: Fields, number: int, where: str) -> int:
    """Return the last value of an integer field, 0 when absent (protobuf's default)."""
    values = fields.get(number)
    if not values:
        return 0
    if not isinstance(values[-1], int):
        raise ModelFormatError(f"{where}: field {number} is not a number")
    return signed(values[-1])


def one_message(fields: Fields, number: int, where: str) -> Fields:
    """Return the last value of a message field, an empty message when absent."""
    values = fields.get(number)
    return message(values[-1], where) if values else {}
