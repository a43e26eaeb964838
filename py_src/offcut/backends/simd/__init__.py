"""The simd backend: C kernels, as WebAssembly in the browser and as a native library on CPython.

lower.py chooses kernels and storage, assemble.py places everything in one memory, program.py runs
it; kernels/program.h is the format between Python and C. In the browser, the page must have called
`library_js.configure` (see there).
"""

from __future__ import annotations

import os
import sys

from offcut.backends.simd.assemble import Assembly, assemble
from offcut.backends.simd.lower import Lower, lower
from offcut.backends.simd.lower_conv import lower_conv
from offcut.backends.simd.lower_conv_float import lower_gemm
from offcut.backends.simd.lower_elementwise import (
    lower_add,
    lower_combine,
    lower_function,
    lower_pow,
)
from offcut.backends.simd.lower_movement import (
    lower_concat,
    lower_identity,
    lower_reshape,
    lower_slice,
)
from offcut.backends.simd.lower_pool import lower_pool
from offcut.backends.simd.lower_reduce import lower_instance_normalization, lower_reduce
from offcut.backends.simd.lower_resize import lower_resize
from offcut.backends.simd.lower_spread import lower_conv_transpose
from offcut.backends.simd.program import Library, SimdProgram
from offcut.container import Model
from offcut.errors import BackendError
from offcut.graph import Graph
from offcut.ops import OPS

__all__ = [
    "LOWERING",
    "MOST_THREADS",
    "compile",
    "compile_unrounded",
    "default_threads",
    "prepare",
    "unavailable",
    "unsupported",
]

MOST_THREADS = 8  # more than this gains nothing on feature maps of this size
MOST_UNROUNDED = 256 << 20  # bytes that may be taken for a second look in float32

LOWERING: dict[str, Lower] = {
    "Add": lower_add,
    "AveragePool": lower_pool,
    "Clip": lower_function,
    "Concat": lower_concat,
    "Conv": lower_conv,
    "ConvTranspose": lower_conv_transpose,
    "Div": lower_combine,
    "Gemm": lower_gemm,
    "GlobalAveragePool": lower_reduce,
    "HardSigmoid": lower_function,
    "HardSwish": lower_function,
    "Identity": lower_identity,
    "InstanceNormalization": lower_instance_normalization,
    "LeakyRelu": lower_function,
    "MatMul": lower_gemm,
    "Max": lower_combine,
    "MaxPool": lower_pool,
    "Min": lower_combine,
    "Mul": lower_combine,
    "PRelu": lower_combine,
    "Pow": lower_pow,
    "ReduceMax": lower_reduce,
    "ReduceMean": lower_reduce,
    "ReduceSum": lower_reduce,
    "Relu": lower_function,
    "Reshape": lower_reshape,
    "Resize": lower_resize,
    "Sigmoid": lower_function,
    "Slice": lower_slice,
    "Sqrt": lower_function,
    "Sub": lower_combine,
    "Tanh": lower_function,
}


def unavailable() -> str:
    """Return why the kernels cannot run here, "" when they can."""
    if sys.platform == "emscripten":
        from offcut.backends.simd import library_js

        return library_js.obstacle()
    if sys.byteorder != "little":
        return "the kernels need a little-endian machine"
    from offcut.backends.simd import compile_native

    return compile_native.obstacle()


def unsupported(graph: Graph) -> list[str]:
    """Return one line for each node that has neither a kernel nor a definition."""
    return [f"{node.op} {node.name} is not known" for node in graph.nodes if node.op not in OPS]


async def compile(
    model: Model, *, threads: int | None = None, precision: str = "auto"
) -> SimdProgram:
    """Make `model` ready.

    precision: "auto" keeps values in u8 where the model knows their ranges, "float32" nothing.
    Raises BackendError.
    """
    if threads is not None and not 1 <= threads <= MOST_THREADS:
        raise BackendError(f"threads is {threads}, expected 1 to {MOST_THREADS}")
    if precision not in ("auto", "float32"):
        raise BackendError(f"precision is {precision!r}, expected 'auto' or 'float32'")
    reason = unavailable()
    if reason:
        raise BackendError(f"simd: {reason}")
    assembly = _assembly(model, precision)
    count = threads or default_threads()
    library = await _library(assembly.size(count), count)
    program = SimdProgram(model, assembly, library, probe=threads is None)
    if sys.platform != "emscripten":  # a page is busy while it starts, and tunes later
        program.tune()
    return program


async def compile_unrounded(model: Model, *, threads: int | None = None) -> SimdProgram | None:
    """Make `model` ready with all values in float32, unless they are so anyway.

    None, too, when it would take more memory than a page should. Raises BackendError.
    """
    if not model.ranges:
        return None
    assembly = _assembly(model, "float32")
    if assembly.size(1) > MOST_UNROUNDED:
        return None
    count = threads or default_threads()
    return SimdProgram(model, assembly, await _library(assembly.size(count), count))


def prepare(model: Model) -> None:
    """Lower `model` now: `compile` of the same object takes what is made here."""
    _prepared[:] = [(model, _assembly(model, "auto"))]


def _assembly(model: Model, precision: str) -> Assembly:
    for known, assembly in _prepared:
        if known is model and precision == "auto":
            return assembly
    return assemble(lower(model, LOWERING, quantize=precision == "auto"))


_prepared: list[tuple[Model, Assembly]] = []


def default_threads() -> int:
    """Return how many threads to try when nobody says: one for each processor, up to the most."""
    if sys.platform == "emscripten":
        from offcut.backends.simd import library_js

        return min(library_js.most_threads(), MOST_THREADS)
    if hasattr(os, "sched_getaffinity"):
        return min(len(os.sched_getaffinity(0)), MOST_THREADS)
    return min(os.cpu_count() or 1, MOST_THREADS)


async def _library(size: int, threads: int) -> Library:
    if sys.platform == "emscripten":
        from offcut.backends.simd import library_js

        return await library_js.open_library(size, threads)
    from offcut.backends.simd import compile_native, library_native

    return library_native.NativeLibrary(compile_native.library(), size, threads)
