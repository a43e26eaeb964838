"""Scripts that are asked for at once: what a start needs, named where the browser looks first.

A browser learns of a module's imports when it has read the module, so a chain of them costs a
round trip for each link. dist/index.html is app/index.html with a `modulepreload` for every script
of the page; dist/worker.js is app/worker.js with all that it imports, which stays in dist/ for
other pages.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping

from offcut_build.errors import BuildError

__all__ = ["PAGE", "WORKER", "bundled", "imports", "with_build", "with_preloads"]

PAGE, WORKER = "index.html", "worker.js"
ENTRIES = ("first_worker.js", "main.js")  # in the order in which they are started
IMPORT = re.compile(r"""^(?:import|export) [^;]*?["'](\./[^"']+)["'];""", re.M)
NAMES = re.compile(r"""^import (?:\* as (\w+)|(\{[^}]*\})) from ["'](\./[^"']+)["'];\n""", re.M)
EXPORT = re.compile(r"^export ((?:async )?(?:function\*?|class|const) (\w+))", re.M)
OTHER = re.compile(r"^(?:import|export)\b(?! *\().*", re.M)
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


def bundled(files: Mapping[str, bytes], entry: str) -> bytes:
    """Return `entry` as a module that needs no other: each stands before those that import it.

    Raises BuildError for forms of import and export that the page's scripts do not use.
    """
    parts = [f"// Made by the build from {entry} and what it imports, of app/."]
    for name in _in_order(files, entry, set()):
        source = files[name].decode()
        body = EXPORT.sub(r"\1", NAMES.sub(_taken, source))
        if other := OTHER.search(body):
            raise BuildError(f"app/{name}: the build does not know how to join `{other[0]}`")
        if name == entry:
            parts.append(body)
        else:
            given = ", ".join(exported for _, exported in EXPORT.findall(source))
            parts.append(f"const {_scope(name)} = (() => {{\n{body}return {{ {given} }};\n}})();")
    return "\n".join(parts).encode()


def _in_order(files: Mapping[str, bytes], name: str, seen: set[str]) -> Iterator[str]:
    """Yield the modules that `name` needs, then itself; each once."""
    seen.add(name)
    for target in IMPORT.findall(files[name].decode()):
        other = posixpath.normpath(target)
        if other not in seen:
            yield from _in_order(files, other, seen)
    yield name


def _taken(statement: re.Match[str]) -> str:
    """Return an import as a declaration."""
    whole, names, target = statement.groups()
    return f"const {whole or names.replace(' as ', ': ')} = {_scope(target)};\n"


def _scope(path: str) -> str:
    return "$" + re.sub(r"\W", "_", posixpath.basename(path).removesuffix(".js"))
