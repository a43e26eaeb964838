"""Make every shipped model again from its card: source weights and statistics in, a file out.

    python -m offcut_build.models                       make, compare with the card, put in place
    python -m offcut_build.models --write               the card takes over size and hash
    python -m offcut_build.models --photos DIR          with the calibration photos themselves
    python -m offcut_build.models --calibrate DIR       new statistics from the photos in DIR first
    python -m offcut_build.models --photos DIR --sensitivity    measure that first, with PyTorch
    python -m offcut_build.models --only NAME           this variant alone

A file that comes out differently from what its card says is an error: the same source, statistics
and steps give the same bytes on any machine. One step, rounding by GPTQ, needs the photos
themselves, which cannot be shipped. Without them its decisions (each weight's level, and the
biases) are taken from the file that is there; all else is made again and compared. A model whose
card has a table [training] is not made again: its file is held to its hash.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from offcut_build import assets, stamp, venv
from offcut_build.command import run
from offcut_build.console import megabytes, say
from offcut_build.errors import BuildError, LockError
from offcut_build.lock import read
from offcut_build.tree import Tree

if TYPE_CHECKING:
    from offcut.card import ModelCard
    from offcut.convert.commands import Photos

__all__ = ["build", "main", "rebuild"]

SENSITIVITY_PHOTOS = 48


def build(tree: Tree, arguments: Sequence[str] = ()) -> int:
    """Have what is needed, then run this module in .venv, which has numpy."""
    venv.setup(tree)
    one = {"OPENBLAS_NUM_THREADS": "1"}  # sums must not depend on the number of processors
    return run([tree.python, "-m", "offcut_build.models", *arguments], where=tree.root, env=one)


def main(tree: Tree, arguments: Sequence[str]) -> int:
    """Make every variant of every card. Raises BuildError when one differs from its card."""
    from offcut.card import parse
    from offcut.errors import OffcutError

    parser = argparse.ArgumentParser(prog="build.py models", description=__doc__)
    parser.add_argument("--write", action="store_true", help="let the cards take over the results")
    parser.add_argument("--calibrate", metavar="DIR", type=Path, help="photos for new statistics")
    parser.add_argument("--photos", metavar="DIR", type=Path, help="holds those of the statistics")
    parser.add_argument("--sensitivity", action="store_true", help="measure it on the photos first")
    parser.add_argument("--only", metavar="NAME", help="a variant")
    options = parser.parse_args(arguments)
    try:
        for path in sorted(tree.models.glob("*.toml")):
            card = parse(path.read_text(encoding="utf-8"), path.name)
            if "training" in card.document:
                _check_trained(tree, card)
                continue
            source = _source(tree, card)
            if options.calibrate:
                _calibrate(tree, card, source, options.calibrate)
            photos = _photos(tree, card, options.calibrate or options.photos)
            if options.sensitivity and photos is not None:
                _measure_sensitivity(tree, card, source, photos)
            for variant in card.variants:
                if options.only not in (None, variant):
                    continue
                data = rebuild(tree, card, variant, source, photos)
                _settle(tree, path, card, variant, data, write=options.write)
    except OffcutError as error:
        raise BuildError(str(error), remedy=error.remedy) from error
    return 0


def _check_trained(tree: Tree, card: ModelCard) -> None:
    """Raise BuildError unless the files of a trained model are those that its card names."""
    for row in card.variants.values():
        path = tree.models / row.file
        data = path.read_bytes() if path.is_file() else b""
        if stamp.sha256(data) != row.sha256:
            raise BuildError(
                f"models/{row.file}: its sha256 is not the one that {card.name}.toml says",
                remedy="restore it from the repository; a training is not done again",
            )
        say(f"models/{row.file}: {megabytes(len(data))}, trained, as its card says")


def rebuild(
    tree: Tree, card: ModelCard, variant: str, source: bytes, photos: Photos | None = None
) -> bytes:
    """Return the bytes of a variant's file. photos: those that its statistics are of."""
    from offcut import container
    from offcut.convert.commands import quantize_model

    statistics = _beside(tree, card, "statistics").read_bytes()
    sensitivity = _beside(tree, card, "sensitivity").read_bytes()
    path = tree.models / card.variants[variant].file
    decided = container.read(path.read_bytes(), path.name) if path.is_file() else None

    def report(done: int, of: int) -> None:
        if done % 50 == 0:
            say(f"  {done} of {of} nodes")

    model, draft = quantize_model(
        source,
        card,
        variant,
        statistics,
        photos=photos,
        decided=decided,
        sensitivity=sensitivity,
        report=report,
    )
    for line in draft.record:
        say(f"  {line}")
    return container.write(model)


def _beside(tree: Tree, card: ModelCard, kind: str) -> Path:
    """Return the path of the file that a card names: its statistics or sensitivity."""
    return tree.models / str(card.document["quantization"][kind])


def _source(tree: Tree, card: ModelCard) -> bytes:
    """Return the float32 source, which assets.lock.toml names under the same hash."""
    wanted = card.document["source"]["sha256"]
    found = [asset for asset in read(tree.lock_file).assets if asset.sha256 == wanted]
    if not found:
        raise LockError(f"models/{card.name}.toml: assets.lock.toml has no file {wanted[:12]}...")
    return assets.ensure(tree, found)[found[0].file].read_bytes()


def _calibrate(tree: Tree, card: ModelCard, source: bytes, folder: Path) -> None:
    from offcut.convert.commands import calibrate_photos, read_photos, source_draft

    photos = sorted(path for path in folder.iterdir() if path.is_file())
    draft = source_draft(source, card, card.name)

    def report(done: int, of: int) -> None:
        if done % 8 == 0 or done == of:
            say(f"  {done} of {of} photos")

    data = calibrate_photos(draft, read_photos(photos, card.input), report)
    stamp.put(_beside(tree, card, "statistics"), data)


def _measure_sensitivity(tree: Tree, card: ModelCard, source: bytes, photos: Photos) -> None:
    """Write the card's sensitivity file, of the graph that the first such variant gives grids."""
    import torch

    from offcut.convert.calibrate import attach
    from offcut.convert.commands import source_draft
    from offcut.convert.sensitivity import write_sensitivity
    from offcut.convert.statistics import read_statistics
    from offcut.convert.steps import run_steps
    from offcut.train.sensitivity import measure_sensitivity

    listed = card.document["quantization"]["steps"].values()
    rows = next(rows for rows in listed if any(row.get("by") == "sensitivity" for row in rows))
    grids = [row["step"] for row in rows].index("calibrate")
    statistics = read_statistics(_beside(tree, card, "statistics").read_bytes(), "statistics")
    draft = attach(source_draft(source, card, card.name), statistics)
    torch.set_num_threads(1)
    inputs = [torch.from_numpy(x) for x in photos.inputs[:SENSITIVITY_PHOTOS]]
    found = measure_sensitivity(run_steps(draft, rows[:grids]), inputs)
    stamp.put(_beside(tree, card, "sensitivity"), write_sensitivity(found))


def _photos(tree: Tree, card: ModelCard, folder: Path | None) -> Photos | None:
    """Return the photos that the card's statistics name, found in `folder` by their hashes."""
    from offcut.convert.commands import read_photos
    from offcut.convert.statistics import photo_hashes

    if folder is None:
        return None
    statistics = _beside(tree, card, "statistics")
    wanted = photo_hashes(statistics.read_bytes())
    have = {stamp.sha256(p.read_bytes()): p for p in folder.iterdir() if p.is_file()}
    missing = [digest for digest in wanted if digest not in have]
    if missing:
        raise BuildError(
            f"{folder}: lacks {len(missing)} of the {len(wanted)} photos that {statistics.name} "
            f"is of, such as the one with sha256 {missing[0][:12]}...",
            remedy="name the folder that has them, or leave --photos out",
        )
    return read_photos([have[digest] for digest in wanted], card.input)


def _settle(
    tree: Tree, path: Path, card: ModelCard, variant: str, data: bytes, *, write: bool
) -> None:
    """Compare a made file with its card and put it in place; with `write` correct the card."""
    row, got = card.variants[variant], stamp.sha256(data)
    if got != row.sha256 and not write:
        raise BuildError(
            f"models/{row.file}: made again its sha256 is {got[:12]}..., "
            f"{path.name} says {row.sha256[:12]}...",
            remedy="if the change is meant: python3 build.py models -- --write",
        )
    if got != row.sha256:
        path.write_text(_with_result(path.read_text(encoding="utf-8"), variant, len(data), got))
    stamp.put(tree.models / row.file, data)
    say(f"models/{row.file}: {megabytes(len(data))}, sha256 {got[:12]}...")


def _with_result(text: str, variant: str, size: int, digest: str) -> str:
    """Return a card's text with a variant's `bytes` and `sha256` replaced."""
    head, mark, tail = text.partition(f"[variants.{variant}]\n")
    if not mark:
        raise LockError(f"the card has no table [variants.{variant}]")
    tail = re.sub(r"(?m)^bytes = .*$", f"bytes = {size}", tail, count=1)
    return head + mark + re.sub(r"(?m)^sha256 = .*$", f'sha256 = "{digest}"', tail, count=1)


if __name__ == "__main__":
    try:
        sys.exit(main(Tree(Path(__file__).resolve().parents[2]), sys.argv[1:]))
    except BuildError as error:
        say(f"error: {error}")
        if error.remedy:
            say(f"  remedy: {error.remedy}")
        sys.exit(1)
