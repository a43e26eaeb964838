"""sbom.cdx.json in dist/: what Offcut consists of, as a CycloneDX 1.6 bill of materials.

Made from assets.lock.toml and the models' cards, so it has neither a date nor a random number: the
same build gives the same bytes. Components are the third-party packages with the files that were
fetched of each (their bytes before any trimming), and the models.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from itertools import groupby
from typing import Any

from offcut_build.lock import Asset, Lock
from offcut_build.models_index import cards
from offcut_build.tree import Project, Tree

__all__ = ["build"]

NAMESPACE = uuid.UUID("6f0b2f3c-6a3b-5d0e-9a55-0ff0c0de0ff1")  # ours, for the serial number


def build(tree: Tree, lock: Lock, project: Project) -> bytes:
    """Return the document."""
    own = {
        "type": "application",
        "bom-ref": f"pkg:pypi/{project.name}@{project.version}",
        "name": project.name,
        "version": project.version,
        "description": project.summary,
        "purl": f"pkg:pypi/{project.name}@{project.version}",
        "licenses": [{"license": {"id": project.licence}}],
    }
    components = [*_packages(lock), *_models(tree)]
    references = [component["bom-ref"] for component in components]
    body = {
        "metadata": {"component": own},
        "components": components,
        "dependencies": [{"ref": own["bom-ref"], "dependsOn": references}],
    }
    serial = uuid.uuid5(NAMESPACE, json.dumps(body, sort_keys=True))
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        **body,
    }
    return json.dumps(document, indent=1, sort_keys=True).encode() + b"\n"


def _packages(lock: Lock) -> Iterable[dict[str, Any]]:
    """Yield a component for each package of the lock, its files inside."""

    def key(asset: Asset) -> tuple[str, str]:
        return asset.name, asset.version

    for (name, version), group in groupby(sorted(lock.assets, key=key), key):
        assets = sorted(group, key=lambda asset: asset.file)
        purl = _purl(assets[0])
        licences = sorted({asset.licence for asset in assets})
        yield {
            "type": "library",
            "bom-ref": purl,
            "name": name,
            "version": version,
            "purl": purl,
            "scope": "required" if any(asset.ship for asset in assets) else "excluded",
            "licenses": [{"expression": " AND ".join(licences)}],
            "externalReferences": [{"type": "license", "url": assets[0].notice}],
            "components": [_file(asset) for asset in assets],
        }


def _file(asset: Asset) -> dict[str, Any]:
    return {
        "type": "file",
        "name": asset.file,
        "hashes": [{"alg": "SHA-256", "content": asset.sha256}],
        "properties": [
            {"name": "offcut:bytes", "value": str(asset.bytes)},
            {"name": "offcut:place", "value": asset.ship or "needed for building alone"},
        ],
    }


def _purl(asset: Asset) -> str:
    """Return the package's address (https://github.com/package-url/purl-spec)."""
    name = asset.package or asset.name.lower().replace(" ", "-")
    return f"pkg:{'pypi' if asset.package else 'generic'}/{name}@{asset.version}"


def _models(tree: Tree) -> Iterable[dict[str, Any]]:
    """Yield a component for each shipped model file."""
    for card in cards(tree):
        for variant, row in card.get("variants", {}).items():
            name = f"{card['name']}-{variant}"
            yield {
                "type": "machine-learning-model",
                "bom-ref": f"model:{name}",
                "name": name,
                "description": card.get("title", card["name"]),
                "scope": "required",
                "hashes": [{"alg": "SHA-256", "content": row["sha256"]}],
                "licenses": [{"license": {"id": card["licence"]}}],
                "properties": [
                    {"name": "offcut:bytes", "value": str(row["bytes"])},
                    {"name": "offcut:place", "value": f"models/{row['file']}"},
                ],
            }
