"""Overwrites what photos have left in memory, for those who share a computer.

WebAssembly's memory never shrinks, and what is freed keeps its bytes until it is used again. So it
is used again: what can be had without more memory is taken, zeroed, and given back. dlmalloc, which
Emscripten links, takes from the end of the memory only what it finds nowhere before.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pyodide_js

from offcut.backends.simd import library_js
from offcut.session import Session

__all__ = ["overwrite"]

# Bytes of each block, large ones first: a smaller one goes where these do not fit.
BLOCKS = (1 << 16, 1 << 13, 1 << 10)
RESERVE = 3 << 16  # bytes at the end of the memory: taken, they could make it grow
# Python's own allocator has blocks of 16 to 512 bytes, in pools by size.
STEP, LARGEST, EACH = 16, 512, 1 << 18
HEADER = 17  # bytes that a bytes object takes besides its own


def overwrite(session: Session | None) -> None:
    """Zero what is free in Python's memory, and what the kernels have computed."""
    if session:
        session.program.forget()
    library_js.forget()
    gc.collect()
    for taken in (_small(), _large()):
        held = list(taken)
        del held


def _large() -> Iterator[bytes]:
    """Take zeroed blocks until they come from the end of the memory."""
    end = int(pyodide_js._module.HEAP8.length) - RESERVE
    for size in BLOCKS:
        block = bytes(size - HEADER)
        while id(block) + 2 * size < end:  # CPython's id is the address
            yield block
            block = bytes(size - HEADER)


def _small() -> Iterator[bytes]:
    for size in range(2 * STEP, LARGEST + 1, STEP):
        for _ in range(EACH // size):
            yield bytes(size - HEADER)
