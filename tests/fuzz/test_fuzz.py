"""Every reader withstands what fuzzing found, some changes now, and 100,000 when asked to."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.fuzz.mutate import mutate_json
from tests.fuzz.targets import TARGETS, check
from tests.record import record

ROOT = Path(__file__).resolve().parents[2]
FINDINGS = Path(__file__).parent / "findings"
RUNS = 100_000
SECONDS = 1.0  # for one input
# The same one each time, so that a change is not held up by chance; others find more.
SEED = os.environ.get("OFFCUT_FUZZ_SEED", "1")


def changed(data: bytes, chance: random.Random) -> bytes:
    """Return the bytes with some flipped, cut out or doubled."""
    body = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        at, span = chance.randrange(len(body) + 1), chance.randint(1, 8)
        how = chance.randrange(3)
        if how == 0:
            body[at : at + span] = chance.randbytes(span)
        elif how == 1:
            del body[at : at + span]
        else:
            body[at:at] = body[at : at + span * 4]
    return bytes(body)


@pytest.mark.parametrize("name", TARGETS)
def test_S1_a_thousand_changes_end_in_a_value_or_a_named_error(name: str) -> None:
    target, chance = TARGETS[name], random.Random(7)
    seeds = list(target.seeds())
    for number in range(1000):
        data = seeds[number % len(seeds)]
        if target.mutate and number % 2:
            data = target.mutate(data, 1 << 16, number)
        else:
            data = changed(data, chance)
        begin = time.process_time()
        check(target, data)
        assert time.process_time() - begin < SECONDS, data


@pytest.mark.parametrize(
    "path", sorted(FINDINGS.glob("*/*")), ids=lambda path: f"{path.parent.name}-{path.name}"
)
def test_S1_what_fuzzing_found_does_not_come_back(path: Path) -> None:
    check(TARGETS[path.parent.name], path.read_bytes())


def test_changes_keep_json_readable() -> None:
    data = json.dumps({"a": [1, {"b": 2}]}).encode()
    made = {mutate_json(data, 1000, seed) for seed in range(50)}
    assert len(made) > 20
    for text in made:
        json.loads(text)


@pytest.mark.fuzz
@pytest.mark.parametrize("name", TARGETS)
def test_S1_coverage_guided_fuzzing_finds_nothing(name: str) -> None:
    call = [sys.executable, "-m", "tests.fuzz", name, "--runs", str(RUNS), "--seed", SEED]
    env = os.environ | {"PYTHONHASHSEED": "0"}
    done = subprocess.run(call, cwd=ROOT, env=env, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"Done {RUNS} runs" in done.stderr
    record(f"fuzz: inputs to the {name} reader", RUNS)
