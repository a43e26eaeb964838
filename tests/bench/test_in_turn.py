"""Operators are repeated until their time can be told from that of the call around them."""

from __future__ import annotations

from collections.abc import Callable

from offcut_build.bench.ops import AGAIN, LONG, MOST_TIMES, PEER, beside_peer, in_turn


def runner(told: list[int], asked: list[int], each: float = 1.0) -> Callable[[int], float]:
    """Return an operator of `each` ms, told by told[0] trips in the first call, and so on."""

    def run(times: int) -> float:
        asked.append(times)
        needed = told[min(len(asked), len(told)) - 1]
        return each if times >= needed else 0.0

    return run


def test_what_one_trip_does_not_tell_is_asked_of_more() -> None:
    asked: list[int] = []
    spent = in_turn({"peer": runner([20], asked)}, 3)
    assert spent["peer"] == [1.0, 1.0, 1.0]
    assert asked[0] == 1 and asked[-1] >= 20


def test_a_round_that_tells_nothing_asks_for_more_trips_and_forgets_what_fewer_told() -> None:
    asked: list[int] = []
    spent = in_turn({"peer": runner([1, 50], asked, each=9.0)}, 4)
    assert spent["peer"] == [9.0, 9.0, 9.0]  # of the three rounds with as many trips
    assert asked[0] == 1 and min(asked[-3:]) >= 50


def test_what_no_number_of_trips_tells_is_zero() -> None:
    asked: list[int] = []
    spent = in_turn({"peer": runner([MOST_TIMES + 1], asked)}, 2)
    assert spent["peer"] == [0.0, 0.0]
    assert max(asked) == MOST_TIMES


def test_rounds_go_from_one_to_the_next_and_long_operators_run_once() -> None:
    order: list[str] = []

    def named(name: str, each: float) -> Callable[[int], float]:
        def run(times: int) -> float:
            order.append(name)
            return each

        return run

    spent = in_turn({"a": named("a", 9.0), "b": named("b", LONG + 1.0), "c": named("c", 9.0)}, 2)
    assert order == ["a", "b", "c", "a", "c"]
    assert {name: len(values) for name, values in spent.items()} == {"a": 2, "b": 1, "c": 2}


def test_what_comes_close_to_the_peer_is_measured_anew_in_more_rounds() -> None:
    asked: list[int] = []

    def first_slow(times: int) -> float:
        asked.append(times)
        return 11.0 if len(asked) <= 3 else 9.0

    spent = beside_peer({PEER: lambda _: 10.0, "u8": first_slow, "float32": lambda _: 30.0}, 3)
    assert spent["u8"] == [9.0] * AGAIN * 3  # and not what the first rounds took
    assert len(spent[PEER]) == AGAIN * 3


def test_what_is_far_from_the_peer_is_measured_once() -> None:
    spent = beside_peer({PEER: lambda _: 10.0, "u8": lambda _: 5.0, "float32": lambda _: 30.0}, 3)
    assert {name: len(values) for name, values in spent.items()} == dict.fromkeys(spent, 3)
