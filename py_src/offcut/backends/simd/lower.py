"""Lower a Graph to kernels: choose how each value is stored, and a kernel for each node.

A value is kept in u8 when calibration knows its range, it has enough channels to fill planes, and
the card does not want it in float32; otherwise, and at the network's ends, in floats. A node that
needs its input in the other form gets it by a conversion. A node without a kernel runs as its numpy
definition, and the draft records why.

A kernel's lowering is a function (lowering, node) -> reason in the table of __init__.py; it returns
"" when it has emitted the node, or why it cannot.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field

import numpy as np

from offcut.backends.simd.draft import Argument, Download, Draft, Host, Instruction, Table, Upload
from offcut.backends.simd.storage import bendable_values, values_by_channel
from offcut.backends.simd.values import Grid, Quantization, Value, quantization
from offcut.container import Model
from offcut.graph import Graph, Node
from offcut.spans import portions_of

__all__ = ["Lower", "Lowering", "lower"]

LEAST_CHANNELS = 8  # fewer would leave most of a plane empty


@dataclass(slots=True)
class Lowering:
    """The state of one lowering: where each value is, and the draft."""

    model: Model
    quantize: bool  # False: everything in floats
    draft: Draft = field(default_factory=Draft)
    u8: dict[str, Value] = field(default_factory=dict)
    floats: dict[str, Value] = field(default_factory=dict)
    host: set[str] = field(default_factory=set)
    done: set[str] = field(default_factory=set)  # nodes that another one has taken in
    users: Mapping[str, list[Node]] = field(default_factory=dict)
    bendable: Set[str] = frozenset()  # values that all their readers can read bent
    by_channel: Set[str] = frozenset()  # and by channel: see storage.py

    @property
    def graph(self) -> Graph:
        """The graph that is lowered."""
        return self.model.graph

    def grid(self, name: str) -> Grid | None:
        """Return the size of the value's feature map; None when it is not one of batch 1."""
        shape = self.graph.shapes[name]
        return Grid(shape[2], shape[3]) if len(shape) == 4 and shape[0] == 1 else None

    def extent(self, name: str) -> Grid | None:
        """Return what each channel of a value (1, c), (1, c, w) or (1, c, h, w) extends over."""
        shape = self.graph.shapes[name]
        if not 2 <= len(shape) <= 4 or shape[0] != 1:
            return None
        height, width = (1, 1, *shape[2:])[-2:]
        return Grid(height, width)

    def only_user(self, name: str) -> Node | None:
        """Return the one node that reads the value; None when there are others, or it goes out."""
        users = self.users.get(name, [])
        return users[0] if len(users) == 1 and name not in self.graph.outputs else None

    def range_of(self, name: str, activation: str = "") -> Quantization | None:
        """Return how to quantize the value, None when it is to be kept in floats."""
        bounds = self.model.ranges.get(name)
        if bounds is None or not self.quantize or self.grid(name) is None:
            return None
        if name in self.model.card.float32:
            return None
        return quantization(*bounds, activation)

    def portions_of(self, name: str) -> tuple[float, ...]:
        """Return how much of the value's range each channel takes; empty: all take all of it."""
        spans = self.model.spans.get(name)
        if spans is None or not spans.any() or name not in self.by_channel:
            return ()
        return tuple(portions_of(spans).tolist())

    def wants_u8(self, name: str) -> bool:
        """Return whether the value fills planes, so that u8 is worth it."""
        grid = self.grid(name)
        if grid is None or grid.height * grid.width == 1:
            return False
        return self.graph.shapes[name][1] >= LEAST_CHANNELS

    def emit(
        self,
        kernel: str,
        units: int,
        args: Mapping[str, Argument],
        values: tuple[Value, ...],
        *,
        scratch: int = 0,
        macs: int = 0,
        name: str = "",
    ) -> None:
        """Add an instruction that reads and writes `values`."""
        buffers = tuple(dict.fromkeys(b for value in values for b in value.buffers))
        step = Instruction(kernel, units, args, buffers, scratch, macs, name)
        self.draft.steps.append(step)

    def as_floats(self, name: str) -> Value | None:
        """Return the value in floats, converting it if necessary; None when it cannot be."""
        if name in self.floats:
            return self.floats[name]
        grid = self.extent(name)
        if grid is None or name in self.model.weights:
            return None
        made = self.draft.float_value(self.graph.shapes[name][1], grid)
        if name in self.u8:
            self._dequantize(self.u8[name], made)
        else:
            self.draft.steps.append(Upload(name, made))
        self.floats[name] = made
        return made

    def as_u8(self, name: str) -> Value | None:
        """Return the value in u8, converting it if its range is known; None when it is not."""
        if name in self.u8:
            return self.u8[name]
        steps = self.range_of(name)
        source = self.as_floats(name) if steps else None
        if steps is None or source is None:
            return None
        made = self.draft.u8_value(source.channels, source.grid, steps)
        self._quantize(source, made, steps)
        self.u8[name] = made
        return made

    def preferred_u8(self, name: str) -> Value | None:
        """Return the value in u8 if it is there or worth a conversion; None: use floats."""
        return self.u8.get(name) or (self.as_u8(name) if self.wants_u8(name) else None)

    def to_host(self, name: str) -> None:
        """Make the value an array for numpy."""
        if name in self.host or name in self.model.weights:
            return
        value = self.as_floats(name)
        assert value is not None, name
        self.draft.steps.append(Download(name, value))
        self.host.add(name)

    def _dequantize(self, source: Value, made: Value) -> None:
        rows = [(q.scale, -q.zero * q.scale, float(q.knee)) for q in source.quantizations]
        self._convert("dequantize", source, (source, made), rows)

    def _quantize(self, source: Value, made: Value, steps: Quantization) -> None:
        pairs = [(1.0 / steps.scale, float(steps.zero))] * source.channels
        self._convert("quantize", made, (source, made), pairs)

    def _convert(
        self,
        kernel: str,
        planes: Value,
        values: tuple[Value, Value],
        parameters: Sequence[tuple[float, ...]],
    ) -> None:
        """Emit a conversion of values[0] to values[1], one of which are the u8 `planes`."""
        grid = planes.grid
        args: dict[str, Argument] = {
            "in": Table(values[0].places),
            "out": Table(values[1].places),
            "planes": len(planes.planes),
            "counts": planes.counts,
            "h": grid.height,
            "w": grid.width,
            "pitch": grid.pitch,
            "parameters": np.array(parameters, "<f4").tobytes(),
        }
        self.emit(kernel, grid.height, args, values, name=kernel)


Lower = Callable[[Lowering, Node], str]


def lower(model: Model, lowerings: Mapping[str, Lower], *, quantize: bool) -> Draft:
    """Return the program of the model's graph. quantize: use u8 where ranges are known."""
    graph = model.graph
    users = graph.users()
    quantize = quantize and bool(model.ranges)
    state = Lowering(model, quantize, users=users)
    if quantize:
        state.bendable = bendable_values(graph, users)
        state.by_channel = values_by_channel(graph, users)
    state.host.update(graph.inputs)
    for node in graph.nodes:
        if node.name in state.done:
            continue
        function = lowerings.get(node.op)
        reason = function(state, node) if function else f"{node.op} has no kernel"
        if reason:
            for name in filter(None, node.inputs):
                state.to_host(name)
            state.draft.steps.append(Host(node))
            state.host.update(node.outputs)
            state.draft.fallbacks[node.name] = reason
    for name in graph.outputs:
        state.to_host(name)
    return state.draft
