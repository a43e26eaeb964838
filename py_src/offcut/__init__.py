"""Offcut removes the background of images, in the browser and on CPython.

    import offcut

    png = offcut.remove(open("photo.jpg", "rb").read())    # bytes in, PNG bytes out
    session = offcut.new_session("u2netp-int8")             # keep the model warm
    image = offcut.remove(pil_image, session=session)       # PIL in, PIL out; arrays likewise

Inside an event loop (a notebook, Pyodide) await `remove_async` and `new_session_async`.
"""

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
