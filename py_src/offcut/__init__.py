"""Offcut removes the background of images, in the browser and on CPython.

    import offcut

    png = offcut.remove(open("photo.jpg", "rb").read())    # bytes in, PNG bytes out
    session = offcut.new_session("u2netp-int8")             # keep the model warm
    image = offcut.remove(pil_image, session=session)       # PIL in, PIL out; arrays likewise

Inside an event loop (a notebook, Pyodide) await `remove_async` and `new_session_async`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from offcut.errors import OffcutError
    from offcut.pipeline import Cutout, Options
    from offcut.remover import new_session, new_session_async, remove, remove_async
    from offcut.session import Session

__all__ = [
    "Cutout",
    "OffcutError",
    "Options",
    "Session",
    "__version__",
    "new_session",
    "new_session_async",
    "remove",
    "remove_async",
]

__version__ = "0.1.0"

_MODULES = {  # imported when first asked for: the page needs few of them to start
    "Cutout": "pipeline",
    "OffcutError": "errors",
    "Options": "pipeline",
    "Session": "session",
    "new_session": "remover",
    "new_session_async": "remover",
    "remove": "remover",
    "remove_async": "remover",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'offcut' has no attribute {name!r}")
    value = getattr(import_module(f"offcut.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
