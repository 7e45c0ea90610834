"""Tests that begin again with a raise: nothing is gained by it, and nothing is hidden before it."""

from __future__ import annotations

import math
import random
from bisect import bisect_left
from collections.abc import Callable
from itertools import accumulate
from typing import Any

import attrs
import pytest

from progressive.stats import decrease, histogram_tails, increase, ratios
from progressive.stats.evidence import HELD_BACK, reserved
from progressive.stats.sequential import RISES

EDGES = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
POOL = 20_000


def binomial(rng: random.Random, n: int, rate: float) -> int:
    return sum(rng.random() < rate for _ in range(n))


@attrs.frozen
class Test:
    """A test that can begin again: how it learns from one look at so many requests of the candidate
    and the control, ``worse`` times as bad as it.
    """

    __test__ = False
    initial: Any
    learn: Callable[[Any, random.Random, int, int, float], Any]
    again: Callable[[Any], Any]
    evidence: Callable[[Any], float]
    worse: float
    most: float
    """How many times as many requests harm takes after a healthy time, at the most."""


def rises(state: Any, rng: random.Random, n: int, m: int, worse: float) -> Any:
    known, bets = state
    known = ratios.update(
        known,
        events=binomial(rng, n, 0.03 * worse),
        trials=n,
        control_events=binomial(rng, m, 0.03),
        control_trials=m,
        margin=1.1,
    )
    return known, bets


def every_rise(state: Any, rng: random.Random, n: int, m: int, worse: float) -> Any:
    return increase.update(
        state,
        events=binomial(rng, n, 0.03 * worse),
        trials=n,
        control_events=binomial(rng, m, 0.03),
        control_trials=m,
        alpha=0.01,
    )


def falls(state: decrease.State, rng: random.Random, n: int, m: int, worse: float) -> Any:
    return decrease.update(
        state,
        events=binomial(rng, n, 0.3 / worse),
        trials=n,
        control_events=binomial(rng, m, 0.3),
        control_trials=m,
    )


def pool(slower: float) -> list[list[int]]:
    """For each edge, how many of the first so many of many lognormal times are at most it."""
    rng = random.Random(1)
    times = [slower * 0.08 * math.exp(0.8 * rng.gauss(0, 1)) for _ in range(POOL)]
    cells = [bisect_left(EDGES, time) for time in times]
    return [list(accumulate((cell <= i for cell in cells), initial=0)) for i in range(len(EDGES))]


POOLS = {slower: pool(slower) for slower in (1.0, 1.5)}


def served(rng: random.Random, n: int, slower: float) -> tuple[int, ...]:
    at = rng.randrange(POOL - n)
    return (*(counts[at + n] - counts[at] for counts in POOLS[slower]), n)


def slows(state: Any, rng: random.Random, n: int, m: int, worse: float) -> Any:
    return histogram_tails.update(
        state, edges=EDGES, candidate=served(rng, n, worse), control=served(rng, m, 1.0)
    )


TESTS = {
    "rise": Test(
        initial=(ratios.initial(RISES), reserved(RISES.log_prior)),
        learn=rises,
        again=lambda state: ratios.again(*state),
        evidence=lambda state: ratios.evidence(*state),
        worse=2.5,
        most=2.6,
    ),
    "every-rise": Test(
        initial=increase.RESERVED,
        learn=every_rise,
        again=increase.again,
        evidence=lambda state: increase.evidence(state, alpha=0.01),
        worse=2.5,
        most=2.2,
    ),
    "fall": Test(
        initial=decrease.RESERVED,
        learn=falls,
        again=decrease.again,
        evidence=decrease.evidence,
        worse=1.5,
        most=1.75,
    ),
    "slower": Test(
        initial=histogram_tails.RESERVED,
        learn=slows,
        again=histogram_tails.again,
        evidence=histogram_tails.evidence,
        worse=1.5,
        most=1.3,
    ),
}


@pytest.fixture(params=TESTS.values(), ids=TESTS)
def tried(request: pytest.FixtureRequest) -> Test:
    found: Test = request.param
    return found


@pytest.mark.parametrize("looks", [0, 1, 5, 40])
@pytest.mark.parametrize("worse", [False, True])
def test_to_begin_again_neither_gains_nor_loses(tried: Test, looks: int, worse: bool) -> None:
    """As often as one likes, and with a look between."""
    rng, state = random.Random(2), tried.initial
    for _ in range(looks):
        state = tried.learn(state, rng, 30, 100, tried.worse if worse else 1.0)
        before = tried.evidence(state)
        state = tried.again(tried.again(state))

        assert tried.evidence(state) == pytest.approx(before, abs=1e-9)
    assert tried.evidence(tried.again(tried.initial)) == pytest.approx(0, abs=1e-9)


def test_a_healthy_time_does_not_hide_harm_that_begins_with_a_raise(tried: Test) -> None:
    """The candidate's requests until it is seen, as a multiple of what it takes from the beginning.
    Without a new beginning it is twice that and more.
    """
    rng, healthy = random.Random(3), tried.initial
    for _ in range(60):
        healthy = tried.learn(healthy, rng, 200, 1_800, 1.0)

    def seen_after(state: Any) -> int:
        looks = 0
        while tried.evidence(state) < math.log(100) and looks < 2_000:
            state, looks = tried.learn(state, rng, 20, 20, tried.worse), looks + 1
        return looks

    fresh, hidden, begun = (
        math.fsum(seen_after(state) for _ in range(30)) / 30
        for state in (tried.initial, healthy, tried.again(healthy))
    )

    assert begun <= tried.most * fresh
    assert hidden >= 2 * begun


def test_no_healthy_time_is_too_long(tried: Test) -> None:
    """A state as after any number of requests without harm: nothing but what is held back is left.
    Harm then takes some twice as many requests as from the beginning.
    """
    lost = -1e6
    rng, state = random.Random(8), tried.initial
    for _ in range(20):
        state = tried.learn(state, rng, 200, 1_800, 1.0)
    match state:
        case (tuple() as logs, int() as events, int() as trials, tuple() as bets):
            state = (tuple(lost for _ in logs), events, trials, bets)
        case (tuple() as known, tuple() as bets) if len(bets) == len(RISES.log_prior) + 1:
            state = ((*(lost for _ in known[:-3]), *known[-3:]), bets)
        case ((_, gained, _, _, bets), sums):
            state = (((lost,) * 8, gained, -1e6, 1e6, bets), sums)
        case (chosen, above, tilts, pooled, bets):
            logs = tuple((*(lost for _ in known[:-3]), *known[-3:]) for known in above)
            state = (chosen, logs, tuple(lost for _ in tilts), pooled, bets)
        case _:
            raise AssertionError(state)
    assert tried.evidence(state) == pytest.approx(math.log(HELD_BACK), abs=1)

    def seen_after(state: Any) -> int:
        looks = 0
        while tried.evidence(state) < math.log(100) and looks < 2_000:
            state, looks = tried.learn(state, rng, 20, 20, tried.worse), looks + 1
        return looks

    fresh, begun = (
        math.fsum(seen_after(state) for _ in range(20)) / 20
        for state in (tried.initial, tried.again(state))
    )

    assert begun <= 2.5 * fresh


def test_false_alarms_stay_below_alpha_with_a_raise_at_every_fifth_look(tried: Test) -> None:
    rng, runs, alarms = random.Random(4), 150, 0
    for _ in range(runs):
        state = tried.initial
        for look in range(25):
            if look % 5 == 4:
                state = tried.again(state)
            state = tried.learn(state, rng, 10 * (1 + look // 5), 60, 1.0)
            if tried.evidence(state) >= math.log(10):
                alarms += 1
                break

    assert alarms / runs <= 0.1 + 3 * math.sqrt(0.1 * 0.9 / runs)


def test_harm_that_was_there_before_a_raise_is_not_forgotten(tried: Test) -> None:
    rng = random.Random(5)

    def seen(raises: bool) -> int:
        state, looks = tried.initial, 0
        while tried.evidence(state) < math.log(100) and looks < 2_000:
            if raises and looks % 5 == 4 and looks < 25:
                state = tried.again(state)
            state, looks = tried.learn(state, rng, 15, 60, tried.worse), looks + 1
        return looks

    without, through = (math.fsum(seen(raises) for _ in range(40)) / 40 for raises in (False, True))

    assert through <= 1.25 * without


def test_an_edge_that_is_followed_only_later_is_bet_on_as_from_the_beginning() -> None:
    rng, state = random.Random(6), histogram_tails.INITIAL
    state = histogram_tails.again(slows(state, rng, 20, 40, 1.5))
    followed, *_ = state
    state = slows(state, rng, 2_000, 4_000, 1.0)
    now, *_ = state

    assert len(now) > len(followed)
    assert len(histogram_tails.of_edges(state)) == len(now)
    before = histogram_tails.evidence(state)
    assert histogram_tails.evidence(histogram_tails.again(state)) == pytest.approx(before)


def test_other_edges_take_along_what_is_bet() -> None:
    rng, state = random.Random(7), histogram_tails.INITIAL
    for _ in range(3):
        state = histogram_tails.again(slows(state, rng, 100, 300, 1.5))
    finer = (0.07, *EDGES)
    state = slows(state, rng, 100, 300, 1.0)
    there, gone = histogram_tails.moved(state, edges=EDGES, to=tuple(sorted(finer)))

    assert (gone, histogram_tails.begun_again(there)) == (0.0, True)
    assert histogram_tails.evidence(there) == histogram_tails.evidence(state)

    other, gone = histogram_tails.moved(state, edges=EDGES, to=(0.04, 0.3))
    assert gone == histogram_tails.evidence(state)
    assert histogram_tails.evidence(other) == 0.0
    assert not histogram_tails.begun_again(other)
