"""dist/index.html: app/index.html with a `modulepreload` for every script that a start needs.

A browser learns of a module's imports when it has read the module, so a chain of them costs a round
trip each. With the list it asks for all at once; those of the worker are then in its HTTP cache.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping

__all__ = ["PAGE", "imports", "with_preloads"]

PAGE = "index.html"
ENTRIES = ("first_worker.js", "worker.js", "main.js")  # in the order in which they are started
IMPORT = re.compile(r"""^(?:import|export) [^;]*?["'](\./[^"']+)["'];""", re.M)
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
    names = dict.fromkeys(name for entry in ENTRIES for name in imports(files, entry))
    links = "".join(f'  <link rel="modulepreload" href="{name}">\n' for name in names)
    return SCRIPT.sub(lambda match: links + match[0], page, count=1).encode()
