"""Find models by name: their cards, their files, and where these come from.

Searched in this order, the first that has the model wins:

    a path          a name that ends in .safetensors or .onnx is a file
    OFFCUT_MODELS   a folder, or the address of a bundle's models/ folder (downloads are cached)
    the package     offcut/models/, as pip installs it
    the checkout    models/ at the project's top level, when the package runs from it

A name is a card's ("u2netp": its default variant) or a variant's ("u2netp-int8").
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from offcut import card as cards
from offcut import container
from offcut.card import ModelCard, Variant
from offcut.container import Model
from offcut.download import fetch_index, fetch_model
from offcut.errors import IntegrityError, ModelFormatError, UnknownModelError

__all__ = ["DEFAULT", "Entry", "Loaded", "entries", "find", "load", "load_file"]

DEFAULT = "u2netp"
PACKAGE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Entry:
    """A model that is at hand: `folder` has the card, and the file of each variant shipped."""

    card: ModelCard
    variant: str
    folder: Path

    @property
    def name(self) -> str:
        """The model's full name, such as "u2netp-int8"."""
        return f"{self.card.name}-{self.variant}"

    @property
    def row(self) -> Variant:
        """The variant's row in the card."""
        return self.card.variants[self.variant]

    @property
    def path(self) -> Path:
        """Where the file is, or would be."""
        return self.folder / self.row.file


def entries() -> list[Entry]:
    """Return every variant of every card in the folders, a name's first finding only."""
    found: dict[str, Entry] = {}
    for folder in _folders():
        for path in sorted(folder.glob("*.toml")):
            card = cards.parse(path.read_text(encoding="utf-8"), str(path))
            for variant in card.variants:
                entry = Entry(card, variant, folder)
                found.setdefault(entry.name, entry)
    return list(found.values())


def find(name: str = DEFAULT) -> Entry:
    """Return the entry called `name`. Raises UnknownModelError, which lists what there is."""
    known = entries()
    for entry in known:
        if name in (entry.name, entry.card.name if entry.variant == entry.card.default else ""):
            return entry
    names = ", ".join(entry.name for entry in known) or "none"
    raise UnknownModelError(f"no model is called {name!r}", remedy=f"known here: {names}")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model with its full name, and what its file was."""

    name: str
    model: Model
    bytes: int
    sha256: str


async def load(name: str = DEFAULT) -> tuple[str, Model]:
    """Return the model's full name and the model, as `load_file` does."""
    loaded = await load_file(name)
    return loaded.name, loaded.model


async def load_file(name: str = DEFAULT) -> Loaded:
    """Return the model called `name`, its bytes verified before they are read.

    Raises UnknownModelError, IntegrityError, ModelFormatError and, with an address in
    OFFCUT_MODELS, DownloadError; for ONNX files UnsupportedOperatorError too.
    """
    if name.endswith(".onnx"):
        from offcut.convert.importer import import_file

        data = _bytes(Path(name))
        return _loaded(Path(name).stem, import_file(Path(name))[0], data)
    if name.endswith(".safetensors"):
        data = _bytes(Path(name))
        return _loaded(Path(name).stem, container.read(data, name), data)
    address = _address()
    if address:
        index = await fetch_index(f"{address}/index.json")
        remote = index.find("" if name == DEFAULT else name)
        data = (await fetch_model(remote, address, _cache())).read_bytes()
        return _loaded(remote.name, container.read(data, remote.file), data)
    entry = find(name)
    data = _bytes(entry.path)
    got = hashlib.sha256(data).hexdigest()
    if got != entry.row.sha256:
        raise IntegrityError(
            f"{entry.path}: sha256 is {got[:12]}..., the card says {entry.row.sha256[:12]}...",
            remedy="restore the file, or run `python3 build.py models`",
        )
    return _loaded(entry.name, container.read(data, entry.row.file), data)


def _loaded(name: str, model: Model, data: bytes) -> Loaded:
    return Loaded(name, model, len(data), hashlib.sha256(data).hexdigest())


def _folders() -> Iterator[Path]:
    chosen = os.environ.get("OFFCUT_MODELS", "")
    folders = [Path(chosen)] if chosen and not _address() else []
    for folder in (*folders, PACKAGE / "models", PACKAGE.parents[1] / "models"):
        if folder.is_dir():
            yield folder


def _address() -> str:
    chosen = os.environ.get("OFFCUT_MODELS", "")
    return chosen.rstrip("/") if chosen.startswith(("http://", "https://")) else ""


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "offcut" / "models"


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise UnknownModelError(f"{path} is not there", remedy="check the path") from error
    except OSError as error:
        raise ModelFormatError(f"{path} cannot be read: {error}") from error
