"""Fetch the peers that the benchmark runs beside Offcut: npm packages, unpacked into the cache."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
from pathlib import Path

__all__ = ["ONNXRUNTIME_WEB", "PeerError", "npm_package"]

# name, version, sha256 of the package file
ONNXRUNTIME_WEB = (
    "onnxruntime-web",
    "1.30.0",
    "d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71",
)


class PeerError(Exception):
    """A peer could not be fetched; the message says which and what to do."""


def npm_package(name: str, version: str, sha256: str, cache: Path) -> Path:
    """Return the folder of an unpacked npm package, fetched at the first call and verified."""
    folder = cache / f"{name}-{version}"
    if (folder / "package.json").exists():
        return folder
    npm = shutil.which("npm")
    if npm is None:
        raise PeerError(f"{name} {version} comes from npm, which is not here; install Node.js")
    cache.mkdir(parents=True, exist_ok=True)
    packed = subprocess.run(
        [npm, "pack", "--silent", "--pack-destination", str(cache), f"{name}@{version}"],
        capture_output=True,
        text=True,
    )
    if packed.returncode:
        raise PeerError(f"npm pack {name}@{version} failed:\n{packed.stderr.strip()[-500:]}")
    archive = cache / packed.stdout.split()[-1]
    got = hashlib.sha256(archive.read_bytes()).hexdigest()
    if got != sha256:
        archive.unlink()
        raise PeerError(f"{archive.name}: sha256 is {got}, expected {sha256}")
    with tarfile.open(archive) as tar:
        tar.extractall(cache / f"{name}-{version}.part", filter="data")
    (cache / f"{name}-{version}.part" / "package").rename(folder)
    shutil.rmtree(cache / f"{name}-{version}.part")
    archive.unlink()
    return folder
