"""The kernels under AddressSanitizer and UndefinedBehaviorSanitizer, in a process of their own.

    python -m tests.simd.sanitized BEGIN END        random networks of these seeds
    python -m tests.simd.sanitized cases            every operator's cases of tests/conformance.py
    python -m tests.simd.sanitized pictures         what workbench.py does, on random pictures
    python -m tests.simd.sanitized trespass         an op that may touch too little: must be caught

A fault ends the process with exit code 99 and the sanitizer's report.

The kernels' memory is one block, in which a sanitizer sees nothing wrong by itself. So before each
op everything is poisoned that the op has no business with: other buffers, the gap after each buffer
and each piece of packed weights, scratch beyond what the op asked for. GCC compiles the library
(it has both sanitizers wherever it is installed); LD_PRELOAD brings the runtime into Python.
"""

from __future__ import annotations

import asyncio
import copy
import ctypes
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from offcut.backends import no_checkpoint
from offcut.backends.simd import LOWERING, compile_native, workbench
from offcut.backends.simd.assemble import Assembly, assemble
from offcut.backends.simd.draft import Instruction
from offcut.backends.simd.library_native import NativeLibrary
from offcut.backends.simd.lifetimes import lifetimes
from offcut.backends.simd.lower import lower
from offcut.backends.simd.program import Library, SimdProgram
from offcut.container import Model
from offcut.imaging.foreground import spread
from offcut.imaging.guided import coefficients
from offcut.imaging.png import deflated, filter_rows
from offcut.imaging.preview import shrink_blocks
from offcut.imaging.refine import enlarged
from offcut.imaging.resample import bilinear_kernel, bilinear_taps, block_sums, filtered
from offcut.imaging.unmix import unmix
from offcut.plan import plan
from tests import conformance
from tests.simd.networks import evaluate, random_network

FLAGS = ["-std=gnu11", "-O1", "-g", "-march=native", "-ffp-contract=off", "-shared", "-fPIC"]
FLAGS += ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
FLAGS += ["-Wno-unknown-pragmas", "-Wno-psabi"]
GAP = 128  # bytes after each buffer and each piece of packed weights
THREADS = (1, 2, 3)
# Looser than in test_bits.py: more seeds; here it only matters that the right thing was computed.
TOLERANCE_U8 = 0.1
TOLERANCE_FLOAT = 1e-4

Span = tuple[int, int]  # begin and end, bytes from the memory's start


def compile_library(path: Path) -> None:
    """Compile the kernels with both sanitizers."""
    sources = [str(source) for source in sorted(compile_native.SOURCES.glob("*.c"))]
    subprocess.run(["gcc", *FLAGS, *sources, "-o", str(path)], check=True, capture_output=True)


def environment() -> dict[str, str]:
    """Return the variables with which Python can load that library."""
    runtime = subprocess.run(
        ["gcc", "-print-file-name=libasan.so"], check=True, capture_output=True, text=True
    )
    return {
        "LD_PRELOAD": runtime.stdout.strip(),
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0:exitcode=99",
        "UBSAN_OPTIONS": "print_stacktrace=1:exitcode=99",
    }


class SanitizedLibrary(NativeLibrary):
    """Runs ops one by one, each with only its own memory at hand."""

    def __init__(self, path: Path, assembly: Assembly, threads: int) -> None:
        super().__init__(path, assembly.size(threads), threads)
        self._assembly = assembly
        self._staged: list[Span] = []
        self.withheld = 0  # bytes at the end of each buffer that ops may not touch either
        self._ops = [step for step in assembly.draft.steps if isinstance(step, Instruction)]
        self._buffers = dict(_buffer_spans(assembly))

    def write(self, offset: int, data: np.ndarray | bytes) -> None:
        """Copy bytes into the memory; in the arena they are what the next packing op reads."""
        super().write(offset, data)
        size = len(data) if isinstance(data, bytes) else data.nbytes
        if self._assembly.offsets["arena"] <= offset < self._assembly.offsets["scratch"]:
            self._staged.append((offset, offset + size))

    def run(self, begin: int, end: int) -> None:
        """Run ops [begin, end), each alone."""
        for number in range(begin, end):
            self._poison(self._own(number))
            super().run(number, number + 1)
            self._call("unpoison", 0, self._memory.size)
        self._staged = []

    def _own(self, number: int) -> list[Span]:
        """Return what op `number` may touch beyond control block, tables and constants."""
        draft, regions = self._assembly.draft, self._assembly.regions
        spans = [(at, at + size - GAP) for at, size in zip(regions, draft.regions, strict=True)]
        if number < len(self._ops):
            op: Instruction = self._ops[number]
            buffers = [self._buffers[buffer] for buffer in op.buffers]
            spans += [(first, last - self.withheld) for first, last in buffers]
            scratch = op.scratch
        else:
            spans += self._staged
            scratch = draft.packs[number - len(self._ops)].scratch
        for ith in range(self.threads):
            at = self._assembly.offsets["scratch"] + ith * self._assembly.scratch_size
            spans.append((at, at + scratch))
        return spans

    def _poison(self, own: list[Span]) -> None:
        begin = min(self._assembly.regions, default=self._assembly.offsets["arena"])
        self._call("poison", begin, self._memory.size - begin)
        for first, last in own:
            self._call("unpoison", first, last - first)

    def _call(self, verb: str, begin: int, size: int) -> None:
        call_sanitizer(verb, self._memory[begin : begin + size])


def call_sanitizer(verb: str, memory: np.ndarray) -> None:
    """Let nothing touch bytes any more ("poison"), or let all do it again ("unpoison")."""
    function = getattr(ctypes.CDLL(None), f"__asan_{verb}_memory_region")
    function(ctypes.c_void_p(memory.ctypes.data), ctypes.c_size_t(memory.size))


class SanitizedWorkbench(workbench.Workbench):
    """Runs the ops of a job one by one, each with only its own arrays and scratch at hand."""

    def __init__(self) -> None:
        path = Path(os.environ["OFFCUT_SANITIZED"])
        super().__init__(lambda size: NativeLibrary(path, size, 1))

    def _run(
        self, library: Library, ops: Sequence[workbench.Op], spans: Mapping[str, slice]
    ) -> None:
        assert isinstance(library, NativeLibrary)
        begin = min(span.start for span in spans.values())
        for number, op in enumerate(ops):
            call_sanitizer("poison", library._memory[begin:])
            for name in (*op.arrays.values(), "scratch"):
                call_sanitizer("unpoison", library._memory[spans[name]])
            library.run(number, number + 1)
            call_sanitizer("unpoison", library._memory)


def _buffer_spans(assembly: Assembly) -> Iterator[tuple[int, Span]]:
    buffers, owners = lifetimes(assembly.draft)
    places, _ = plan(buffers)
    arena = assembly.offsets["arena"]
    for number, (owner, size) in enumerate(zip(owners, assembly.draft.buffers, strict=True)):
        at = arena + places[owner]
        yield number, (at, at + size - GAP)


def run(
    model: Model, inputs: dict[str, np.ndarray], *, threads: int, quantize: bool, withheld: int = 0
) -> dict[str, np.ndarray]:
    """Run a model with a gap after every piece of memory."""
    draft = lower(model, LOWERING, quantize=quantize)
    for sizes in (draft.buffers, draft.regions):
        sizes[:] = [size + GAP for size in sizes]
    assembly = assemble(draft)
    library = SanitizedLibrary(Path(os.environ["OFFCUT_SANITIZED"]), assembly, threads)
    library.withheld = withheld
    program = SimdProgram(model, assembly, library)
    try:
        return asyncio.run(program.run(inputs, no_checkpoint))
    finally:
        program.close()


def run_networks(begin: int, end: int) -> None:
    """Run random networks, and compare each with its definition."""
    for seed in range(begin, end):
        model, inputs = random_network(seed)
        weights = {name: tensor.decode() for name, tensor in model.weights.items()}
        want = evaluate(model.graph.nodes, {**inputs, **weights})
        for quantize in (True, False):
            print(f"network {seed}, quantize {quantize}", flush=True)
            threads = THREADS[seed % len(THREADS)]
            got = run(model, inputs, threads=threads, quantize=quantize)
            for name, value in got.items():
                error = abs(value - want[name]).max() / abs(want[name]).max()
                assert error < (TOLERANCE_U8 if quantize else TOLERANCE_FLOAT), (seed, name, error)


def run_cases() -> None:
    """Run every operator on its cases."""
    for number, case in enumerate(conformance.cases()):
        print(case, flush=True)
        model = conformance.as_model(case)
        inputs = dict(zip(model.graph.inputs, case.inputs, strict=False))
        for quantize in (True, False):
            run(model, inputs, threads=THREADS[number % len(THREADS)], quantize=quantize)


def joined(deflate: Callable[..., Any]) -> Callable[..., np.ndarray]:
    """Return `deflate`, of which the parts are put together."""
    return lambda pixels: np.frombuffer(b"".join(part for _, part in deflate(pixels)), np.uint8)


def run_pictures() -> None:
    """Do every job of the workbench on pictures of random sizes, and compare with numpy's."""
    workbench.SMALL, workbench.GAP = 0, GAP
    bench = SanitizedWorkbench()
    for seed in range(30):
        print(f"picture {seed}", flush=True)
        rng = np.random.default_rng(seed)
        high, wide, small_high, small_wide = (int(n) for n in rng.integers(1, 70, 4))
        planes = rng.random((3, small_high, small_wide), np.float32)
        pixels = rng.integers(0, 256, (high, wide, 4)).astype(np.uint8)
        matte = rng.choice(np.array([0, 1, 128, 255], np.uint8), (high, wide))
        rows, columns = bilinear_kernel(small_high, high), bilinear_kernel(small_wide, wide)
        taps = bilinear_taps(small_high, high), bilinear_taps(small_wide, wide)
        cells = rng.uniform(0, 255, (small_high, small_wide, 8)).astype(np.float32)
        colours = cells[..., :4].transpose(2, 0, 1).copy()
        block = int(rng.integers(1, 1 + min(8, high, wide)))
        raw = pixels.reshape(high, -1)
        jobs: list[tuple[Callable[..., Any], Callable[..., Any], tuple[Any, ...]]] = [
            (bench.filter, filtered.definition, (planes, rows, columns)),
            (bench.coefficients, coefficients.definition, (planes[0], planes)),
            (bench.enlarged, enlarged.definition, (colours / 255, pixels, *taps)),
            (bench.unmix, unmix.definition, (pixels, matte, cells, *taps)),
            (bench.spread, spread.definition, (colours,)),
            (bench.filter_png, filter_rows.definition, (raw, raw[0], 4)),
            (joined(bench.deflate_png), joined(deflated.definition), (pixels,)),
            (bench.sum_blocks, block_sums.definition, (pixels, block, block + 1)),
            (bench.shrink_blocks, shrink_blocks.definition, (pixels, block)),
        ]
        for job, definition, arguments in jobs:
            ours, its = copy.deepcopy(arguments), copy.deepcopy(arguments)
            assert np.array_equal(job(*ours), definition(*its)), (seed, job)
            assert np.array_equal(ours[0], its[0]), (seed, job)  # unmix works in place


def main(arguments: list[str]) -> None:
    """Run what was asked for."""
    if arguments == ["cases"]:
        run_cases()
    elif arguments == ["pictures"]:
        run_pictures()
    elif arguments == ["trespass"]:
        model, inputs = random_network(0)
        run(model, inputs, threads=1, quantize=True, withheld=256)
    else:
        run_networks(*map(int, arguments))
    print("no fault")


if __name__ == "__main__":
    main(sys.argv[1:])
