"""The page's requests: each `@method` answers one; app/bridge.js describes the protocol.

worker.js makes one Service and hands it every message. A handler takes the service, the message's
params and a `Report`; what it returns becomes the reply, what it raises becomes the error. To add
a request: one decorated function.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import js
from pyodide.ffi import to_js

from offcut import container
from offcut.backends.simd import library_js
from offcut.container import Model
from offcut.download import Entry, Index
from offcut.errors import BackendError, Cancelled, OffcutError, StoppedError
from offcut.session import Session, open_session
from offcut.web import model_file, ready

__all__ = ["METHODS", "Report", "Service", "method"]

YIELD_EVERY = 0.03  # seconds between looks at the page's messages
PAUSE = 0.1  # seconds after which an idle page warms up: a photo that comes before goes first
RESTART = "reload the page"


@dataclass(slots=True)
class Service:
    """What the worker keeps between messages."""

    root: str  # the bundle's address, with a final slash
    post: Callable[[Any], None]  # to the page
    load_package: Callable[[str], Awaitable[None]]  # of the bundle, by name
    kernels: Any = None  # app/kernels.js's Kernels, null where there are none
    keep: model_file.Keep | None = None  # store a verified file for the next visit
    take_fetched: model_file.TakeFetched | None = None  # the model that the page brings
    session: Session | None = None
    index: Index | None = None  # of the bundle's models
    choice: Mapping[str, Any] = field(default_factory=dict)  # backend and threads, as asked for
    cancelled: set[int] = field(default_factory=set)
    tasks: dict[int, asyncio.Task[None]] = field(default_factory=dict)
    warming: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        """Hand the kernels to the backend that uses them."""
        if self.kernels:
            given = self.kernels
            library_js.configure(given.single, given.threads, given.startThread, given.pictures)

    def accept(self, message: Any) -> None:
        """Begin to answer a message {id, method, params}."""
        if self.warming is not None:
            self.warming.cancel()  # where it next waits
        number = int(message.id)
        name, params = str(message.method), message.params.to_py(depth=1)
        self.tasks[number] = asyncio.ensure_future(self._answer(number, name, params))

    def cancel(self, number: int) -> None:
        """Let the call `number` raise Cancelled where it next reports."""
        if number in self.tasks:
            self.cancelled.add(number)

    def warm_up(self) -> None:
        """Use the time until the first photo; a call that comes meanwhile ends it."""
        self.warming = asyncio.ensure_future(self._warm_up())

    async def _warm_up(self) -> None:
        from offcut.web import removal

        async def let_calls_in(stage: str, done: int, total: int) -> None:
            await asyncio.sleep(0)

        await asyncio.sleep(PAUSE)
        if self.session:
            with contextlib.suppress(OffcutError):  # a photo will tell
                await removal.warm_up(self.session, self.load_package, let_calls_in)

    def send(self, message: Mapping[str, Any]) -> None:
        """Post a message to the page."""
        self.post(to_js(message, dict_converter=js.Object.fromEntries))

    async def _answer(self, number: int, name: str, params: Mapping[str, Any]) -> None:
        try:
            result = await METHODS[name](self, params, Report(self, number))
            self.send({"id": number, "result": result})
        except StoppedError as error:  # the page replaces this worker, and tries again
            self.send({"fatal": _describe(error) | {"type": "WorkerError"}})
        except Exception as error:  # whatever it is, the page is told
            self.send({"id": number, "error": _describe(error)})
        finally:
            self.tasks.pop(number, None)
            self.cancelled.discard(number)


@dataclass(slots=True)
class Report:
    """Tells the page how far a call is, lets messages in, and raises Cancelled on request."""

    service: Service
    number: int
    unit: str = "steps"
    last: float = 0.0

    async def __call__(self, stage: str, done: int, total: int) -> None:
        """Report, unless something was reported just now."""
        now = time.monotonic()
        if now - self.last < YIELD_EVERY and done < total:
            return
        self.last = now
        progress = {"stage": stage, "done": done, "total": total, "unit": self.unit}
        self.service.send({"id": self.number, "progress": progress})
        await asyncio.sleep(0)
        if self.number in self.service.cancelled:
            raise Cancelled("cancelled")


Handler = Callable[[Service, Mapping[str, Any], Report], Awaitable[Any]]
METHODS: dict[str, Handler] = {}


def method(function: Handler) -> Handler:
    """Let the page call `function` by its name."""
    METHODS[function.__name__] = function
    return function


@method
async def open_model(service: Service, params: Mapping[str, Any], report: Report) -> Any:
    """Download and compile a model. params: model, backend, threads; "" leaves it to us."""
    threads = _thread_count(params.get("threads"))
    report.unit = "bytes"

    async def progress(done: int, total: int) -> None:
        await report("model", done, total)

    name = str(params.get("model") or "")
    service.index, entry, data = await model_file.read(
        name, service.root, progress, take=service.take_fetched, keep=service.keep
    )
    report.unit = "steps"
    await report("compile", 0, 1)
    model = ready.find(entry.sha256) or container.read(data, entry.file)
    service.choice = {"backend": str(params.get("backend") or "auto"), "threads": threads}
    await _open(service, model, entry.name)
    asyncio.get_running_loop().call_soon(service.warm_up)
    return await info(service, {}, report)


@method
async def use_model(service: Service, params: Mapping[str, Any], report: Report) -> Any:
    """Use the visitor's own model from now on. params: file, a Blob; name, of the file.

    The former model stays in use when this one cannot be read, converted or compiled.
    """
    name = str(params["name"])

    async def progress(done: int, total: int) -> None:
        await report("convert", done, total)

    from offcut.web import brought

    model = await brought.read_model(params["file"], name, progress)
    await report("compile", 0, 1)
    await _open(service, model, PurePosixPath(name).stem)
    answer = await info(service, {}, report)
    answer["notes"]["model"] = f"{name} of this device, until this page is closed"
    return answer


async def _open(service: Service, model: Model, name: str) -> None:
    """Compile a model as was asked for, and only then let the former one go."""
    threads = service.choice["threads"]
    backend = service.choice["backend"]
    session = await open_session(model, name=name, backend=backend, threads=threads)
    if threads not in (None, session.threads):
        why = _notes(session).get("threads", "no more can be had")
        session.close()
        raise BackendError(
            f"{session.backend} runs {session.threads} thread(s) here, not {threads}: {why}",
            remedy="leave the number of threads to Offcut",
        )
    former, service.session = service.session, session
    if former:
        former.close()


@method
async def info(service: Service, params: Mapping[str, Any], report: Report) -> Any:
    """Return what runs: model, title, backend, threads; notes, why it is nothing better; levels,
    the bundle's models with bytes, card and quality."""
    session = _session(service)
    return {
        "model": session.name,
        "title": session.model.card.title,
        "backend": session.backend,
        "threads": session.threads,
        "notes": _notes(session),
        "levels": [_level(entry) for entry in service.index.models.values()]
        if service.index
        else [],
    }


@method
async def remove(service: Service, params: Mapping[str, Any], report: Report) -> Any:
    """Cut the subject out of a photo. params: file, a Blob; name, of the file.

    Returns png and preview (a smaller picture, or None), both Blobs; photo, a Blob to compare with
    where the file itself will not do, or None; notes, what of the file is not in the cutout; name,
    width, height, and milliseconds per stage.
    """
    from offcut.web import removal

    name = str(params["name"])
    return await removal.remove(
        params["file"], name, _session(service), service.load_package, report
    )


@method
async def forget(service: Service, params: Mapping[str, Any], report: Report) -> Any:
    """Overwrite what photos have left in memory."""
    from offcut.web import leftovers

    leftovers.overwrite(service.session)


def _level(entry: Entry) -> dict[str, Any]:
    quality = dict(entry.quality) or None
    return {"name": entry.name, "bytes": entry.bytes, "card": entry.card, "quality": quality}


def _session(service: Service) -> Session:
    if service.session is None:
        raise OffcutError("no model is open", remedy=RESTART)
    return service.session


def _notes(session: Session) -> dict[str, str]:
    """Return why preferred backends, and more threads, are not used: what -> reason."""
    fewer = getattr(session.program, "note", "")
    return dict(session.skipped) | ({"threads": fewer} if fewer else {})


def _thread_count(value: Any) -> int | None:
    if not value:
        return None
    text = str(value)
    if not text.isdigit() or not 1 <= int(text) <= 64:
        raise BackendError(f"threads is {text!r}", remedy="ask for a whole number from 1 to 64")
    return int(text)


def _describe(error: Exception) -> dict[str, str]:
    """Return an exception as the protocol's {type, message, remedy}."""
    kind, text = type(error).__name__, str(error)
    if isinstance(error, OffcutError):
        return {"type": kind, "message": text, "remedy": error.remedy}
    if isinstance(error, MemoryError):
        remedy = "close other tabs, or choose a smaller photo"
        return {"type": kind, "message": "the photo does not fit into memory", "remedy": remedy}
    return {"type": "UnexpectedError", "message": f"{kind}: {text}", "remedy": RESTART}
