"""Have every third-party file of assets.lock.toml in .cache/assets/, with the right bytes.

Files are kept as <sha256>-<name> and hashed again in every run, which takes a fraction of a
second. The environment variable OFFCUT_SOURCES limits and orders the kinds of sources, for
networks where one of them is slow or shut: OFFCUT_SOURCES=npm,pypi never asks the CDN.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from offcut_build.console import Meter, megabytes, say
from offcut_build.download import Network, download
from offcut_build.errors import AssetError, BuildError, DiskError, SourceError
from offcut_build.lock import KINDS, Asset, Source, read
from offcut_build.packages import Packages
from offcut_build.tree import Tree

__all__ = ["ensure", "path_of", "wanted_kinds"]

VARIABLE = "OFFCUT_SOURCES"


def path_of(tree: Tree, asset: Asset) -> Path:
    """Return where the asset is kept."""
    return tree.cache / "assets" / f"{asset.sha256}-{asset.file}"


def wanted_kinds(text: str) -> tuple[str, ...]:
    """Read OFFCUT_SOURCES: kinds in order of preference, "" is all of them as the lock has them."""
    kinds = tuple(kind for kind in text.replace(" ", "").split(",") if kind)
    unknown = sorted(set(kinds) - set(KINDS))
    if unknown:
        raise BuildError(f"{VARIABLE}: knows {', '.join(KINDS)}, not {unknown[0]!r}")
    return kinds


def ensure(
    tree: Tree,
    assets: Iterable[Asset] | None = None,
    *,
    network: Network | None = None,
    packages: Packages | None = None,
) -> dict[str, Path]:
    """Fetch what is missing and return file name -> path; every byte is verified.

    assets: all of the lock when None. Raises AssetError when no source gives the right bytes.
    """
    assets = read(tree.lock_file).assets if assets is None else assets
    kinds = wanted_kinds(os.environ.get(VARIABLE, ""))
    network = network or Network()
    packages = packages or Packages(tree.python, tree.source, tree.cache / "packages")
    found = {}
    try:
        for asset in assets:
            path = path_of(tree, asset)
            if not (path.exists() and _hash(path) == asset.sha256):
                _fetch(asset, path, list(_sources(asset, kinds)), network, packages)
            found[asset.file] = path
    finally:
        packages.close()
    return found


def _sources(asset: Asset, kinds: tuple[str, ...]) -> Iterator[Source]:
    if not kinds:
        yield from asset.sources
    for kind in kinds:
        yield from (source for source in asset.sources if source.kind == kind)


def _fetch(
    asset: Asset, path: Path, sources: list[Source], network: Network, packages: Packages
) -> None:
    say(f"fetching {asset.file} ({megabytes(asset.bytes)})")
    part = path.with_name(f"{path.name}.part")
    reasons = []
    for source in sources:
        try:
            _try(asset, source, part, network, packages)
        except SourceError as error:
            reasons.append(f"{source}\n      {error}")
            continue
        except DiskError as error:
            raise DiskError(f"{asset.file} from {source}: {error}", remedy=error.remedy) from error
        try:
            part.replace(path)
        except OSError as error:
            raise DiskError.of(path, error) from error
        return
    tried = reasons or [f"no source of the kinds {os.environ.get(VARIABLE)} is listed"]
    raise AssetError(
        "\n    ".join([f"{asset.file}: no source gave the right bytes:", *tried]),
        remedy="check the network (a proxy goes into HTTPS_PROXY) and run the same command again, "
        f"or put a file with sha256 {asset.sha256} at {path}",
    )


def _try(asset: Asset, source: Source, part: Path, network: Network, packages: Packages) -> None:
    """Bring the whole, right file to `part`; a wrong one is removed. Raises SourceError."""
    resumed = part.exists()
    if source.kind == "url":
        meter = Meter(asset.file, asset.bytes)
        download(source.place, part, asset.bytes, network=network, report=meter)
    else:
        packages.fetch(source, part)
    size, got = part.stat().st_size, _hash(part)
    if got == asset.sha256:
        return
    part.unlink()
    if resumed and source.kind == "url":  # the kept beginning may have been the wrong half
        return _try(asset, source, part, network, packages)
    raise SourceError(
        f"sha256 is {got[:12]}... ({size} bytes), "
        f"expected {asset.sha256[:12]}... ({asset.bytes} bytes)"
    )


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
