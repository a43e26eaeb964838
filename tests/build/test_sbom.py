"""The bill of materials: valid CycloneDX, complete, and without dates."""

from __future__ import annotations

import json
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from offcut_build import sbom
from offcut_build.lock import read
from offcut_build.models_index import cards
from offcut_build.tree import Tree

TREE = Tree(Path(__file__).resolve().parents[2])


def made() -> bytes:
    return sbom.build(TREE, read(TREE.lock_file), TREE.project())


def test_S6_the_bill_of_materials_is_valid_CycloneDX() -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(made().decode()) is None


def test_S6_it_names_every_third_party_file_and_every_model_with_its_hash() -> None:
    components = json.loads(made())["components"]
    files = {
        f["name"]: f["hashes"][0]["content"] for c in components for f in c.get("components", [])
    }
    models = {c["name"]: c["hashes"][0]["content"] for c in components if c["type"] != "library"}

    assert files == {asset.file: asset.sha256 for asset in read(TREE.lock_file).assets}
    assert models == {
        f"{card['name']}-{variant}": row["sha256"]
        for card in cards(TREE)
        for variant, row in card["variants"].items()
    }


def test_S6_it_is_the_same_each_time() -> None:
    assert made() == made()
    assert "timestamp" not in json.loads(made())["metadata"]
