"""Makes urllib work in the browser, by pyodide_http over synchronous XMLHttpRequest."""

from __future__ import annotations

import sys
from types import ModuleType

__all__ = ["patch_urllib"]


def patch_urllib() -> None:
    """Let urllib.request.urlopen reach the network from the worker.

    Where SharedArrayBuffer is there, pyodide_http starts one more worker as it is imported, for
    streaming, which Offcut does not use: its module is taken off before that.
    """
    streaming = ModuleType("pyodide_http._streaming")
    streaming.send_streaming_request = lambda request: False  # type: ignore[attr-defined]
    sys.modules.setdefault("pyodide_http._streaming", streaming)
    import pyodide_http

    pyodide_http.patch_urllib()
