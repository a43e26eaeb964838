"""Assembly: from a Draft to bytes in the kernels' memory, and the steps of a run.

0            control block (program.c)
OPS          op table: the program's ops, then the packing ops
constants    tables of offsets, resize taps, conversion parameters
regions      packed weights, written by the packing ops at load
arena        buffers, by plan; at load it holds what the packing ops read
scratch      one piece for each thread
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from offcut.backends.simd.draft import (
    Argument,
    Download,
    Draft,
    Host,
    Instruction,
    Pack,
    Region,
    Step,
    Table,
    Upload,
)
from offcut.backends.simd.lifetimes import lifetimes
from offcut.backends.simd.table import CONTROL_BYTES, OP_BYTES, pack_control, pack_op
from offcut.plan import ALIGNMENT, plan

__all__ = ["Assembly", "Batch", "Run", "Transfer", "assemble"]

Piece = tuple[int, np.ndarray | bytes]  # offset, what to write there
STRETCH_MACS = 1 << 30  # a checkpoint comes at least this often: some ten milliseconds


@dataclass(frozen=True, slots=True)
class Run:
    """Run ops [begin, end)."""

    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Transfer:
    """Copy between the array `name` and float channels f32 [h][w] at `offsets`."""

    name: str
    into: bool  # from the array into the memory
    offsets: tuple[int, ...]
    height: int
    width: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Packing ops [begin, end): write what they read and the ops themselves, then run them."""

    read: Piece
    ops: Piece
    run: Run


@dataclass(frozen=True, slots=True)
class Assembly:
    """A program ready for a memory. image: what to write before anything runs."""

    draft: Draft
    steps: tuple[Run | Transfer | Host, ...]
    image: Piece
    offsets: Mapping[str, int]  # of ops, arena, scratch
    regions: tuple[int, ...]
    arena_size: int
    scratch_size: int

    def size(self, threads: int) -> int:
        """Bytes of the whole memory."""
        return self.offsets["scratch"] + threads * self.scratch_size

    def control(self, threads: int) -> bytes:
        """Return the control block."""
        return pack_control(
            threads=threads,
            ops=self.offsets["ops"],
            scratch=self.offsets["scratch"],
            scratch_size=self.scratch_size,
        )

    def batches(self) -> Iterator[Batch]:
        """Decode the weights, as many at a time as the arena holds, and say how to pack them."""
        first = sum(isinstance(step, Instruction) for step in self.draft.steps)
        begin, at, ops = first, 0, b""
        pieces: list[Piece] = []
        for number, pack in enumerate(self.draft.packs, first):
            made, size = self._staged(pack, at)
            if at + size > self.arena_size:
                yield self._batch(begin, number, pieces, ops)
                begin, at, pieces, ops = number, 0, [], b""
                made, size = self._staged(pack, 0)
            resolved = {key: self._place(value, made) for key, value in pack.args.items()}
            resolved["source"] = made["source"][0]
            ops += pack_op(pack.kernel, pack.units, resolved)
            pieces += made.values()
            at += size
        if ops:
            yield self._batch(begin, first + len(self.draft.packs), pieces, ops)

    def _batch(self, begin: int, end: int, pieces: list[Piece], ops: bytes) -> Batch:
        where = self.offsets["ops"] + begin * OP_BYTES
        return Batch(_joined(pieces), (where, ops), Run(begin, end))

    def _staged(self, pack: Pack, at: int) -> tuple[dict[object, Piece], int]:
        """Place what one packing op reads in the arena from byte `at` on."""
        first = at
        made: dict[object, Piece] = {}
        source = np.ascontiguousarray(pack.source(), "<f4").reshape(-1)
        blobs = {"source": source} | {v: v for v in pack.args.values() if isinstance(v, bytes)}
        for key, blob in blobs.items():
            made[key] = (self.offsets["arena"] + at, blob)
            at += _aligned(len(blob) if isinstance(blob, bytes) else blob.nbytes)
        return made, at - first

    def _place(self, value: Argument, made: Mapping[object, Piece]) -> float:
        if isinstance(value, bytes):
            return made[value][0]
        if isinstance(value, Region):
            return self.regions[value.number] + value.at
        assert not isinstance(value, Table)
        return value


def assemble(draft: Draft) -> Assembly:
    """Plan the arena, place everything and resolve the instructions' arguments."""
    instructions = [step for step in draft.steps if isinstance(step, Instruction)]
    buffers, owners = lifetimes(draft)
    places, arena_size = plan(buffers)
    ops_end = CONTROL_BYTES + OP_BYTES * (len(instructions) + len(draft.packs))
    constants = _Constants(_aligned(ops_end))
    for content in draft.contents.values():
        constants.reserve(content)
    for step in instructions:
        for value in step.args.values():
            constants.reserve(value)
    at = constants.end
    regions = []
    for size in draft.regions:
        regions.append(at)
        at += _aligned(size)
    arena = at
    arena_size = max([arena_size, *map(_staging_size, draft.packs)])
    addresses = [arena + places[owner] for owner in owners]
    for number, content in draft.contents.items():
        addresses[number] = constants.at[content]
    ops = b"".join(_op(step, constants, regions) for step in instructions)
    offsets = {"ops": CONTROL_BYTES, "arena": arena, "scratch": arena + _aligned(arena_size)}
    wanted = [step.scratch for step in instructions] + [pack.scratch for pack in draft.packs]
    return Assembly(
        draft,
        tuple(_run_steps(draft.steps, addresses)),
        _joined([(CONTROL_BYTES, ops), *constants.image(addresses)]),
        offsets,
        tuple(regions),
        arena_size,
        _aligned(max([64, *wanted])),
    )


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _joined(pieces: Sequence[Piece]) -> Piece:
    """Return one piece of several, in rising order: few calls write it."""
    flat = [(at, np.frombuffer(data, np.uint8)) for at, data in pieces]
    begin, end = flat[0][0], flat[-1][0] + flat[-1][1].size
    whole = np.zeros(end - begin, np.uint8)
    for at, data in flat:
        whole[at - begin : at - begin + data.size] = data
    return begin, whole


def _staging_size(pack: Pack) -> int:
    count = sum(_aligned(len(value)) for value in pack.args.values() if isinstance(value, bytes))
    return count + _aligned(pack.weights * 4)


class _Constants:
    """Tables and bytes, each placed once."""

    def __init__(self, begin: int) -> None:
        self.end = begin
        self.at: dict[Table | bytes, int] = {}

    def reserve(self, value: Argument) -> None:
        """Give the value a place, unless it is a number or has one."""
        if not isinstance(value, Table | bytes) or value in self.at:
            return
        self.at[value] = self.end
        size = len(value) if isinstance(value, bytes) else 4 * len(value.places)
        self.end += -(-size // 16) * 16
        self.end = _aligned(self.end) if size >= ALIGNMENT else self.end

    def image(self, addresses: list[int]) -> Iterator[tuple[int, bytes]]:
        """Return where to write what."""
        for value, at in self.at.items():
            if isinstance(value, Table):
                table = [addresses[buffer] + offset for buffer, offset in value.places]
                yield at, np.array(table, "<u4").tobytes()
            else:
                yield at, value


def _op(step: Instruction, constants: _Constants, regions: list[int]) -> bytes:
    args: dict[str, float] = {}
    for key, value in step.args.items():
        if isinstance(value, Table | bytes):
            args[key] = constants.at[value]
        elif isinstance(value, Region):
            args[key] = regions[value.number] + value.at
        else:
            args[key] = value
    return pack_op(step.kernel, step.units, args)


def _run_steps(steps: list[Step], addresses: list[int]) -> Iterator[Run | Transfer | Host]:
    """Join instructions into stretches, cut where they grow long."""
    begin = end = macs = 0
    for step in steps:
        if isinstance(step, Instruction):
            end += 1
            macs += step.macs
            if macs >= STRETCH_MACS:
                yield Run(begin, end)
                begin, macs = end, 0
            continue
        if end > begin:
            yield Run(begin, end)
            begin, macs = end, 0
        yield step if isinstance(step, Host) else _transfer(step, addresses)
    if end > begin:
        yield Run(begin, end)


def _transfer(step: Upload | Download, addresses: list[int]) -> Transfer:
    offsets = tuple(addresses[buffer] + at for buffer, at in step.value.places)
    grid = step.value.grid
    return Transfer(step.name, isinstance(step, Upload), offsets, grid.height, grid.width)
