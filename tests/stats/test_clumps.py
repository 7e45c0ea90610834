"""How many events come at a time, from successive looks."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import TypeAlias

import pytest

from progressive.stats import clumps

Look: TypeAlias = tuple[int, int, int, int]


def seen(looks: Iterable[Look]) -> clumps.State:
    state = clumps.INITIAL
    for events, trials, control_events, control_trials in looks:
        state = clumps.update(
            state,
            events=events,
            trials=trials,
            control_events=control_events,
            control_trials=control_trials,
        )
    return state


def binomial(chance: random.Random, n: int, p: float) -> int:
    return (
        chance.binomialvariate(n, p)
        if hasattr(chance, "binomialvariate")
        else sum(chance.random() < p for _ in range(n))
    )


def in_clumps(size: int, *, rate: float = 0.1) -> Callable[[random.Random, int], Look]:
    """300 requests and 900, of which each event brings ``size - 1`` others."""

    def look(chance: random.Random, i: int) -> Look:
        own = size * binomial(chance, 300 // size, rate)
        return own, 300, size * binomial(chance, 900 // size, rate), 900

    return look


def shared(chance: random.Random, i: int) -> Look:
    """What makes requests fail does so on both tracks."""
    rate = chance.choice((0.02, 0.3))
    return binomial(chance, 30, rate), 30, binomial(chance, 900, rate), 900


def of_the_candidate(chance: random.Random, i: int) -> Look:
    """The candidate has bad minutes, and the control has none."""
    rate = 0.5 if i % 3 else 0.1
    return binomial(chance, 300, rate), 300, binomial(chance, 900, 0.1), 900


def drifting(chance: random.Random, i: int) -> Look:
    """The rate goes up and down in the course of an hour, on the control alone."""
    rate = 0.1 + 0.05 * (1 - abs(i - 60) / 60)
    return binomial(chance, 300, 0.1), 300, binomial(chance, 900, rate), 900


def rare(chance: random.Random, i: int) -> Look:
    """Looks of very different lengths, with few events."""
    n = (20, 400, 1_000)[i % 3]
    return binomial(chance, n, 0.003), n, binomial(chance, 2 * n, 0.003), 2 * n


@pytest.mark.parametrize("size", [2, 5, 20])
def test_the_dispersion_is_how_many_events_come_at_a_time(size: int) -> None:
    chance, look = random.Random(5), in_clumps(size)
    state = seen(look(chance, i) for i in range(400))

    assert clumps.dispersion(state) == pytest.approx(size, rel=0.25)
    assert clumps.proven(state)


def test_clumps_are_proven_soon_where_they_are_large() -> None:
    chance, look = random.Random(6), in_clumps(20)

    assert clumps.proven(seen(look(chance, i) for i in range(12)))


@pytest.mark.parametrize(
    "look", [in_clumps(1), in_clumps(1, rate=0.004), shared, of_the_candidate, drifting, rare]
)
def test_what_is_no_clump_is_hardly_ever_said_to_be(
    look: Callable[[random.Random, int], Look],
) -> None:
    """In any of 120 looks: in at most one rollout of a hundred for independent requests, here in
    at most one of sixty.
    """
    said = 0
    for seed in range(60):
        chance = random.Random(seed)
        state = clumps.INITIAL
        for i in range(120):
            events, trials, control_events, control_trials = look(chance, i)
            state = clumps.update(
                state,
                events=events,
                trials=trials,
                control_events=control_events,
                control_trials=control_trials,
            )
            if clumps.proven(state):
                said += 1
                break

    assert said <= 1


@pytest.mark.parametrize(
    "looks",
    [
        [],
        [(3, 100, 9, 900)],
        [(0, 100, 0, 900)] * 20,
        [(100, 100, 900, 900)] * 20,
        [(3, 100, 9, 900), (0, 0, 9, 900), (3, 100, 0, 0)] * 2,
    ],
    ids=["none", "one", "no-event", "all-events", "one-track"],
)
def test_nothing_is_said_of_what_shows_nothing(looks: list[Look]) -> None:
    assert not clumps.proven(seen(looks))


def test_a_look_at_one_track_alone_changes_nothing() -> None:
    state = seen([(3, 100, 9, 900), (5, 100, 9, 900)])

    assert clumps.update(state, events=0, trials=0, control_events=1, control_trials=9) == state
    assert clumps.update(state, events=1, trials=9, control_events=0, control_trials=0) == state


def test_the_state_stays_as_small_as_it_is() -> None:
    chance, look = random.Random(7), in_clumps(3)

    assert len(seen(look(chance, i) for i in range(500))) == len(clumps.INITIAL)


def test_counts_beyond_what_a_float_holds_are_no_error() -> None:
    large = 10**18
    looks = [(large // 10 + i, large, large // 10, large) for i in range(12)]

    assert not clumps.proven(seen(looks))
