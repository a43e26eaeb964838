"""models/NAME.md: a card for people, after the Hugging Face convention, with measured numbers only.

Prose stands in the [about] table of models/NAME.toml; sizes, hashes and steps in the rest of it;
quality in models/quality.json, which `offcut evaluate DIR --compare` measures. This puts them
together, so that no number is written by hand.

    python -m offcut_build.model_cards          writes the cards
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from offcut_build import models_index, quality, stamp
from offcut_build.console import say
from offcut_build.errors import LockError
from offcut_build.tree import Tree

__all__ = ["main", "render"]

Table = Mapping[str, Any]
TRUTH = {"max_f": "max F", "weighted_f": "weighted F", "iou": "IoU", "mae": "MAE"}


def main(tree: Tree) -> int:
    """Write the card of every model whose TOML has [about]. Raises LockError."""
    for path in sorted(tree.models.glob("*.toml")):
        card = tomllib.loads(path.read_text(encoding="utf-8"))
        if "about" not in card:
            continue
        stamp.put(path.with_suffix(".md"), render(card, quality.read(tree)).encode())
        say(f"{path.with_suffix('.md').relative_to(tree.root)}")
    return 0


def render(card: Table, figures: Table) -> str:
    """Return the card as Markdown. figures: the evaluation, or {} when it was not measured."""
    try:
        about = card["about"]
        parts = [
            _head(card),
            f"# {card['title']}",
            about["summary"],
            _compressed(card, figures),
            _files(card),
            f"## Intended use\n\n{about['use']}",
            f"## Limits\n\n{about['limits']}",
            f"## Training data\n\n{about['training']}",
            "\n".join(("## Evaluation\n", *_evaluation(card, figures))),
            "\n".join(("## How it was compressed\n", *_steps(card))),
            _provenance(card),
        ]
    except (KeyError, TypeError) as error:
        raise LockError(f"models/{card.get('name')}.toml: lacks or misstates {error}") from error
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _head(card: Table) -> str:
    """Return the metadata that model hubs read."""
    lines = [
        "---",
        f"license: {str(card['licence']).lower()}",
        "library_name: offcut",
        "pipeline_tag: image-segmentation",
        "tags: [background-removal, salient-object-detection, quantized]",
        f"base_model: {card['source']['project']}",
        "base_model_relation: quantized",
        "---",
    ]
    return "\n".join(lines)


def _compressed(card: Table, figures: Table) -> str:
    """Return the sentences that say that this is not the original, and what that costs."""
    source, default = card["source"], f"{card['name']}-{card['default']}"
    said = (
        f"These files are compressed versions of `{source['file']}` ({source['bytes']:,} bytes, "
        "float32), not the original weights, and their alpha maps differ from the original's"
    )
    row = figures.get("models", {}).get(default)
    if row is None or row["sha256"] != card["variants"][card["default"]]["sha256"]:
        return f"{said}; how much is not measured yet."
    mae, iou = (row["to_float32"][f"{key}_to_float32"] for key in ("mae", "iou"))
    return (
        f"{said}: those of `{default}` by {mae['mean']:.4f} on average and {mae['worst']:.4f} on "
        f"the worst photo (of a range of 0 to 1), with an IoU of {iou['mean']:.4f} (worst "
        f"{iou['worst']:.4f}) when cut at one half."
    )


def _files(card: Table) -> str:
    lines = [
        "| model | scheme | bytes | sha256 |",
        "|---|---|---|---|",
    ]
    for name, row in card["variants"].items():
        mark = " (default)" if name == card["default"] else ""
        lines.append(
            f"| `{card['name']}-{name}`{mark} | {row['scheme']} | {row['bytes']:,} | "
            f"`{row['sha256']}` |"
        )
    return "\n".join(lines)


def _evaluation(card: Table, figures: Table) -> Iterator[str]:
    made = {row["sha256"] for row in card["variants"].values()}
    rows = {
        name: row
        for name, row in figures.get("models", {}).items()
        if not row["to_float32"] or row["sha256"] in made
    }
    if not rows:
        yield "Not measured since the files were made."
        return
    photos = figures["photos"]
    groups = ", ".join(f"{count} {name}" for name, count in photos.items())
    yield f"On {sum(photos.values())} photos ({groups}), none of which was used to calibrate:\n"
    yield f"    offcut evaluate DIR --compare --against {card['source']['file']} --json FILE"
    yield ""
    yield "| model | backend | MAE to float32 [95 %] | worst | IoU to float32 | worst |"
    yield "|---|---|---|---|---|---|"
    for name, row in rows.items():
        if row["to_float32"]:
            mae, iou = (row["to_float32"][f"{key}_to_float32"] for key in ("mae", "iou"))
            low, high = mae["interval"]
            yield (
                f"| `{name}` | {row['backend']} | {mae['mean']:.5f} [{low:.5f}, {high:.5f}] | "
                f"{mae['worst']:.4f} | {iou['mean']:.4f} | {iou['worst']:.4f} |"
            )
    for group, count in photos.items():
        yield f"\nAgainst ground truth, {group}, {count} photos:\n"
        yield "| model | " + " | ".join(TRUTH.values()) + " |"
        yield "|---" * (len(TRUTH) + 1) + "|"
        for name, row in rows.items():
            cells = (f"{row['truth'][group][key]['mean']:.4f}" for key in TRUTH)
            yield f"| `{name}` | " + " | ".join(cells) + " |"


def _steps(card: Table) -> Iterator[str]:
    """Yield each variant's steps, functions in offcut/convert/steps.py; or how it was trained."""
    if "training" in card:
        yield "By `offcut train` (docs/training.md), with this recipe:\n"
        for key, value in card["training"]["student"].items():
            yield f"- {_parameter(key, value)}"
        yield f"- phases of training: {len(card['training']['phases'])}"
        return
    for name, rows in card["quantization"]["steps"].items():
        yield f"`{card['name']}-{name}`:\n"
        for at, row in enumerate(rows, 1):
            given = ", ".join(_parameter(key, value) for key, value in row.items() if key != "step")
            yield f"{at}. {row['step']}{': ' + given if given else ''}"
        yield ""
    yield card["quantization"]["note"]


def _parameter(key: str, value: object) -> str:
    if isinstance(value, list):
        return f"{key} {len(value)} layers"
    return f"{key} {value}"


def _provenance(card: Table) -> str:
    source = card["source"]
    lines = [
        "## Licence and provenance\n",
        f"{card['licence']}. Network and weights by {card['authors']}: [project]"
        f"({source['project']}), [paper]({source['paper']}).\n",
        f"- source: `{source['file']}`, {source['bytes']:,} bytes, sha256 `{source['sha256']}`",
    ]
    if "training" in card:
        lines.append("- the file is the record: the photos it was fitted to cannot be shipped")
    else:
        statistics = card["quantization"]["statistics"]
        lines.append(f"- statistics: `{statistics}`, which lists the sha256 of each photo")
        again = "makes every file again and compares it with its sha256"
        lines.append(f"- `python3 build.py models` {again}")
    return "\n".join(lines)


if __name__ == "__main__":
    models_index.cards(Tree(Path(__file__).resolve().parents[2]))  # complains of what is no card
    sys.exit(main(Tree(Path(__file__).resolve().parents[2])))
