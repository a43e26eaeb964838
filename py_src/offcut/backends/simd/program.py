"""A compiled model: runs the op table in a library's memory, and numpy where no kernel is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from offcut.backends import Checkpoint
from offcut.backends.simd.assemble import Assembly, Run, Transfer
from offcut.backends.simd.draft import Host, Instruction
from offcut.backends.simd.probe import fastest, probe_op, untimed
from offcut.backends.simd.table import THREADS_AT
from offcut.container import Model
from offcut.errors import BackendError
from offcut.ops import OPS

__all__ = ["Library", "SimdProgram"]


class Library(Protocol):
    """The kernels with a memory of their own."""

    threads: int  # there are
    active: int  # of them that run ops
    note: str  # why there are fewer threads than wanted, "" otherwise

    def write(self, offset: int, data: np.ndarray | bytes) -> None:
        """Copy bytes into the memory."""
        ...

    def read(self, offset: int, out: np.ndarray) -> None:
        """Copy bytes of the memory into `out`."""
        ...

    def run(self, begin: int, end: int) -> None:
        """Run ops [begin, end) on the active threads."""
        ...

    def clear(self, offset: int, size: int) -> None:
        """Zero bytes of the memory."""
        ...

    def close(self) -> None:
        """Give back memory and threads."""
        ...


class SimdProgram:
    """A model in a library's memory."""

    def __init__(
        self, model: Model, assembly: Assembly, library: Library, *, probe: bool = False
    ) -> None:
        """Load `assembly` into `library`; with `probe`, tune() may choose how many threads run."""
        self.model = model
        self.library: Library | None = library
        self.threads = library.threads
        self.note = library.note
        self.fallbacks: Mapping[str, str] = assembly.draft.fallbacks
        self.bytes = assembly.size(library.threads)
        self._arena = assembly.offsets["arena"]
        self.ops = [
            (step.kernel, step.name, step.macs)
            for step in assembly.draft.steps
            if isinstance(step, Instruction)
        ]
        self._steps = assembly.steps
        self._load(assembly, library)
        self._probe = probe_op(assembly.draft) if probe and library.threads > 1 else None
        self._times = untimed(library.threads)

    def tune(self) -> None:
        """Use as many threads as are fastest now, unless the caller has said how many."""
        op, library = self._probe, self.library
        if op is not None and library is not None:
            self._use(fastest(self._times, lambda threads: self._time(op, threads)))

    def _load(self, assembly: Assembly, library: Library) -> None:
        library.write(0, assembly.control(library.threads))
        library.write(*assembly.image)
        for batch in assembly.batches():
            library.write(*batch.read)
            library.write(*batch.ops)
            library.run(batch.run.begin, batch.run.end)

    def _time(self, op: int, threads: int) -> None:
        self._use(threads)
        assert self.library is not None
        self.library.run(op, op + 1)

    def _use(self, threads: int) -> None:
        assert self.library is not None
        self.threads = self.library.active = threads
        self.library.write(THREADS_AT, threads.to_bytes(4, "little"))

    async def run(
        self, inputs: Mapping[str, np.ndarray], checkpoint: Checkpoint
    ) -> dict[str, np.ndarray]:
        """Return the graph's outputs for float32 NCHW inputs of the graph's shapes."""
        library, graph = self.library, self.model.graph
        if library is None:
            raise BackendError("simd: the program is closed")
        for name in graph.inputs:
            shape = inputs[name].shape
            if shape != graph.shapes[name]:
                raise BackendError(f"{name}: shape is {shape}, expected {graph.shapes[name]}")
        arrays = dict(inputs)
        for done, step in enumerate(self._steps):
            await checkpoint(done, len(self._steps))
            if isinstance(step, Run):
                library.run(step.begin, step.end)
            elif isinstance(step, Transfer):
                _transfer(library, step, arrays, graph.shapes[step.name])
            else:
                self._define(step, arrays)
        await checkpoint(len(self._steps), len(self._steps))
        return {name: arrays[name] for name in graph.outputs}

    def _define(self, step: Host, arrays: dict[str, np.ndarray]) -> None:
        """Run a node as its definition."""
        node = step.node
        operands: list[np.ndarray | None] = []
        for name in node.inputs:
            if name in self.model.weights:
                operands.append(self.model.weights[name].decode())
            else:
                operands.append(arrays[name] if name else None)
        made = OPS[node.op](*operands, **node.attributes)
        results = made if isinstance(made, tuple) else (made,)
        arrays.update(zip(node.outputs, results, strict=True))

    def forget(self) -> None:
        """Zero what the last run has left: the arena, and the scratch behind it."""
        if self.library is not None:
            self.library.clear(self._arena, self.bytes - self._arena)

    def close(self) -> None:
        """Give back memory and threads; the program cannot run afterwards."""
        if self.library is not None:
            self.library.close()
            self.library = None


def _transfer(
    library: Library, step: Transfer, arrays: dict[str, np.ndarray], shape: tuple[int, ...]
) -> None:
    if step.into:
        array = np.ascontiguousarray(arrays[step.name], np.float32)
        channels = array.reshape(-1, step.height, step.width)
        for offset, channel in zip(step.offsets, channels, strict=True):
            library.write(offset, channel)
        return
    made = np.empty((len(step.offsets), step.height, step.width), np.float32)
    for offset, channel in zip(step.offsets, made, strict=True):
        library.read(offset, channel)
    arrays[step.name] = made.reshape(shape)
