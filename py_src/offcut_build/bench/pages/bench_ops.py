"""What the benchmark's worker calls to time one operator in the simd backend.

The operator stands between two others, as in a graph: each value that a calibrated graph keeps in
u8 comes out of, and goes into, a pool of one cell; other values a Relu. Only what runs between them
is timed, conversions included if the operator's kernel forces them. As the peer repeats it in a
Loop, so here the table of ops repeats it: a graph's ops do not go through Python one by one.
Arguments and answers are JSON.
"""

import json
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from offcut.backends import no_checkpoint
from offcut.backends.simd import LOWERING
from offcut.backends.simd.assemble import Assembly, Run, assemble
from offcut.backends.simd.draft import Host, Instruction
from offcut.backends.simd.library_js import open_library
from offcut.backends.simd.lower import LEAST_CHANNELS, lower
from offcut.backends.simd.program import SimdProgram
from offcut.backends.simd.table import OP_BYTES
from offcut.card import from_document
from offcut.container import Model
from offcut.graph import Graph, Node
from offcut.quant import float_tensor

PERIOD = 1009  # of the inputs' values; bench_onnxruntime_web.js fills its own alike
SAMPLES = 64
COPIES = 64  # of the operator in a table
PRECISIONS = ("u8", "float32")
opened: dict[str, Any] = {}


async def open(root: str, argument: str) -> str:
    """Make an operator ready in both precisions and run it once.

    argument: {op, inputs, weights, attributes, shape_out, low, high}: shapes, and the range of y.
    answer: by precision, {kernels, fallback, sample}.
    """
    wanted = json.loads(argument)
    close()
    inputs = {f"x{at}": values(shape) for at, shape in enumerate(wanted["inputs"])}
    answer = {}
    for precision in PRECISIONS:
        model = as_model(wanted, quantized=precision == "u8")
        assembly = assemble(lower(model, LOWERING, quantize=precision == "u8"))
        size = assembly.size(1) + COPIES * OP_BYTES * len(assembly.draft.steps)
        library = await open_library(size, 1)
        whole = SimdProgram(model, assembly, library)
        y = (await whole.run(inputs, no_checkpoint))["y"].reshape(-1)
        steps, kernels = between(assembly)
        middle = SimdProgram(model, replace(assembly, steps=steps), library)
        opened[precision] = middle, steps, arrays_between(model, inputs)
        if len(steps) == 1 and isinstance(steps[0], Run):
            repeat(library, assembly, steps[0])
        sample = y[:: max(1, y.size // SAMPLES)][:SAMPLES]
        answer[precision] = {
            "kernels": kernels,
            "fallback": assembly.draft.fallbacks.get("y", ""),
            "sample": sample.astype(float).tolist(),
        }
    return json.dumps(answer)


async def run(root: str, argument: str) -> str:
    """Run the operator. argument: {precision, times}; answer: milliseconds of one."""
    wanted = json.loads(argument)
    program, steps, arrays = opened[wanted["precision"]]
    library, times = program.library, wanted["times"]
    least = math.inf  # of two trials, as the peer has them
    for _ in range(2):
        begin = time.perf_counter()
        if len(steps) == 1 and isinstance(steps[0], Run):
            ops = steps[0].end - steps[0].begin
            for done in range(0, times, COPIES):
                library.run(0, ops * min(COPIES, times - done))
        else:
            for _ in range(times):
                await program.run(arrays, no_checkpoint)
        least = min(least, (time.perf_counter() - begin) * 1e3 / times)
    return json.dumps(least)


def repeat(library: Any, assembly: Assembly, run: Run) -> None:
    """Write a table with copies of `run`'s ops behind all else, and make it the one in use."""
    offset, (_, image) = assembly.size(1), assembly.image  # which begins with the ops
    ops = bytes(image[run.begin * OP_BYTES : run.end * OP_BYTES])
    library.write(offset, ops * COPIES)
    control = replace(assembly, offsets={**assembly.offsets, "ops": offset}).control(1)
    library.write(0, control)


def between(assembly: Assembly) -> tuple[tuple[Any, ...], list[str]]:
    """Return the steps between the neighbours, and the names of the kernels in them."""
    names = [name_of(step) for step in assembly.draft.steps]
    first = max(at for at, name in enumerate(names) if name.endswith("_in")) + 1
    end = names.index("y_out")
    drafted = assembly.draft.steps[first:end]
    before = sum(isinstance(step, Instruction) for step in assembly.draft.steps[:first])
    transfers = [step for step in assembly.steps if not isinstance(step, Run)]
    skipped = sum(not isinstance(step, Instruction) for step in assembly.draft.steps[:first])
    steps: list[Any] = []
    for step in drafted:
        if isinstance(step, Instruction):
            if steps and isinstance(steps[-1], Run):
                steps[-1] = Run(steps[-1].begin, before + 1)
            else:
                steps.append(Run(before, before + 1))
            before += 1
        else:
            steps.append(transfers[skipped])
            skipped += 1
    kernels = [step.kernel if isinstance(step, Instruction) else "numpy" for step in drafted]
    return tuple(steps), kernels


def name_of(step: Any) -> str:
    """Return the value that a step makes; "" for conversions and transfers."""
    if isinstance(step, Host):
        return step.node.name
    return step.name if isinstance(step, Instruction) else ""


def arrays_between(model: Model, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return what the middle finds in numpy, and stand-ins for outputs that it does not make."""
    made = {f"{name}_in": x for name, x in inputs.items()}
    return inputs | made | {name: np.zeros(0, np.float32) for name in model.graph.outputs}


def close() -> None:
    """Give back what the operator before had."""
    for program, _, _ in opened.values():
        program.close()
    opened.clear()


def values(shape: list[int]) -> np.ndarray:
    """Return an input: a saw from 0 to 1, so that both peers see the same numbers."""
    saw = np.arange(PERIOD, dtype=np.float32) / np.float32(PERIOD)
    return np.resize(saw, shape)


def as_model(wanted: dict[str, Any], *, quantized: bool) -> Model:
    """Return the operator between its neighbours, with ranges where they are wanted."""
    inputs, attributes = wanted["inputs"], dict(wanted["attributes"])
    attributes = {k: tuple(v) if isinstance(v, list) else v for k, v in attributes.items()}
    shapes = {f"x{at}": tuple(shape) for at, shape in enumerate(inputs)}
    ranges = {name: (0.0, 1.0) for name in shapes}
    weights = {f"w{at}": weight(shape) for at, shape in enumerate(wanted["weights"])}
    graph_inputs = tuple(shapes)
    names = [f"{name}_in" for name in graph_inputs]
    before = [neighbour(x, f"{x}_in", shapes[x], quantized) for x in graph_inputs]
    after = neighbour("y", "y_out", wanted["shape_out"], quantized)
    middle = Node(wanted["op"], (*names, *weights), ("y",), attributes)
    for x, name in zip(graph_inputs, names, strict=True):
        shapes[name], ranges[name] = shapes[x], ranges[x]
    shapes["y"] = shapes["y_out"] = tuple(wanted["shape_out"])
    ranges["y"] = ranges["y_out"] = (wanted["low"], wanted["high"])
    shapes |= {name: tensor.shape for name, tensor in weights.items()}
    document = {"name": "op", "input": {"size": (1, 1)}, "output": {"name": "y_out"}}
    return Model(
        Graph((*before, middle, after), graph_inputs, ("y_out", "y"), shapes),
        weights,
        from_document(document, "op"),
        ranges,
    )


def neighbour(name: str, to: str, shape: Sequence[int], quantized: bool) -> Node:
    """Return a node that passes a value on, as what comes before or after would: u8 or floats."""
    u8 = quantized and len(shape) == 4 and shape[1] >= LEAST_CHANNELS
    one = {"kernel_shape": (1, 1)}
    return Node("MaxPool", (name,), (to,), one) if u8 else Node("Relu", (name,), (to,))


def weight(shape: list[int]) -> Any:
    """Return a constant operand: offcut_build/bench/op_model.py makes the same."""
    count = int(np.prod(shape))
    fan_in = max(1, count // shape[0])
    wave = np.sin(np.arange(count, dtype=np.float64) * 1.7 + 1.0) * (2.0 / fan_in) ** 0.5
    return float_tensor(wave.astype(np.float32).reshape(shape))
