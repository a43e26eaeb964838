"""THIRD_PARTY.md: what Offcut ships of others, under which licence, generated from the lock."""

from __future__ import annotations

from offcut_build.lock import Lock, read
from offcut_build.stamp import put
from offcut_build.tree import Tree

__all__ = ["text", "write"]

HEAD = """# Third-party files

Made from assets.lock.toml by `python3 build.py third-party`; do not edit. None of these files is
in the repository: the build fetches each from the first source whose bytes have the sha256 given
here, and puts those with a place in dist/ there, unchanged. Wheels carry their licence texts in
their own dist-info folders.
"""


def text(lock: Lock) -> str:
    """Return the document."""
    lines = [HEAD, "| what | version | licence | file | bytes | in dist/ |", f"|{'---|' * 6}"]
    for asset in lock.assets:
        licence = f"[{asset.licence}]({asset.notice})"
        place = asset.ship or "no: needed for building"
        cells = [asset.name, asset.version, licence, asset.file, f"{asset.bytes:,}", place]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "## Hashes", "", "| file | sha256 |", "|---|---|"]
    lines += [f"| {asset.file} | `{asset.sha256}` |" for asset in lock.assets]
    return "\n".join(lines) + "\n"


def write(tree: Tree) -> None:
    """Write THIRD_PARTY.md."""
    put(tree.root / "THIRD_PARTY.md", text(read(tree.lock_file)).encode())
