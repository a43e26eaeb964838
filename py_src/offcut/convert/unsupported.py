"""One error for all that a graph needs and nobody implements."""

from __future__ import annotations

from collections.abc import Sequence

from offcut.convert.onnx_reader import RawNode
from offcut.errors import UnsupportedOperatorError

__all__ = ["report"]

NAMED = 3  # nodes of one operator that are named
LISTED = 12  # lines at most
REMEDY = (
    "export the model without them (torch.onnx.export at opset 17, or onnxsim, often writes "
    "simpler operators); docs/models-of-your-own.md lists what is supported"
)


def report(
    opset: int, problems: Sequence[UnsupportedOperatorError | RawNode]
) -> UnsupportedOperatorError:
    """Return the error that names every problem: operators with their nodes, then odd uses."""
    nodes: dict[str, list[str]] = {}
    lines: list[str] = []
    for problem in problems:
        if isinstance(problem, RawNode):
            nodes.setdefault(problem.op, []).append(problem.name or problem.outputs[0])
        else:
            lines.append(str(problem))
    named = [f"{op}, opset {opset}, at {_listed(names)}" for op, names in nodes.items()]
    every = named + lines
    more = [f"and {len(every) - LISTED} more"] if len(every) > LISTED else []
    text = "; ".join(every[:LISTED] + more)
    if len(every) == 1:
        return UnsupportedOperatorError(f"not supported: {text}", remedy=REMEDY)
    return UnsupportedOperatorError(f"not supported ({len(every)}): {text}", remedy=REMEDY)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:NAMED])
    rest = len(names) - NAMED
    what = "node" if len(names) == 1 else "nodes"
    return f"{what} {shown}" + (f" and {rest} more" if rest > 0 else "")
