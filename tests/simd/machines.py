"""Where tests run the kernels: the native library, or WebAssembly in wasmtime."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wasmtime
from wasmtime import _ffi as ffi

from offcut.backends import no_checkpoint
from offcut.backends.simd import LOWERING, compile_native
from offcut.backends.simd.assemble import assemble
from offcut.backends.simd.library_native import NativeLibrary
from offcut.backends.simd.lower import lower
from offcut.backends.simd.program import Library, SimdProgram
from offcut.container import Model
from offcut_build import kernels, stamp

Machine = Callable[[int, int], Library]  # (bytes of memory, threads) -> library

PAGE = 1 << 16


def native(size: int, threads: int) -> Library:
    """Return the native library, compiled at first use."""
    return NativeLibrary(compile_native.library(), size, threads)


def compiled(name: str, folder: Path) -> Path:
    """Return a WebAssembly build of the kernels, made again only when they change."""
    sources = compile_native.SOURCES
    key = stamp.fingerprint([sources, Path(kernels.__file__)])[:16]
    path = folder / f"{key}-{name}"
    if not path.exists():
        kernels.compile_one(
            name,
            python=Path(sys.executable),
            root=Path(__file__).parents[2],
            sources=sorted(sources.glob("*.c")),
            out=path.with_suffix(".part"),
        )
        path.with_suffix(".part").replace(path)
    return path


class SharedMemory(wasmtime.SharedMemory):
    """wasmtime's own takes the address of its pointer where the pointer is wanted."""

    def _as_extern(self) -> Any:
        union = ffi.wasmtime_extern_union(sharedmemory=self.ptr())
        return ffi.wasmtime_extern_t(ffi.WASMTIME_EXTERN_SHAREDMEMORY, union)


class WasmLibrary:
    """The kernels in wasmtime, with threads - 1 helpers that serve on a shared memory."""

    def __init__(self, path: Path, size: int, threads: int) -> None:
        self.threads = self.active = threads
        self.note = ""
        config = wasmtime.Config()
        config.shared_memory = True
        self._engine = wasmtime.Engine(config)
        self._module = wasmtime.Module.from_file(self._engine, str(path))
        pages = -(-size // PAGE) + 4 + threads
        self._shared = threads > 1
        limits = wasmtime.Limits(pages, 8192) if self._shared else wasmtime.Limits(pages, pages)
        kind = wasmtime.MemoryType(limits, shared=self._shared)
        store = wasmtime.Store(self._engine)
        self._memory: Any = (
            SharedMemory(self._engine, kind) if self._shared else wasmtime.Memory(store, kind)
        )
        self._store = store
        self._exports = self._instance(store)
        self._base = -(-self._exports["__heap_base"].value(store) // 64) * 64
        stacks = self._base + -(-size // 64) * 64
        self._bytes = self._view(store)
        self._helpers = [
            threading.Thread(target=self._serve, args=(ith, stacks + ith * PAGE), daemon=True)
            for ith in range(1, threads)
        ]
        for helper in self._helpers:
            helper.start()

    def _instance(self, store: wasmtime.Store) -> Any:
        return wasmtime.Instance(store, self._module, [self._memory]).exports(store)

    def _view(self, store: wasmtime.Store) -> np.ndarray:
        if self._shared:
            address, size = self._memory.data_ptr(), self._memory.data_len()
        else:
            address, size = self._memory.data_ptr(store), self._memory.data_len(store)
        return np.ctypeslib.as_array(address, (size,))

    def _serve(self, ith: int, stack: int) -> None:
        store = wasmtime.Store(self._engine)
        exports = self._instance(store)
        exports["__stack_pointer"].set_value(store, stack)
        exports["serve"](store, self._base, ith, 0)

    def write(self, offset: int, data: np.ndarray | bytes) -> None:
        """Copy bytes into the memory."""
        flat = np.frombuffer(data, np.uint8)
        self._bytes[self._base + offset :][: flat.size] = flat

    def read(self, offset: int, out: np.ndarray) -> None:
        """Copy bytes of the memory into `out`."""
        flat = self._bytes[self._base + offset :][: out.nbytes]
        out[...] = flat.view(out.dtype).reshape(out.shape)

    def clear(self, offset: int, size: int) -> None:
        """Zero bytes of the memory."""
        self._bytes[self._base + offset :][:size] = 0

    def run(self, begin: int, end: int) -> None:
        """Run ops [begin, end) on the active threads."""
        self._exports["announce"](self._store, self._base, begin, end)
        self._exports["run"](self._store, self._base, 0)

    def close(self) -> None:
        """End the helpers."""
        self._exports["dismiss"](self._store, self._base)
        for helper in self._helpers:
            helper.join(timeout=10)
            assert not helper.is_alive(), "a helper does not end"


def wasm(cache: pytest.Cache, *, pictures: bool = False) -> Machine:
    """Return a machine that runs the kernels in wasmtime, for networks or for pictures."""
    folder = cache.mkdir("kernels")

    def start(size: int, threads: int) -> Library:
        name = "kernels-threads.wasm" if threads > 1 else "kernels.wasm"
        return WasmLibrary(compiled("pictures.wasm" if pictures else name, folder), size, threads)

    return start


def run(
    machine: Machine,
    model: Model,
    inputs: dict[str, np.ndarray],
    *,
    threads: int = 1,
    quantize: bool = True,
) -> dict[str, np.ndarray]:
    """Compile the model, run it twice and return its outputs, which must be the same.

    In between the first run's leftovers are overwritten.
    """
    assembly = assemble(lower(model, LOWERING, quantize=quantize))
    program = SimdProgram(model, assembly, machine(assembly.size(threads), threads))
    try:
        first = asyncio.run(program.run(inputs, no_checkpoint))
        program.forget()
        second = asyncio.run(program.run(inputs, no_checkpoint))
    finally:
        program.close()
    for name, value in first.items():
        assert np.array_equal(value, second[name]), f"{name}: differs from run to run"
    return first
