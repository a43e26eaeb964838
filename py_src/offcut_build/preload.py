"""Scripts that are asked for at once: what a start needs, named where the browser looks first.

A browser learns of a module's imports when it has read the module, so a chain of them costs a
round trip for each link. dist/index.html is app/index.html with a `modulepreload` for every script
of the page and of its worker; dist/worker.js is app/worker.js after an `import` of each script that
it needs.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping

__all__ = ["PAGE", "WORKER", "imports", "with_build", "with_imports", "with_preloads"]

PAGE, WORKER = "index.html", "worker.js"
ENTRIES = ("first_worker.js", WORKER, "main.js")  # in the order in which they are started
IMPORT = re.compile(r"""^(?:import|export) [^;]*?["'](\./[^"']+)["'];""", re.M)
ROOT = re.compile(r"<html\b(?: data-build=\"[^\"]*\")?")
SCRIPT = re.compile(r'^( *)<script type="module"', re.M)


def imports(files: Mapping[str, bytes], entry: str) -> list[str]:
    """Return the modules that `entry` loads, itself first, each once, nearest first.

    files: path -> bytes, of dist/.
    """
    found = [entry]
    for name in found:  # which grows meanwhile
        for target in IMPORT.findall(files[name].decode()):
            path = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
            if path not in found and path in files:
                found.append(path)
    return found


def with_preloads(files: Mapping[str, bytes]) -> bytes:
    """Return the page with its preloads, before the first script."""
    page = files[PAGE].decode()
    entries = [entry for entry in ENTRIES if entry in files]
    names = dict.fromkeys(name for entry in entries for name in imports(files, entry))
    links = "".join(f'  <link rel="modulepreload" href="{name}">\n' for name in names)
    return SCRIPT.sub(lambda match: links + match[0], page, count=1).encode()


def with_build(page: bytes, build: str) -> bytes:
    """Return the page with `build`, which app/bridge.js tells the worker."""
    return ROOT.sub(f'<html data-build="{build}"', page.decode(), count=1).encode()


def with_imports(files: Mapping[str, bytes], name: str) -> bytes:
    """Return a module that begins with the imports of all that it needs."""
    first = "".join(f'import "./{other}";\n' for other in imports(files, name)[1:])
    return first.encode() + files[name]
