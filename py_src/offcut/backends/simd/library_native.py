"""The kernels as a native library for CPython, through ctypes.

ctypes releases the GIL during a call, so helper threads are Python threads: each waits for its
turn, then calls into the library, where all threads meet after every op.
"""

from __future__ import annotations

import ctypes
import threading
from pathlib import Path

import numpy as np

from offcut.backends.simd.table import OP_BYTES
from offcut.errors import BackendError

__all__ = ["NativeLibrary"]

ALIGNMENT = 64


class NativeLibrary:
    """The library's functions, `size` bytes of memory and threads - 1 helpers."""

    def __init__(self, path: Path, size: int, threads: int) -> None:
        try:
            self._functions = ctypes.CDLL(str(path))
        except OSError as error:
            raise BackendError(f"{path}: cannot be loaded: {error}") from error
        if self._functions.op_size() != OP_BYTES:
            raise BackendError(f"{path}: is of another version", remedy="delete it")
        self.threads = self.active = threads
        self.note = ""
        whole = np.zeros(size + ALIGNMENT, np.uint8)
        skip = -whole.ctypes.data % ALIGNMENT
        self._memory = whole[skip : skip + size]
        self._base = ctypes.c_void_p(self._memory.ctypes.data)
        self._turn = [threading.Semaphore(0) for _ in range(threads - 1)]
        self._closed = False
        self._helpers = [
            threading.Thread(target=self._help, args=(ith,), daemon=True, name=f"offcut-{ith}")
            for ith in range(1, threads)
        ]
        for helper in self._helpers:
            helper.start()

    def _help(self, ith: int) -> None:
        while True:
            self._turn[ith - 1].acquire()
            if self._closed:
                return
            self._functions.run(self._base, ctypes.c_int(ith))

    def write(self, offset: int, data: np.ndarray | bytes) -> None:
        """Copy bytes into the memory."""
        flat = np.frombuffer(data, np.uint8)
        self._memory[offset : offset + flat.size] = flat

    def read(self, offset: int, out: np.ndarray) -> None:
        """Copy bytes of the memory into `out`, which is contiguous."""
        out[...] = self._memory[offset : offset + out.nbytes].view(out.dtype).reshape(out.shape)

    def clear(self, offset: int, size: int) -> None:
        """Zero bytes of the memory."""
        self._memory[offset : offset + size] = 0

    def run(self, begin: int, end: int) -> None:
        """Run ops [begin, end) on the active threads."""
        self._functions.announce(self._base, ctypes.c_uint32(begin), ctypes.c_uint32(end))
        for turn in self._turn[: self.active - 1]:
            turn.release()
        self._functions.run(self._base, ctypes.c_int(0))

    def close(self) -> None:
        """End the helpers and give back the memory."""
        self._closed = True
        for turn in self._turn:
            turn.release()
        for helper in self._helpers:
            helper.join()
        self._helpers = []
