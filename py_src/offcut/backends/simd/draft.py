"""A program being lowered: instructions and buffers, not yet placed in memory.

Arguments of an instruction are numbers, or stand for an offset that assembly fills in: a Table of
places, bytes (a constant), or a Region (packed weights, written at load).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from offcut.backends.simd.values import CELL, Grid, Place, Plane, Quantization, Value
from offcut.graph import Node

__all__ = [
    "Argument",
    "Download",
    "Draft",
    "Host",
    "Instruction",
    "Pack",
    "Region",
    "Step",
    "Table",
    "Upload",
]


@dataclass(frozen=True, slots=True)
class Table:
    """The offset of a list of offsets."""

    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Region:
    """The offset of a piece of memory that packing fills; `at` bytes from its start."""

    number: int
    at: int = 0


Argument = float | Table | Region | bytes


@dataclass(frozen=True, slots=True)
class Instruction:
    """One op of the table. buffers: those it reads or writes. macs: multiply-accumulates."""

    kernel: str
    units: int
    args: Mapping[str, Argument]
    buffers: tuple[int, ...]
    scratch: int = 0  # bytes that each thread needs
    macs: int = 0
    name: str = ""


@dataclass(frozen=True, slots=True)
class Pack:
    """One packing op, run at load; `source` decodes the f32 weights it reads."""

    kernel: str
    units: int
    args: Mapping[str, Argument]
    source: Callable[[], np.ndarray]
    weights: int  # how many it reads
    scratch: int


@dataclass(frozen=True, slots=True)
class Host:
    """A node that has no kernel here: the numpy definition runs it."""

    node: Node


@dataclass(frozen=True, slots=True)
class Upload:
    """Copy the array `name` into a float value."""

    name: str
    value: Value


@dataclass(frozen=True, slots=True)
class Download:
    """Copy a float value to the array `name`."""

    name: str
    value: Value


Step = Instruction | Host | Upload | Download


@dataclass(slots=True)
class Draft:
    """What lowering has made so far."""

    steps: list[Step] = field(default_factory=list)
    packs: list[Pack] = field(default_factory=list)
    buffers: list[int] = field(default_factory=list)  # sizes in bytes
    regions: list[int] = field(default_factory=list)  # sizes in bytes
    contents: dict[int, bytes] = field(default_factory=dict)  # of buffers that hold constants
    fallbacks: dict[str, str] = field(default_factory=dict)  # node -> why it has no kernel

    def region(self, size: int) -> Region:
        """Reserve `size` bytes for packed weights."""
        self.regions.append(size)
        return Region(len(self.regions) - 1)

    def float_value(self, channels: int, grid: Grid) -> Value:
        """Make a buffer for a float value.

        It ends with room for what strided kernels load and do not use: one float.
        """
        self.buffers.append(channels * grid.channel_bytes + 4)
        return self._float_planes(channels, grid)

    def constant_value(self, array: np.ndarray, channels: int, grid: Grid) -> Value:
        """Make a buffer that holds `array` (channels, height, width) all the time."""
        self.contents[len(self.buffers)] = np.ascontiguousarray(array, "<f4").tobytes()
        self.buffers.append(0)  # takes no room in the arena
        return self._float_planes(channels, grid)

    def _float_planes(self, channels: int, grid: Grid) -> Value:
        buffer = len(self.buffers) - 1
        planes = tuple(Plane((buffer, i * grid.channel_bytes), 1) for i in range(channels))
        return Value(True, grid, planes)

    def u8_value(
        self,
        channels: int,
        grid: Grid,
        quantization: Quantization,
        portions: tuple[float, ...] = (),
    ) -> Value:
        """Make a buffer for a u8 value of full planes; the last may have fewer channels.

        portions: see Plane.
        """
        whole = Plane((0, 0), channels, quantization, portions)
        cuts = [(first, min(first + CELL, channels)) for first in range(0, channels, CELL)]
        return self.u8_planes([whole.cut(*cut) for cut in cuts], grid)

    def u8_planes(self, planes: Sequence[Plane], grid: Grid) -> Value:
        """Make a buffer for planes like these, at places of their own."""
        self.buffers.append(len(planes) * grid.plane_bytes)
        buffer = len(self.buffers) - 1
        places = [(buffer, i * grid.plane_bytes + grid.origin) for i in range(len(planes))]
        made = [replace(like, place=place) for place, like in zip(places, planes, strict=True)]
        return Value(False, grid, tuple(made))
