"""What the benchmark's worker calls: open a model, time forwards, cut out a photo as the page does.

Arguments and answers are JSON.
"""

import asyncio
import json
import time
from typing import Any

import js
import numpy as np
import pyodide_js

from offcut import backends, container
from offcut.backends import simd
from offcut.backends.simd.assemble import assemble
from offcut.backends.simd.draft import Instruction
from offcut.backends.simd.lower import lower
from offcut.session import Session, open_session
from offcut.web import handlers

REST = 0.25  # seconds before a forward, as bench_onnxruntime_web.js has them
opened: dict[str, Any] = {}  # "service": offcut.web.handlers.Service


def start(service: Any) -> None:
    """Take the service that answers the page's requests; bench_worker.js calls this."""
    opened["service"] = service


def heap() -> int:
    """Return the bytes of Python's memory; it never shrinks, so this is the peak so far."""
    return int(pyodide_js._module.HEAP8.length)


async def open(root: str, argument: str) -> str:
    """Open the default model. argument: {threads, backend, precision}."""
    wanted = json.loads(argument)
    index = (await (await js.fetch(root + "models/index.json")).json()).to_py()
    name = index["default"]
    file = index["models"][name]["file"]
    data = await (await js.fetch(f"{root}models/{file}")).arrayBuffer()
    model = container.read(data.to_bytes(), file)
    begin, idle = time.perf_counter(), heap()
    if wanted["precision"] == "auto":
        session = await open_session(
            model, name=name, backend=wanted["backend"], threads=wanted["threads"]
        )
    else:
        program = await simd.compile(
            model, threads=wanted["threads"], precision=wanted["precision"]
        )
        session = Session(name, model, "simd", {}, program)
    milliseconds = (time.perf_counter() - begin) * 1e3
    opened["service"].session = session
    answer = {"backend": session.backend, "threads": session.threads, "compile": milliseconds}
    return json.dumps(answer | {"heap_idle": idle, "kernels_memory": kernels_memory()})


def kernels_memory() -> int:
    """Return the bytes of the kernels' memory: op table, weights, arena, scratch; 0 for none."""
    return int(getattr(opened["service"].session.program, "bytes", 0))


async def forward(root: str, argument: str) -> str:
    """Run forwards on zeros. argument: how many; answer: milliseconds of each."""
    session = opened["service"].session
    model, program = session.model, session.program
    height, width = model.card.input.size
    x = {model.graph.inputs[0]: np.zeros((1, 3, height, width), np.float32)}
    spent = []
    for _ in range(json.loads(argument)):
        await asyncio.sleep(REST)
        begin = time.perf_counter()
        await program.run(x, backends.no_checkpoint)
        spent.append((time.perf_counter() - begin) * 1e3)
    return json.dumps({"milliseconds": spent, "heap_peak": heap()})


async def second_look(root: str, argument: str) -> str:
    """Make the open model ready in float32, run it on zeros and close it, as a second look does.

    argument: how many times; answer: milliseconds of each.
    """
    session, spent = opened["service"].session, []
    height, width = session.model.card.input.size
    x = {session.model.graph.inputs[0]: np.zeros((1, 3, height, width), np.float32)}
    for _ in range(json.loads(argument)):
        await asyncio.sleep(REST)
        begin = time.perf_counter()
        program = await simd.compile_unrounded(session.model, threads=session.threads)
        assert program is not None
        await program.run(x, backends.no_checkpoint)
        spent.append((time.perf_counter() - begin) * 1e3)
        program.close()
    return json.dumps({"milliseconds": spent})


async def profile(root: str, argument: str) -> str:
    """Time the ops of a pass one by one, on the open model. argument: how many passes.

    answer: kernel -> {ops, macs, milliseconds: of all its ops, by pass}.
    """
    session, passes = opened["service"].session, json.loads(argument)
    assembly = assemble(lower(session.model, simd.LOWERING, quantize=True))
    ops = [step for step in assembly.draft.steps if isinstance(step, Instruction)]
    run = session.program.library.run
    found: dict[str, Any] = {}
    for number in range(passes):
        for at, op in enumerate(ops):
            row = found.setdefault(op.kernel, {"ops": 0, "macs": 0, "spent": [0.0] * passes})
            begin = time.perf_counter()
            run(at, at + 1)
            row["spent"][number] += (time.perf_counter() - begin) * 1e3
            row["ops"] += number == 0
            row["macs"] += op.macs if number == 0 else 0
    return json.dumps(found)


async def photo(root: str, argument: str) -> str:
    """Cut out the photo at an address below root. argument: its name; answer: times and bytes."""
    name = json.loads(argument)
    blob = await (await js.fetch(root + name)).blob()
    begin = time.perf_counter()
    service = opened["service"]
    report = handlers.Report(service, 0)
    answer = await handlers.remove(service, {"file": blob, "name": name}, report)
    stages = {key: float(value) for key, value in answer["milliseconds"].items()}
    stages["total"] = (time.perf_counter() - begin) * 1e3
    sizes = {"png": int(answer["png"].size), "heap_peak": heap()}
    return json.dumps({"milliseconds": stages, "kernels_memory": kernels_memory()} | sizes)
