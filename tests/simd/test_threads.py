"""As many threads run as are fastest, and a change of their number changes no bits."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

from offcut.backends import no_checkpoint
from offcut.backends.simd import LOWERING
from offcut.backends.simd.assemble import assemble
from offcut.backends.simd.lower import lower
from offcut.backends.simd.probe import fastest, probe_op, untimed
from offcut.backends.simd.program import SimdProgram
from tests.simd.machines import native
from tests.simd.networks import random_network


class Clock:
    """A clock that a run with n threads moves on by times[n]."""

    def __init__(self, times: dict[int, float]) -> None:
        self.times, self.now = times, 0.0

    def __call__(self) -> float:
        return self.now

    def run(self, threads: int) -> None:
        self.now += self.times[threads]


def chosen(times: dict[int, float]) -> int:
    """Return what `fastest` chooses when a run with n threads takes times[n]."""
    clock = Clock(times)
    return fastest(untimed(max(times)), clock.run, clock=clock)


def test_all_threads_are_used_where_each_helps() -> None:
    assert chosen({1: 8.0, 2: 4.0, 4: 2.0, 8: 1.0}) == 8


def test_half_are_used_where_the_others_are_in_the_way() -> None:
    assert chosen({1: 8.0, 2: 4.0, 4: 2.0, 8: 2.2}) == 4


def test_all_are_used_where_that_makes_no_difference() -> None:
    assert chosen({1: 2.0, 2: 2.0}) == 2  # as when an engine compiles on the other processor


def test_one_is_used_where_a_second_is_in_the_way() -> None:
    assert chosen({1: 3.0, 3: 5.0}) == 1


def test_a_moment_in_which_other_work_held_a_processor_decides_nothing() -> None:
    best = untimed(2)
    busy, free = Clock({1: 2.0, 2: 3.0}), Clock({1: 2.0, 2: 1.0})
    assert fastest(best, busy.run, clock=busy) == 1
    assert fastest(best, free.run, clock=free) == 2
    assert fastest(best, busy.run, clock=busy) == 2


def test_only_runs_in_a_row_tell_how_fast_threads_are() -> None:
    clock = Clock({1: 2.0, 2: 1.0})
    last = [1]

    def run(threads: int) -> None:
        clock.now += clock.times[threads] + 3.0 * (threads > last[0])  # it has to wake up first
        last[0] = threads

    assert fastest(untimed(2), run, clock=clock) == 2


@pytest.mark.parametrize("machine", ["native", "wasm"])
def test_threads_can_be_fewer_and_more_again(request: pytest.FixtureRequest, machine: str) -> None:
    start = request.getfixturevalue(machine)
    model, inputs = random_network(0)
    assembly = assemble(lower(model, LOWERING, quantize=True))
    program = SimdProgram(model, assembly, start(assembly.size(4), 4))
    try:
        want = asyncio.run(program.run(inputs, no_checkpoint))
        for threads in (1, 4, 2, 3, 1, 4) * 3:
            program._use(threads)
            got = asyncio.run(program.run(inputs, no_checkpoint))
            assert all(np.array_equal(got[name], want[name]) for name in want)
    finally:
        program.close()


def test_a_probed_program_says_how_many_threads_it_uses() -> None:
    model, inputs = random_network(0)
    assembly = assemble(lower(model, LOWERING, quantize=True))
    assert probe_op(assembly.draft) is not None
    library = native(assembly.size(4), 4)
    program = SimdProgram(model, assembly, library, probe=True)
    assert program.threads == 4  # all of them, until it is told to find out
    program.tune()
    assert program.threads == library.active
    assert program.threads in (1, 2, 4)
    asyncio.run(program.run(inputs, no_checkpoint))
    program.close()


def test_starting_over_leaves_no_thread_behind() -> None:
    model, _ = random_network(0)
    assembly = assemble(lower(model, LOWERING, quantize=True))
    before = threading.active_count()
    for _ in range(5):
        program = SimdProgram(model, assembly, native(assembly.size(3), 3), probe=True)
        program.tune()
        program.close()
    assert threading.active_count() == before
