"""Python's op table and the kernels' header describe the same bytes."""

from __future__ import annotations

import re

import pytest

from offcut.backends.simd import compile_native
from offcut.backends.simd.library_native import NativeLibrary
from offcut.backends.simd.table import FIELDS, FIRST_PICTURE, KERNELS, OP_BYTES, PICTURES, pack_op

CODES = {"uint32_t": "I", "int32_t": "i", "float": "f"}
HEADER = (compile_native.SOURCES / "program.h").read_text()


def header_fields(layout: str) -> list[tuple[str, str]]:
    """Return (name, struct code) of each field of a struct in program.h."""
    end = HEADER.index(f"}} {layout}_args;")
    body = HEADER[HEADER.rindex("typedef struct {", 0, end) : end]
    body = re.sub(r"//.*", "", body).split("{", 1)[1]
    fields = []
    for declaration in filter(str.strip, body.split(";")):
        kind, names = declaration.split(None, 1)
        fields += [(name.strip(), CODES[kind]) for name in names.split(",")]
    return fields


@pytest.mark.parametrize("layout", FIELDS)
def test_arguments_are_laid_out_as_in_the_header(layout: str) -> None:
    assert FIELDS[layout] == header_fields(layout)


@pytest.mark.parametrize(("table", "kernels"), [("NETWORKS", KERNELS), ("PICTURES", PICTURES)])
def test_kernels_are_numbered_as_in_the_interpreter(table: str, kernels: dict[str, str]) -> None:
    text = (compile_native.SOURCES / "program.c").read_text()
    listed = text.split(f"{table}[] = {{")[1].split("}")[0]
    assert re.findall(r"\w+", listed) == list(kernels)
    assert f"FIRST_PICTURE = {FIRST_PICTURE} " in text


def test_an_op_is_as_long_as_the_library_says() -> None:
    library = NativeLibrary(compile_native.library(), 1024, 1)
    assert library._functions.op_size() == OP_BYTES
    assert len(pack_op("affine_u8", 1, {})) == OP_BYTES
    library.close()
