"""Train a smaller or a quantized student of a model with PyTorch, on photos without labels.

The student follows the model's own maps. RECIPE.toml holds a table [training], as a card may; its
format is described in offcut/train/recipe.py. The run's folder keeps a checkpoint, and the same
command goes on from there; curves.svg shows how it went. Each measurement is a line of standard
error, also where that is a file. Needs the extra `train`.
"""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path

from offcut import card as cards
from offcut import container
from offcut.card import ModelCard
from offcut.cli.terminal import mention, read, write
from offcut.errors import ModelFormatError

__all__ = ["arguments", "run"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add = parser.add_argument
    add("source", metavar="MODEL", help="the teacher: an ONNX file, or a .safetensors in float32")
    add("recipe", metavar="RECIPE.toml", help="what to train, and how long")
    add("-o", "--output", metavar="FILE", required=True)
    add("--photos", required=True, metavar="DIR", help="to train with; a hundred or more")
    add("--held", required=True, metavar="DIR", help="to measure on, others than --photos")
    add("--run", required=True, metavar="DIR", dest="folder", help="for checkpoint and curves")
    add("--card", metavar="CARD.toml", help="what the source does not say of itself")


def run(options: argparse.Namespace) -> int:
    """Train, write the model, and print what was done."""
    try:
        from offcut.train import commands, curves, recipe
    except ImportError as error:
        raise ModelFormatError(
            f"training needs PyTorch: {error}", remedy="pip install 'offcut[train]'"
        ) from error
    from offcut.evaluate.fidelity import photos_in

    folders = commands.Folders(
        tuple(photos_in(Path(options.photos))),
        tuple(photos_in(Path(options.held))),
        Path(options.folder),
        Path(options.card).parent if options.card else Path(),
    )
    told = recipe.from_document(_training(options.recipe), options.recipe)
    card = _card(options.card) if options.card else None
    model, draft = commands.train_file(Path(options.source), card, told, folders, tell=mention)
    data = container.write(model)
    write(options.output, data)
    curves.draw({folders.run.name: folders.run}, folders.run / "curves.svg")
    macs = model.graph.multiply_accumulates() / 1e9
    print("\n".join((*draft.record, f"{options.output}: {macs:.2f} GMAC, {len(data):,} bytes")))
    return 0


def _training(path: str) -> dict[str, object]:
    """Return the table [training] of a TOML file."""
    try:
        table = tomllib.loads(read(Path(path)).decode("utf-8", "replace")).get("training")
    except tomllib.TOMLDecodeError as error:
        raise ModelFormatError(f"{path}: not TOML: {error}") from error
    if not isinstance(table, dict):
        raise ModelFormatError(f"{path}: has no table [training]")
    return table


def _card(path: str) -> ModelCard:
    return cards.parse(read(Path(path)).decode("utf-8", "replace"), path)
