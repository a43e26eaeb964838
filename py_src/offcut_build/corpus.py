"""Have Pillow's own test images at hand, which its source archive on PyPI carries.

The tests try every one of them. They are fetched once, verified, and kept in .cache/assets/;
pip wants Pillow's build tools for that, which the dependency group "corpus" names.
"""

from __future__ import annotations

from offcut_build import assets
from offcut_build.errors import BuildError
from offcut_build.lock import Asset, Source
from offcut_build.tree import Tree

__all__ = ["PILLOW", "environment"]

PILLOW = Asset(
    name="Pillow's test images",
    version="13.0.0",
    file="pillow-13.0.0.tar.gz",
    sha256="cdcd1ba258178f7356d74170c9a81ba4eab6a5d55748bc402a5a2a6fe6be3510",
    bytes=47_058_631,
    licence="MIT-CMU",
    notice="https://github.com/python-pillow/Pillow/blob/13.0.0/LICENSE",
    ship="",
    package="",
    imports=(),
    depends=(),
    sources=(Source("pypi", "pillow", "13.0.0", sdist=True),),
)


def environment(tree: Tree) -> dict[str, str]:
    """Return OFFCUT_CORPUS, the archive's path, or OFFCUT_CORPUS_MISSING, why there is none."""
    try:
        return {"OFFCUT_CORPUS": str(assets.ensure(tree, [PILLOW])[PILLOW.file])}
    except BuildError as error:
        return {"OFFCUT_CORPUS_MISSING": f"no {PILLOW.name}: {error}"}
