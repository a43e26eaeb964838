"""How a value of the graph lies in the kernels' memory: u8 planes of 16 channels, or floats.

kernels/program.h draws a plane. Offsets are relative to a buffer, whose place the arena's plan
decides later; a (buffer, offset) pair is called a place.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["BLOCK", "CELL", "Grid", "Place", "Plane", "Quantization", "Value", "quantization"]

CELL = 16  # channels of a plane; bytes of one pixel
KNEE, MOST_BENT = 186, 393  # as in kernels/plane.h
BLOCK = 8  # channels of a half plane, which the convolutions work on

Place = tuple[int, int]  # buffer, offset in it


@dataclass(frozen=True, slots=True)
class Quantization:
    """real = (u8 - zero) * scale."""

    scale: float
    zero: int
    bent: bool = False  # u8 then stand for 0..393 by a line with a knee: see kernels/plane.h

    @property
    def most(self) -> int:
        """The largest number of steps that a u8 stands for."""
        return MOST_BENT if self.bent else 255

    @property
    def knee(self) -> int:
        """The u8 from which on steps are wider."""
        return KNEE if self.bent else 255

    def bend(self) -> Quantization:
        """Return the same range with finer steps up to the knee, if it starts at 0."""
        return self if self.zero else Quantization(self.scale * 255.0 / MOST_BENT, 0, bent=True)


def quantization(low: float, high: float, activation: str = "") -> Quantization:
    """Return the scale that covers [low, high] and 0, as far as `activation` reaches there."""
    low, high = min(low, 0.0), max(high, 0.0)
    if activation in ("Relu", "Relu6", "Sigmoid"):
        low = 0.0
    if activation in ("Relu6", "Sigmoid"):
        high = min(high, 6.0 if activation == "Relu6" else 1.0)
    scale = (high - low) / 255.0
    if scale < 1e-30:
        return Quantization(1.0, 0)
    return Quantization(scale, round(-low / scale))


@dataclass(frozen=True, slots=True)
class Grid:
    """The size of a feature map, and of a u8 plane that holds it with its border."""

    height: int
    width: int

    @property
    def whole_width(self) -> int:
        """Cells of a row without its border: the width in whole tiles of 4."""
        return -(-self.width // 4) * 4

    @property
    def pitch(self) -> int:
        """Bytes from one row to the next."""
        return (self.whole_width + 2) * CELL

    @property
    def plane_bytes(self) -> int:
        """Bytes of a plane."""
        return (-(-self.height // 4) * 4 + 2) * self.pitch

    @property
    def origin(self) -> int:
        """Where cell (0, 0) lies in a plane."""
        return self.pitch + CELL

    @property
    def channel_bytes(self) -> int:
        """Bytes of one float channel."""
        return self.height * self.width * 4


@dataclass(frozen=True, slots=True)
class Plane:
    """Up to 16 channels of a u8 value, or one channel of a float value (quantization unused).

    portions: how much of the quantization's range each channel takes; empty: all take all of it.
    """

    place: Place  # of cell (0, 0), or of the channel's first float
    channels: int
    quantization: Quantization = Quantization(1.0, 0)
    portions: tuple[float, ...] = ()

    @property
    def quantizations(self) -> tuple[Quantization, ...]:
        """The quantization of each channel."""
        whole = self.quantization
        if not self.portions:
            return (whole,) * self.channels
        return tuple(replace(whole, scale=whole.scale * portion) for portion in self.portions)

    def cut(self, begin: int, end: int) -> Plane:
        """Return the plane of channels [begin, end), where the kernels can begin: see BLOCK."""
        buffer, offset = self.place
        place = buffer, offset + begin
        return Plane(place, end - begin, self.quantization, self.portions[begin:end])


@dataclass(frozen=True, slots=True)
class Value:
    """A value of shape (1, channels, height, width) as a list of planes."""

    floats: bool
    grid: Grid
    planes: tuple[Plane, ...]

    @property
    def channels(self) -> int:
        """The number of channels, without padding."""
        return sum(plane.channels for plane in self.planes)

    @property
    def contiguous(self) -> bool:
        """Whether the channels of a float value lie one behind the other."""
        buffer, first = self.planes[0].place
        size = self.grid.channel_bytes
        places = ((buffer, first + i * size) for i in range(len(self.planes)))
        return all(plane.place == place for plane, place in zip(self.planes, places, strict=True))

    def in_one_channel(self) -> Value:
        """Return a contiguous float value as one of a single channel with all the rows."""
        rows = self.grid.height * len(self.planes)
        return Value(True, Grid(rows, self.grid.width), self.planes[:1])

    @property
    def buffers(self) -> tuple[int, ...]:
        """The buffers that hold the value."""
        return tuple(dict.fromkeys(plane.place[0] for plane in self.planes))

    @property
    def places(self) -> tuple[Place, ...]:
        """The place of each plane."""
        return tuple(plane.place for plane in self.planes)

    @property
    def blocks(self) -> tuple[Place, ...]:
        """The place of each half plane that has a channel."""
        return tuple(
            (plane.place[0], plane.place[1] + half)
            for plane in self.planes
            for half in ((0, BLOCK) if plane.channels > BLOCK else (0,))
        )

    @property
    def lanes(self) -> tuple[int, ...]:
        """For each channel of `blocks`, which channel of the value it is; -1 for padding."""
        lanes: list[int] = []
        first = 0
        for plane in self.planes:
            room = 2 * BLOCK if plane.channels > BLOCK else BLOCK
            lanes += [first + i if i < plane.channels else -1 for i in range(room)]
            first += plane.channels
        return tuple(lanes)

    @property
    def counts(self) -> bytes:
        """The number of channels in each plane, u32 [planes]."""
        return b"".join(plane.channels.to_bytes(4, "little") for plane in self.planes)

    @property
    def quantizations(self) -> tuple[Quantization, ...]:
        """The quantization of each channel."""
        return tuple(q for plane in self.planes for q in plane.quantizations)

    @property
    def uniform(self) -> Quantization | None:
        """The quantization that all channels share, None when they differ or are bent."""
        by_channel = any(plane.portions for plane in self.planes)
        return None if self.bent or by_channel else self.shared

    @property
    def shared(self) -> Quantization | None:
        """The quantization of which all channels take some portion, None when there are several."""
        first = self.planes[0].quantization
        return first if all(plane.quantization == first for plane in self.planes) else None

    @property
    def bent(self) -> bool:
        """Whether any plane is bent."""
        return any(plane.quantization.bent for plane in self.planes)

    @property
    def knees(self) -> bytes:
        """The knee of each of `blocks`, u32 [blocks]."""
        knees = (
            plane.quantization.knee
            for plane in self.planes
            for _ in range(2 if plane.channels > BLOCK else 1)
        )
        return b"".join(knee.to_bytes(4, "little") for knee in knees)
