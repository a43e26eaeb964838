"""Run one target under atheris (coverage-guided), and keep what it finds."""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
from pathlib import Path
from typing import Any

import atheris

FINDINGS = Path(__file__).parent / "findings"
LIMITS = ["-timeout=60", "-rss_limit_mb=1024", "-malloc_limit_mb=512", "-print_final_stats=1"]
MOST_BYTES = 8192


def main(arguments: list[str]) -> None:
    """Fuzz until `--runs` or `--seconds` are over; exit code 77 or the like on a finding."""
    parser = argparse.ArgumentParser(prog="tests.fuzz", description=__doc__)
    parser.add_argument("target")
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--seconds", type=int, default=0, help="0: no limit")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    # Everything but the reader itself is loaded before atheris instruments what is imported.
    import numpy  # noqa: F401
    import onnx  # noqa: F401
    from PIL import Image

    Image.init()
    with atheris.instrument_imports(include=["offcut"]):
        from tests.fuzz.targets import TARGETS, check
    target = TARGETS[options.target]
    found = FINDINGS / options.target
    found.mkdir(parents=True, exist_ok=True)  # libFuzzer keeps what took too much

    def one(data: bytes) -> None:
        try:
            check(target, data)
        except BaseException:
            found.mkdir(parents=True, exist_ok=True)
            (found / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
            raise

    def mutated(data: bytes, most: int, seed: int) -> bytes:
        if target.mutate is None or seed % 3 == 0:
            return bytes(atheris.Mutate(data, min(most, len(data) + 64)))
        return target.mutate(data, most, seed)

    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(target.seeds()):
            (Path(folder) / f"seed{number}").write_bytes(seed)
        words = Path(folder) / "words.dict"
        words.write_text("".join(f'"{_escaped(word)}"\n' for word in target.words))
        call = [sys.argv[0], *LIMITS, f"-runs={options.runs}", f"-seed={options.seed}"]
        call += [f"-max_len={MOST_BYTES}", f"-artifact_prefix={found}/"]
        call += [f"-max_total_time={options.seconds}"] if options.seconds else []
        call += [f"-dict={words}"] if target.words else []
        extra: dict[str, Any] = {"custom_mutator": mutated} if target.mutate else {}
        atheris.Setup([*call, folder], one, **extra)
        atheris.Fuzz()


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


main(sys.argv[1:])
