"""Changes to JSON and model files that keep them well enough formed to reach the deeper checks."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

__all__ = ["mutate_container", "mutate_json"]

VALUES: tuple[Any, ...] = (
    *(0, 1, -1, 2, 255, 1 << 31, 1 << 32, 1 << 63, 1 << 64, -(1 << 63), 10**400, 1.5, -0.0, 1e308),
    *(float("nan"), float("inf"), True, None, "", "x", "w", "I8", "F32", "Conv", "Concat"),
    *([], {}, [0], [1, 3, 4, 4], [-1, -1], [1 << 62, 4], ["a"], {"a": 1}, [[[[]]]]),
)
Place = tuple[Any, Any]  # a dict or list, and a key or index of it


def mutate_json(data: bytes, most: int, seed: int) -> bytes:
    """Return a JSON document with some values changed, moved or removed."""
    try:
        document = [json.loads(data)]
        _change_some(document, random.Random(seed))
        return json.dumps(document[0]).encode()[:most]
    except (ValueError, RecursionError, IndexError):
        return data


def mutate_container(data: bytes, most: int, seed: int) -> bytes:
    """Return a model file with some values of its JSON changed, moved or removed."""
    chance = random.Random(seed)
    size = int.from_bytes(data[:8], "little")
    try:
        header = json.loads(data[8 : 8 + size])
        opened = _open(header)
        _change_some([header, opened], chance)
        _close(header, opened)
        text = json.dumps(header, separators=(",", ":")).encode()
    except (ValueError, TypeError, KeyError, RecursionError, AttributeError):
        return data
    body = data[8 + size :]
    if chance.random() < 0.2:
        body = body[: chance.randint(0, len(body))] + bytes(chance.randint(0, 9))
    return (len(text).to_bytes(8, "little") + text + body)[:most]


def _open(header: dict[str, Any]) -> dict[str, Any]:
    """Parse the JSON inside the metadata's strings."""
    meta = header["__metadata__"]
    return {key: json.loads(value) for key, value in meta.items() if key != "format"}


def _close(header: Any, opened: dict[str, Any]) -> None:
    meta = header.get("__metadata__")
    if isinstance(meta, dict):
        meta.update((key, json.dumps(value)) for key, value in opened.items())


def _change_some(document: list[Any], chance: random.Random) -> None:
    for _ in range(chance.randint(1, 4)):
        places = list(_places(document))
        if places:
            _change(*chance.choice(places), chance, places)


def _places(value: Any, depth: int = 0) -> Iterator[Place]:
    if depth > 12:
        return
    keys: list[Any] = []
    if isinstance(value, dict | list):
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    for key in keys:
        yield value, key
        yield from _places(value[key], depth + 1)


def _change(parent: Any, key: Any, chance: random.Random, places: list[Place]) -> None:
    how = chance.randrange(5)
    if how == 0 and isinstance(parent, dict):
        parent[chance.choice(("w", "w/q", "shape", "é", ""))] = parent.pop(key)
    elif how == 1:
        del parent[key]
    elif how == 2 and isinstance(parent[key], int):
        parent[key] += chance.choice((-1, 1, 2, 255, 1 << 32))
    elif how == 3:
        other, at = chance.choice(places)
        try:
            parent[key] = json.loads(json.dumps(other[at]))
        except (KeyError, IndexError):
            pass
    else:
        parent[key] = chance.choice(VALUES)
