"""One operator on one shape, as the networks have it: a row of the table per operator.

`networks.py` lists the rows; `op_model.py` makes an ONNX file of one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Op", "Shape"]

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Op:
    """An operator of Offcut's graphs, whose semantics are ONNX's.

    inputs: shapes of the values it reads. weights: shapes of its constant operands, which follow.
    attributes: as in offcut.graph, so an `activation` may be among them.
    """

    op: str
    inputs: tuple[Shape, ...]
    weights: tuple[Shape, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Operator, kernel, channels and size, such as `conv3x3-64x16-dilated2-relu@20x20`."""
        parts = [self._kernel(), self._channels(), *self._marks()]
        return "-".join(filter(None, parts)) + f"@{_size(self.inputs[0])}"

    def _kernel(self) -> str:
        if self.op in ("Conv", "ConvTranspose"):
            kernel = "x".join(map(str, self.weights[0][2:]))
            depthwise = self.attributes.get("group", 1) > 1
            return ("depthwise" if depthwise else self.op.lower()) + kernel
        return self.op.lower()

    def _channels(self) -> str:
        if self.op == "Conv" and self.attributes.get("group", 1) == 1:
            return f"{self.inputs[0][1]}x{self.weights[0][0]}"
        if self.op == "Concat":
            return "+".join(str(shape[1]) for shape in self.inputs)
        return "x".join(map(str, self.inputs[0][1:2]))

    def _marks(self) -> list[str]:
        """Return what else tells this row from others."""
        known = self.attributes
        marks = []
        if max(known.get("strides", (1,))) > 1 and self.op.startswith("Conv"):
            marks.append(f"stride{known['strides'][0]}")
        if max(known.get("dilations", (1,))) > 1:
            marks.append(f"dilated{known['dilations'][0]}")
        if "size" in known:
            marks.append("to" + "x".join(map(str, known["size"])))
        operands = (*self.inputs, *self.weights)
        if self.op in ("Add", "Mul") and operands[1] != operands[0]:
            marks.append("by-channel")
        if known.get("activation"):
            marks.append(str(known["activation"]).lower())
        return marks


def _size(shape: Shape) -> str:
    return "x".join(map(str, shape[2:])) or "1"
