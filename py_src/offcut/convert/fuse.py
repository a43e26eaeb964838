"""Exact simplifications of a graph: the result computes the same, in fewer and larger steps.

Each pass takes a Draft and returns one; FUSIONS lists them in their order. "Exact" is up to the
rounding of float32: what is folded is folded in float64.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from offcut.convert.affine import fold_affine
from offcut.convert.aliases import drop_expansions, name_outputs, remove_identities
from offcut.convert.bounds import merge_clips
from offcut.convert.draft import Draft, rebuilt
from offcut.errors import ModelFormatError
from offcut.graph import Graph, Node
from offcut.ops import OPS
from offcut.ops.pool import pooled_size

__all__ = ["FUSIONS", "fuse"]

ACTIVATED = ("Conv", "Add")  # operators with the attribute `activation`
NAMED = ("Relu", "Relu6", "HardSwish", "Sigmoid")  # the activations a kernel may carry


def fuse(draft: Draft, outputs: Sequence[str]) -> Draft:
    """Keep only what `outputs` need, and run every pass."""
    missing = set(outputs) - set(draft.graph.outputs)
    if missing:
        have = ", ".join(draft.graph.outputs)
        raise ModelFormatError(f"output {min(missing)!r}: the model's outputs are {have}")
    before = len(draft.graph.nodes)
    draft = replace(draft, graph=replace(draft.graph, outputs=tuple(outputs)))
    for fusion in FUSIONS:
        draft = fusion(draft)
    return draft.note(f"fuse: {before} nodes became {len(draft.graph.nodes)}")


def _uses(graph: Graph) -> Counter[str]:
    return Counter(name for node in graph.nodes for name in node.inputs)


def name_activations(draft: Draft) -> Draft:
    """Write Clip to [0, 6] as Relu6, and x * HardSigmoid(x) with its constants as HardSwish."""
    graph = draft.graph
    made = {node.name: node for node in graph.nodes}
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.op == "Clip" and node.attributes == {"min": 0.0, "max": 6.0}:
            node = Node("Relu6", node.inputs, node.outputs)
        elif node.op == "Mul":
            for x, gate in (node.inputs, node.inputs[::-1]):
                sigmoid = made.get(gate)
                if sigmoid is not None and sigmoid.inputs[0] == x and _is_swish_gate(sigmoid):
                    node = Node("HardSwish", (x,), node.outputs)
                    break
        nodes.append(node)
    return rebuilt(draft, nodes, draft.weights)


def _is_swish_gate(node: Node) -> bool:
    if node.op != "HardSigmoid":
        return False
    alpha, beta = node.attributes["alpha"], node.attributes["beta"]
    return abs(alpha - 1 / 6) < 1e-6 and beta == 0.5  # type: ignore[operator]  # floats by their op


def fuse_activations(draft: Draft) -> Draft:
    """Make an activation that alone reads a Conv or Add an attribute of it."""
    graph = draft.graph
    uses, nodes = _uses(graph), dict[str, Node]()
    for node in graph.nodes:
        before = nodes.get(node.inputs[0])
        if (
            node.op in NAMED
            and before is not None
            and before.op in ACTIVATED
            and "activation" not in before.attributes
            and uses[before.name] == 1
            and before.name not in graph.outputs
        ):
            del nodes[before.name]
            node = Node(
                before.op,
                before.inputs,
                node.outputs,
                {**before.attributes, "activation": node.op},
            )
        elif node.op == "Relu6":  # an operator only as an activation
            node = Node("Clip", node.inputs, node.outputs, {"min": 0.0, "max": 6.0})
        nodes[node.name] = node
    return rebuilt(draft, nodes.values(), draft.weights)


def own_weights(draft: Draft) -> Draft:
    """Give every Conv a weight and a bias of its own, which later steps may change."""
    weights, nodes, taken = dict(draft.weights), list[Node](), set[str]()
    for node in draft.graph.nodes:
        if node.op == "Conv":
            x, w, *b = node.inputs
            if not b:
                b = [f"{node.name}/bias"]
                weights[b[0]] = np.zeros(weights[w].shape[0])
            own = {name: f"{node.name}/{name}" if name in taken else name for name in (w, *b)}
            weights.update({own[name]: weights[name] for name in own})
            taken.update(own.values())
            node = replace(node, inputs=(x, own[w], own[b[0]]))
        nodes.append(node)
    return rebuilt(draft, nodes, weights)


def simplify_attributes(draft: Draft) -> Draft:
    """Leave out attributes that state the default, and special cases that make no difference."""
    graph, nodes = draft.graph, []
    for node in graph.nodes:
        parameters = inspect.signature(OPS[node.op]).parameters
        stated = dict(node.attributes)
        if stated.get("coordinate_transformation_mode") == "pytorch_half_pixel":
            if min(graph.shapes[node.name][2:]) > 1:  # it differs for a size of one only
                stated["coordinate_transformation_mode"] = "half_pixel"
        if stated.get("ceil_mode") and not _hangs_over(node, graph):
            stated["ceil_mode"] = 0
        stated = {key: v for key, v in stated.items() if v != parameters[key].default}
        nodes.append(replace(node, attributes=stated))
    return rebuilt(draft, nodes, draft.weights)


def _hangs_over(node: Node, graph: Graph) -> bool:
    """Return whether a pool's last window reaches beyond the padded input."""
    kernel, size = node.attributes["kernel_shape"], graph.shapes[node.inputs[0]][2:]
    strides = node.attributes.get("strides", (1, 1))
    pads = node.attributes.get("pads", (0, 0, 0, 0))
    dilations = node.attributes.get("dilations", (1, 1))
    rows = zip(size, kernel, strides, dilations, pads[:2], pads[2:], strict=True)  # type: ignore
    floor = tuple(pooled_size(n, k, s, d, (b, e), 0) for n, k, s, d, b, e in rows)
    return floor != graph.shapes[node.name][2:]


def shorten_names(draft: Draft) -> Draft:
    """Call values v0, v1... and weights w0, w1... in order of use; inputs and outputs keep theirs.

    The names stand in every model file's header, several times each.
    """
    graph = draft.graph
    kept = {name: name for name in (*graph.inputs, *graph.outputs)}
    values = (name for node in graph.nodes for name in node.outputs if name not in kept)
    short = {name: f"v{at}" for at, name in enumerate(values)}
    short |= {name: f"w{at}" for at, name in enumerate(graph.weight_names)}
    clash = set(short.values()) & set(kept)
    if clash:
        short = {name: f"{new}_" if new in clash else new for name, new in short.items()}
    short |= kept | {"": ""}
    nodes = [
        replace(
            node,
            inputs=tuple(short[name] for name in node.inputs),
            outputs=tuple(short[name] for name in node.outputs),
        )
        for node in graph.nodes
    ]
    weights = {short[name]: draft.weights[name] for name in graph.weight_names}
    shapes = {short[name]: shape for name, shape in graph.shapes.items()}
    return rebuilt(draft, nodes, weights, shapes=shapes)


FUSIONS: tuple[Callable[[Draft], Draft], ...] = (
    remove_identities,
    name_outputs,
    drop_expansions,
    fold_affine,
    merge_clips,
    name_activations,
    fuse_activations,
    own_weights,
    simplify_attributes,
    shorten_names,
)
