"""The kernels as WebAssembly in the browser, with a Memory of their own.

The worker that runs Python calls `configure` once, before the first model is compiled, with

    single        WebAssembly.Module of kernels/kernels.wasm
    threads       WebAssembly.Module of kernels/kernels-threads.wasm, or None
    start_thread  function that returns a new Worker running kernel_thread.js, or None
    pictures      WebAssembly.Module of kernels/pictures.wasm, for the workbench, or None

Without it the backend says that it is unavailable. With `threads` and `start_thread`, on a page
that is cross-origin isolated, a program gets helper threads on a shared Memory. When any of that
fails it runs on one thread with the same results, and its `note` says why.
"""

from __future__ import annotations

import asyncio
from typing import Any

import js
import numpy as np
from pyodide.ffi import JsException, create_once_callable, to_js

from offcut.backends.simd.workbench import Workbench
from offcut.errors import BackendError, StoppedError

__all__ = ["JsLibrary", "configure", "forget", "most_threads", "obstacle", "open_library"]

PAGE = 1 << 16
STACK = 1 << 16  # bytes of stack for each helper
MOST_MEMORY = 512 << 20  # the limit that kernels-threads.wasm was linked with
READY_SECONDS = 10.0
CONFIGURED: dict[str, Any] = {}  # what `configure` was given: one page, one set of kernels


def configure(
    single: Any, threads: Any = None, start_thread: Any = None, pictures: Any = None
) -> None:
    """Take the compiled modules, as the module's docstring says."""
    CONFIGURED.update(single=single, threads=threads, start_thread=start_thread)
    if pictures:
        CONFIGURED["bench"] = Workbench(lambda size: JsLibrary(pictures, size, threads=1))
        CONFIGURED["bench"].install()


def forget() -> None:
    """Zero what the kernels' work on pictures has left; programs have a memory of their own."""
    if "bench" in CONFIGURED:
        CONFIGURED["bench"].forget()


def obstacle() -> str:
    """Return why the kernels cannot run here, "" when they can."""
    return "" if CONFIGURED else "the page has loaded no kernels"


def most_threads() -> int:
    """Return how many threads the processor has, as far as the browser tells."""
    return int(js.navigator.hardwareConcurrency or 1)


class JsLibrary:
    """An instance of the kernels and its memory; `helpers` are the workers that serve."""

    def __init__(self, module: Any, size: int, *, threads: int) -> None:
        self.threads = self.active = threads
        self.note = ""
        self.helpers: list[Any] = []
        self._memory = _memory(_heap(size) + STACK * threads, shared=threads > 1)
        imports = to_js({"env": {"memory": self._memory}}, dict_converter=js.Object.fromEntries)
        self._functions = js.WebAssembly.Instance.new(module, imports).exports
        heap_base = int(js.Reflect.get(self._functions, "__heap_base").value)
        self._base = -(-heap_base // 64) * 64
        self._bytes = js.Uint8Array.new(self._memory.buffer)
        self._stacks = self._base + -(-size // 64) * 64
        self._announce, self._run = self._functions.announce, self._functions.run

    async def start(self, module: Any, start_thread: Any) -> None:
        """Start the helpers and wait until all are ready. Raises BackendError."""
        waiting = []
        for ith in range(1, self.threads):
            worker = start_thread()
            self.helpers.append(worker)
            message = {
                "module": module,
                "memory": self._memory,
                "base": self._base,
                "stack": self._stacks + STACK * ith,
                "ith": ith,
                "job": 0,
            }
            waiting.append(_answer(worker))
            worker.postMessage(to_js(message, dict_converter=js.Object.fromEntries))
        try:
            await asyncio.wait_for(asyncio.gather(*waiting), READY_SECONDS)
        except TimeoutError as error:
            raise BackendError("a kernel thread did not start in time") from error

    def write(self, offset: int, data: np.ndarray | bytes) -> None:
        """Copy bytes into the memory."""
        flat = np.frombuffer(data, np.uint8)
        begin = self._base + offset
        self._bytes.subarray(begin, begin + flat.size).assign(flat)

    def read(self, offset: int, out: np.ndarray) -> None:
        """Copy bytes of the memory into `out`, which is contiguous."""
        begin = self._base + offset
        flat = out.reshape(-1).view(np.uint8)
        self._bytes.subarray(begin, begin + flat.size).assign_to(flat)

    def clear(self, offset: int, size: int) -> None:
        """Zero bytes of the memory."""
        begin = self._base + offset
        self._bytes.fill(0, begin, begin + size)

    def run(self, begin: int, end: int) -> None:
        """Run ops [begin, end) on the active threads.

        Raises StoppedError when the kernels trap, as they do when a helper is lost.
        """
        try:
            self._announce(self._base, begin, end)
            self._run(self._base, 0)
        except JsException as error:
            raise StoppedError(
                f"the kernels stopped: {error.message}", remedy="try again"
            ) from error

    def close(self) -> None:
        """End the helpers and drop the memory."""
        if self.helpers:
            self._functions.dismiss(self._base)
        for worker in self.helpers:
            worker.terminate()
        self.helpers = []
        self._functions = self._memory = self._bytes = self._announce = self._run = None


async def open_library(size: int, threads: int) -> JsLibrary:
    """Return the kernels with `size` bytes of memory and up to `threads` threads."""
    if threads == 1:
        return JsLibrary(CONFIGURED["single"], size, threads=1)
    note = _no_threads()
    library = None
    if not note:
        try:
            library = JsLibrary(CONFIGURED["threads"], size, threads=threads)
            await library.start(CONFIGURED["threads"], CONFIGURED["start_thread"])
            return library
        except (JsException, BackendError) as error:
            note = f"threads cannot be started: {error}"
            if library is not None:
                library.close()
    library = JsLibrary(CONFIGURED["single"], size, threads=1)
    library.note = note
    return library


def _no_threads() -> str:
    if not (CONFIGURED["threads"] and CONFIGURED["start_thread"]):
        return "the page has loaded no kernels for threads"
    if not js.crossOriginIsolated:
        return "the page is not cross-origin isolated"
    if not hasattr(js, "SharedArrayBuffer"):  # WebKitGTK
        return "this browser shares no memory between threads"
    return ""


def _heap(size: int) -> int:
    """Return bytes for the module's own data and `size` more."""
    return 4 * PAGE + size


def _memory(size: int, *, shared: bool) -> Any:
    pages = -(-size // PAGE)
    limit: dict[str, Any] = {"initial": pages}
    if shared:
        if size > MOST_MEMORY:
            raise BackendError(
                f"the model needs {size >> 20} MiB, threads have {MOST_MEMORY >> 20}"
            )
        limit |= {"maximum": MOST_MEMORY // PAGE, "shared": True}
    return js.WebAssembly.Memory.new(to_js(limit, dict_converter=js.Object.fromEntries))


def _answer(worker: Any) -> asyncio.Future[Any]:
    """Return a future of the worker's first message; an error of the worker is its exception."""
    made: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def ready(event: Any) -> None:
        if not made.done():
            made.set_result(event.data)

    def failed(event: Any) -> None:
        if not made.done():
            why = getattr(event, "message", "its script could not be loaded")  # a plain Event then
            made.set_exception(BackendError(f"a kernel thread failed: {why}"))

    worker.onmessage = create_once_callable(ready)
    worker.onerror = create_once_callable(failed)
    return made
