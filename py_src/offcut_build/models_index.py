"""models/index.json: what the page needs of each shipped model before it downloads one.

    {"default": "u2netp-int8",
     "models": {"u2netp-int8": {"file", "bytes", "sha256", "title", "licence",
                                "parts": [sha256 of each MiB of the file, the last may be short],
                                "card", "quality": {"mae", "iou", "worst_iou", "photos"}}}}

"card" is the address of models/<card's name>.md, what people should know of the model; left out
when there is none. "quality" is how far the alpha map is from the float32 network's, as
models/quality.json has it; it is left out for a file that was not measured since it was made.

It is made from the cards in models/*.toml; a model is "<card's name>-<variant>", its file is
beside the index. A file that is not what its card says stops the build.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from offcut_build import quality
from offcut_build.errors import LockError
from offcut_build.stamp import sha256
from offcut_build.tree import Tree

__all__ = ["PART_BYTES", "build", "cards", "default"]

PART_BYTES = 1 << 20
REMEDY = "run `python3 build.py models`, or restore models/ from the repository"


def cards(tree: Tree) -> list[dict[str, Any]]:
    """Return the cards, sorted by file name. Raises LockError when there is none."""
    found = []
    for path in sorted(tree.models.glob("*.toml")):
        try:
            found.append(tomllib.loads(path.read_text(encoding="utf-8")))
        except tomllib.TOMLDecodeError as error:
            raise LockError(f"models/{path.name}: not TOML: {error}") from error
    if not found:
        raise LockError("models/: has no card", remedy=REMEDY)
    return found


def default(tree: Tree, name: str) -> bytes:
    """Return the file of the model that pages open first. name: of its card."""
    index, files = build(tree, name)
    found = json.loads(index)
    file: str = found["models"][found["default"]]["file"]
    return files[file]


def build(tree: Tree, default: str) -> tuple[bytes, dict[str, bytes]]:
    """Return the index as JSON, and the files it names: weights, and cards for people.

    default: name of the card whose default variant is the default model.
    """
    files: dict[str, bytes] = {}
    models: dict[str, Any] = {}
    known = quality.read(tree)
    chosen = ""
    for card in cards(tree):
        page = tree.models / f"{card.get('name')}.md"
        try:
            for variant, row in card.get("variants", {}).items():
                data = _read(tree.models / row["file"], row)
                files[row["file"]] = data
                name = f"{card['name']}-{variant}"
                models[name] = _entry(card, row, data) | _measured(known, name, row["sha256"])
                if page.exists():
                    models[name]["card"] = f"models/{page.name}"
            if page.exists():
                files[page.name] = page.read_bytes()
            if card["name"] == default:
                chosen = f"{card['name']}-{card['default']}"
        except (KeyError, TypeError) as error:
            where = f"models/: card {card.get('name')}"
            raise LockError(f"{where} lacks or misstates {error}") from error
    if chosen not in models:
        raise LockError(f"models/: no shipped variant is the default of {default!r}", remedy=REMEDY)
    index = {"default": chosen, "models": models}
    return json.dumps(index, sort_keys=True, indent=1).encode() + b"\n", files


def _measured(known: dict[str, Any], name: str, digest: str) -> dict[str, Any]:
    row = known.get("models", {}).get(name, {})
    if row.get("sha256") != digest or not row["to_float32"]:
        return {}
    mae, iou = (row["to_float32"][figure] for figure in ("mae_to_float32", "iou_to_float32"))
    figures = {"mae": mae["mean"], "iou": iou["mean"], "worst_iou": iou["worst"]}
    rounded = {key: round(value, 5) for key, value in figures.items()}
    return {"quality": rounded | {"photos": sum(known["photos"].values())}}


def _read(path: Path, row: dict[str, Any]) -> bytes:
    if not path.is_file():
        raise LockError(f"models/{path.name}: a card names it, but it is not there", remedy=REMEDY)
    data = path.read_bytes()
    if sha256(data) != row["sha256"] or len(data) != row["bytes"]:
        raise LockError(
            f"models/{path.name}: sha256 is {sha256(data)[:12]}... ({len(data)} bytes), "
            f"its card says {row['sha256'][:12]}... ({row['bytes']} bytes)",
            remedy=REMEDY,
        )
    return data


def _entry(card: dict[str, Any], row: dict[str, Any], data: bytes) -> dict[str, Any]:
    starts = range(0, len(data), PART_BYTES)
    return {
        "file": row["file"],
        "bytes": len(data),
        "sha256": row["sha256"],
        "parts": [sha256(data[at : at + PART_BYTES]) for at in starts],
        "title": card.get("title", card["name"]),
        "licence": card["licence"],
    }
