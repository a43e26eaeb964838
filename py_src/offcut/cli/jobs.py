"""Which photos to work on and where each result goes, so that no result takes another's place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from offcut.cli.terminal import STANDARD, mention
from offcut.errors import ImageError

__all__ = ["jobs"]

PHOTOS = {".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
Source = tuple[str, Path]  # a photo, its path below the output folder


def jobs(photos: Sequence[str], output: str | None) -> list[tuple[str, str]]:
    """Return (source, target) of every photo; folders give the photos below them.

    Raises ImageError where there is nothing to do, or where a result would be lost.
    """
    sources = list({_place(source): (source, at) for source, at in _sources(photos)}.values())
    if not sources:
        raise ImageError("there is no photo to work on", remedy="name files, folders, or -")
    if len(sources) == 1 and not Path(photos[0]).is_dir():
        return [(sources[0][0], _single(*sources[0], output))]
    if output == STANDARD or (output is not None and Path(output).is_file()):
        where = "standard output" if output == STANDARD else output
        remedy = "name a folder, or one photo"
        raise ImageError(f"{where} cannot hold {len(sources)} results", remedy=remedy)
    sources = _without_results(sources, output)
    named = Counter(_place(_below(*source, output)) for source in sources)
    return list(_unlike(sources, output, named))


def _sources(photos: Sequence[str]) -> Iterator[Source]:
    for given in photos:
        path = Path(given)
        if not given:
            raise ImageError("a photo's name is empty", remedy="name files, folders, or -")
        if given == STANDARD or not path.is_dir():
            yield given, Path(path.name)
            continue
        for photo in sorted(path.rglob("*")):
            below = photo.relative_to(path)
            hidden = any(part.startswith(".") for part in below.parts)
            if photo.suffix.lower() in PHOTOS and not hidden:
                yield str(photo), below


def _without_results(sources: list[Source], output: str | None) -> list[Source]:
    """Leave out what the results of others will be written over: an earlier run has made it."""
    results = {_place(_below(*source, output)) for source in sources}
    for source, _ in sources:
        if _place(source) in results:
            mention(f"{source}: left out, a result of another photo here")
    return [(source, at) for source, at in sources if _place(source) not in results]


def _unlike(
    sources: list[Source], output: str | None, named: Counter[str]
) -> Iterator[tuple[str, str]]:
    """Yield the jobs; photos that differ in their suffix keep it in their results' names."""
    owners: dict[str, str] = {}
    for source, at in sources:
        target = _below(source, at, output)
        if named[_place(target)] > 1:
            target = _below(source, at, output, whole=True)
        other = owners.setdefault(_place(target), source)
        if other != source:
            remedy = "name their folder, or work on one after the other"
            raise ImageError(f"{other} and {source} would both become {target}", remedy=remedy)
        yield source, target


def _single(source: str, at: Path, output: str | None) -> str:
    """Return where the only result goes: `output` may name the file."""
    if output == STANDARD or (output is None and source == STANDARD):
        return STANDARD
    if output is None or Path(output).is_dir() or not Path(output).suffix:
        return _below(source, at, output)
    if Path(output).suffix.lower() != ".png":
        raise ImageError(f"{output}: the result is a PNG", remedy="end the name in .png")
    if source != STANDARD and _place(output) == _place(source):
        raise ImageError(f"{output} is the photo itself", remedy="choose another output")
    return output


def _below(source: str, at: Path, output: str | None, *, whole: bool = False) -> str:
    """Return the result's place: beside the photo, or in the folder `output`."""
    stem = "image" if source == STANDARD else at.name if whole else at.stem
    name = f"{stem}-offcut.png"
    if output is None:
        return name if source == STANDARD else str(Path(source).with_name(name))
    return str(Path(output) / at.with_name(name))


def _place(path: str) -> str:
    """Return the path that all names of a file share."""
    return path if path == STANDARD else str(Path(path).resolve())
