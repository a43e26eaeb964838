"""dist/sw.js: the service worker as one classic script that knows this build's files and headers.

app/sw.js is a module, for the type checker's sake. Older browsers start only classic scripts, and a
single file is compared whole when browsers look for updates. Hence the build puts together

    const bundle = {VERSION, BUILD, HEADERS, FILES};   what manifest.json says
    app/store.js, app/sw.js                            without `import` and `export`

Any change to a file of dist/ changes sw.js, which is how browsers notice a newer version.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

__all__ = ["headers", "script"]

SCRIPT = "sw.js"
MODULES = ("store.js", SCRIPT)
OF_THE_HOST = {"Cache-Control"}  # what the service worker gives out is never cached by others


def script(files: Mapping[str, bytes], rows: Mapping[str, Any], version: str, build: str) -> bytes:
    """Return dist/sw.js for dist/'s `files`; rows: those of manifest.json, by path."""
    bundle = {
        "VERSION": version,
        "BUILD": build,
        "HEADERS": headers(files.get("_headers", b"").decode()),
        "FILES": {name: row for name, row in rows.items() if name != SCRIPT},
    }
    parts = [f"// Made by the build from {' and '.join(MODULES)} of app/."]
    parts.append(f"const bundle = {json.dumps(bundle, indent=1)};")
    parts += [_as_classic(files[name].decode()) for name in MODULES]
    return "\n".join(parts).encode()


def _as_classic(source: str) -> str:
    """Return a module's source without `import` and `export`."""
    imports = re.compile(r"^(// @ts-ignore.*\n)?import .+;\n", re.M)
    return re.sub(r"^export ", "", imports.sub("", source), flags=re.M)


def headers(rules: str) -> dict[str, str]:
    """Return the headers that `_headers` gives to every path, but those for caches between."""
    found: dict[str, str] = {}
    path = ""
    for line in rules.splitlines():
        if line.strip() and not line[0].isspace():
            path = line.strip()
        elif path == "/*" and ":" in line:
            name, _, value = line.strip().partition(":")
            found[name.strip()] = value.strip()
    return {name: value for name, value in found.items() if name not in OF_THE_HOST}
