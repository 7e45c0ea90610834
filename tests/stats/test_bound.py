"""The one-sample test of a rate against what it promises: expectations by enumeration, false
alarms, what it finds and when, and numbers of any size.
"""

from __future__ import annotations

import math
import random
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from progressive.stats import bound, capping
from progressive.stats.bound import INITIAL, RATES, RESERVE, State, evidence, update

Seen = tuple[int, int, bool]
"""Requests, events, and whether the traffic is new."""

ONE_PERCENT = Fraction(1, 100)


def after(state: State, seen: Seen, alpha: float = 0.01, rate: Fraction = ONE_PERCENT) -> State:
    trials, events, anew = seen
    return update(state, events=events, trials=trials, rate=rate, alpha=alpha, anew=anew)


def alarms(state: State, alpha: float) -> bool:
    return evidence(state, alpha=alpha) >= math.log(1 / alpha)


def capital(state: State, alpha: float) -> float:
    return math.exp(evidence(state, alpha=alpha))


def events(rng: random.Random, trials: int, rate: float) -> int:
    """How many of so many requests fail: drawn by what lies between two that do."""
    place = count = 0
    while True:
        place += 1 + int(math.log(1 - rng.random()) / math.log1p(-rate))
        if place > trials:
            return count
        count += 1


def until_alarm(
    rng: random.Random, state: State, trials: int, rate: float, alpha: float, *, anew: bool = False
) -> int:
    """How many requests at this rate it takes."""
    requests = 0
    while not alarms(state, alpha):
        seen = (trials, events(rng, trials, rate), anew)
        state, requests, anew = after(state, seen, alpha), requests + trials, False
    return requests


def divergence(rate: float, bound: float) -> float:
    """What a request tells in the mean, in nats."""
    return rate * math.log(rate / bound) + (1 - rate) * math.log((1 - rate) / (1 - bound))


LOOKS = st.tuples(st.integers(1, 60), st.floats(0, 0.4), st.booleans()).map(
    lambda drawn: (drawn[0], round(drawn[0] * drawn[1]), drawn[2])
)


@pytest.mark.parametrize("few", [300, 0], ids=["added up", "bounded"])
@settings(deadline=None, max_examples=60)
@given(
    before=st.lists(LOOKS, max_size=5),
    trials=st.integers(1, 60),
    anew=st.booleans(),
    alpha=st.sampled_from([0.05, 0.01, 1e-4]),
    rate=st.sampled_from([Fraction(1, 100), Fraction(1, 5), Fraction(7, 10)]),
    kept=st.sampled_from([1.0, 0.6]),
)
def test_the_capital_expects_no_growth_if_the_bound_is_kept(
    few: int,
    before: list[Seen],
    trials: int,
    anew: bool,
    alpha: float,
    rate: Fraction,
    kept: float,
) -> None:
    """Whatever was seen before: up to the cap, capital is a fair game at best."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(capping, "_FEW", few)
        state, cap, true = INITIAL, 1 / alpha, float(rate) * kept
        for seen in before:
            state = after(state, seen, alpha, rate)
        now = capital(state, alpha)
        if now >= cap:
            return
        mean = math.fsum(
            math.comb(trials, own)
            * true**own
            * (1 - true) ** (trials - own)
            * min(
                cap, math.exp(evidence(after(state, (trials, own, anew), alpha, rate), alpha=alpha))
            )
            for own in range(trials + 1)
        )

        assert mean <= now * (1 + 1e-9)


@pytest.mark.parametrize("alpha", [0.2, 0.05])
@pytest.mark.parametrize("looks", [1, 30])
def test_false_alarms_are_at_most_alpha_for_a_version_exactly_at_the_bound(
    alpha: float, looks: int
) -> None:
    """Looks of a few requests and of many, and more of them where the evidence is high."""
    rng, count, rollouts = random.Random(3), 0, 250
    for _ in range(rollouts):
        state = INITIAL
        for number in range(60):
            trials = looks * (40 if evidence(state, alpha=alpha) > 0 else 10)
            state = after(state, (trials, events(rng, trials, 0.01), number % 20 == 0), alpha)
            if alarms(state, alpha):
                count += 1
                break

    assert count / rollouts <= alpha + 3 * math.sqrt(alpha * (1 - alpha) / rollouts)
    assert count, "a test that never alarms would pass as well"


@pytest.mark.parametrize("alpha", [0.05, 0.01, 0.003])
@pytest.mark.parametrize("rate", [0.01, 0.0001])
@pytest.mark.parametrize("look", [0.02, 0.5], ids=["often", "seldom"])
def test_five_times_the_bound_is_found_within_1_3_times_what_wald_needs(
    alpha: float, rate: float, look: float
) -> None:
    """``look``: events that one brings."""
    rng, fraction = random.Random(11), Fraction(str(rate))
    wald = math.log(1 / alpha) / divergence(5 * rate, rate)
    trials, spent = max(1, round(look / (5 * rate))), []
    for _ in range(100):
        state, requests = INITIAL, 0
        while not alarms(state, alpha):
            seen = (trials, events(rng, trials, 5 * rate), False)
            state, requests = after(state, seen, alpha, fraction), requests + trials
        spent.append(requests / wald)
    mean = sum(spent) / len(spent)
    error = math.sqrt(sum((each - mean) ** 2 for each in spent)) / len(spent)

    assert mean - 2 * error < 1.3, (mean, error)


@pytest.mark.parametrize("times", [2, 5, 20])
def test_a_breach_that_comes_late_is_found_nearly_as_soon(times: int) -> None:
    """After a hundred thousand good requests, with new traffic; a test that has forgotten nothing
    would need tens of thousands more.
    """
    rng, alpha, good = random.Random(5), 0.003, INITIAL
    for _ in range(100):
        good = after(good, (1_000, 3, False), alpha)
    spent = [until_alarm(rng, good, 20, 0.01 * times, alpha, anew=True) for _ in range(60)]
    wald = math.log(1 / alpha) / divergence(0.01 * times, 0.01)

    assert sum(spent) / len(spent) < 2.7 * wald


def test_later_looks_and_new_traffic_get_what_was_kept_back_and_no_more() -> None:
    """Where nothing is evidence the capital stays what it is."""
    state = INITIAL
    for number in range(200):
        state = update(
            state,
            events=0,
            trials=1,
            rate=Fraction(1, 10**12),
            alpha=0.01,
            anew=number % 10 == 9,
        )
    logs, gained, looks, changes = state

    assert (looks, changes) == (200, 20)
    assert gained == pytest.approx(0.0, abs=1e-6)
    assert math.exp(logs[0]) == pytest.approx(1 - RESERVE / 200 - RESERVE / 21)
    assert evidence(state, alpha=0.01) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("size", [10**n for n in range(3, 19, 3)])
def test_counts_of_any_size_at_the_bound_are_no_harm_and_a_tenth_more_of_many_is(size: int) -> None:
    kept = broken = INITIAL
    for _ in range(20):
        kept = after(kept, (size * 100, size, False))
        broken = after(broken, (size * 100, size * 11 // 10, False))

    assert evidence(kept, alpha=0.01) < 0.5
    assert alarms(broken, 0.01)


def test_after_an_alarm_it_goes_on_without_a_cap_and_can_take_it_back() -> None:
    state = after(INITIAL, (1_000, 60, False))
    alarmed = evidence(state, alpha=0.01)
    again = after(state, (1_000, 60, False))

    assert alarms(state, 0.01)
    assert evidence(again, alpha=0.01) > alarmed + 20
    for _ in range(30):
        again = after(again, (1_000, 0, False))
    assert evidence(again, alpha=0.01) < alarmed


def test_the_alternatives_weigh_everything_once() -> None:
    assert math.fsum(map(math.exp, RATES.log_prior)) == pytest.approx(1.0)
    assert evidence(INITIAL, alpha=0.01) == pytest.approx(0.0, abs=1e-12)


def test_a_look_is_of_all_its_requests() -> None:
    look = bound.look_at(50, ONE_PERCENT)

    assert (look.every, look.possible) == (50, range(51))
    assert look.excess(3) == pytest.approx(2.5)
    assert math.fsum(look.chances()[1]) == pytest.approx(1.0)
