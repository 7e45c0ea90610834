"""The capped test for rises against what it promises: expectations by enumeration, what it finds
and when, false alarms, and numbers of any size.
"""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from progressive.stats import capping, increase, planning, ratios, sequential
from progressive.stats.increase import INITIAL, RESERVED, State, again, evidence, update
from progressive.stats.sequential import RISES

Look = tuple[int, int, int, int]
"""Trials, events, control trials, control events."""


def after(state: State, look: Look, alpha: float = 0.01) -> State:
    trials, events, control_trials, control_events = look
    return update(
        state,
        events=events,
        trials=trials,
        control_events=control_events,
        control_trials=control_trials,
        alpha=alpha,
    )


def factors(state: State) -> float:
    """The logarithm of all factors by which the capital was raised."""
    (_, gained, *_), _ = state
    return gained


def chances(trials: int, control_trials: int, every: int, odds: float) -> dict[int, float]:
    """The chances of how many of ``every`` event are the candidate's, if each of its requests has
    ``odds`` times the control's odds of one: Fisher's noncentral hypergeometric distribution.
    """
    possible = range(max(0, every - control_trials), min(every, trials) + 1)
    weights = {
        own: math.comb(trials, own) * math.comb(control_trials, every - own) * odds**own
        for own in possible
    }
    whole = math.fsum(weights.values())
    return {own: weight / whole for own, weight in weights.items()}


LOOKS = st.tuples(st.integers(1, 60), st.integers(1, 240), st.floats(0, 0.4)).flatmap(
    lambda drawn: st.tuples(
        st.just(drawn[0]),
        st.integers(0, max(1, round(drawn[0] * drawn[2]))),
        st.just(drawn[1]),
        st.integers(0, max(1, round(drawn[1] * drawn[2] / 2))),
    )
)


@pytest.mark.parametrize("initial", [INITIAL, RESERVED], ids=["all bet", "held back"])
@pytest.mark.parametrize("few", [300, 0], ids=["added up", "bounded"])
@settings(deadline=None, max_examples=40)
@given(
    before=st.lists(LOOKS, max_size=5),
    raises=st.sets(st.integers(0, 5)),
    trials=st.integers(1, 60),
    control_trials=st.integers(1, 200),
    part=st.floats(0, 1),
    alpha=st.sampled_from([0.05, 0.01, 1e-4]),
    odds=st.sampled_from([1.0, 0.7]),
)
def test_the_capital_expects_no_growth_if_the_candidate_is_not_worse(
    few: int,
    initial: State,
    before: list[Look],
    raises: set[int],
    trials: int,
    control_trials: int,
    part: float,
    alpha: float,
    odds: float,
) -> None:
    """Whatever was seen before, and whatever events there are: given these, capital up to the cap
    is a fair game at best.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(capping, "_FEW", few)
        state, cap = initial, 1 / alpha
        for i, look in enumerate(before):
            state = after(again(state) if i in raises else state, look, alpha)
        if len(before) in raises:
            state = again(state)
        now = math.exp(evidence(state, alpha=alpha))
        every = round(part * min(40, trials + control_trials))
        if now >= cap:
            return
        mean = math.fsum(
            chance
            * min(
                cap,
                math.exp(
                    evidence(
                        after(state, (trials, own, control_trials, every - own), alpha),
                        alpha=alpha,
                    )
                ),
            )
            for own, chance in chances(trials, control_trials, every, odds).items()
        )

        assert mean <= now * (1 + 1e-9)


@given(
    initial=st.sampled_from([INITIAL, RESERVED]),
    before=st.lists(LOOKS, max_size=8),
    alpha=st.sampled_from([0.05, 1e-4]),
)
def test_to_begin_again_neither_gains_nor_loses(
    initial: State, before: list[Look], alpha: float
) -> None:
    state = initial
    for look in before:
        state = after(state, look, alpha)
    once, twice = again(state), again(again(state))

    for each in (once, twice):
        assert evidence(each, alpha=alpha) == pytest.approx(evidence(state, alpha=alpha), abs=1e-9)
        assert increase.estimated(each) == ratios.initial(RISES)
        assert increase.begun_again(each)
    assert not increase.begun_again(state)


@pytest.mark.parametrize(("ratio", "most"), [(2, 1.75), (5, 1.7), (20, 1.7)])
def test_a_healthy_time_does_not_hide_harm_that_begins_with_a_raise(
    ratio: float, most: float
) -> None:
    """A thousand events at 10 %, then harm at 50 %: own events until it is seen, as a multiple of
    what it takes from the beginning. Without a new beginning it is three to six times.
    """
    rng = random.Random(11)
    healthy = INITIAL
    for _ in range(10):
        healthy = after(healthy, (2_000, 10, 18_000, 90))
    share = ratio / (ratio + 1)

    def seen_after(state: State) -> int:
        own, every = 0, 10
        while evidence(state, alpha=0.01) < math.log(100):
            found = sum(rng.random() < share for _ in range(every))
            state, own = after(state, (1_000, found, 1_000, every - found)), own + found
        return own

    fresh, hidden, begun = (
        math.fsum(seen_after(state) for _ in range(60)) / 60
        for state in (INITIAL, healthy, again(healthy))
    )

    assert begun <= most * fresh < hidden


@pytest.mark.parametrize("ratio", [1.3, 2.0, 5.0])
def test_harm_that_was_there_before_a_raise_is_not_forgotten(ratio: float) -> None:
    """Found over five raises with hardly more events than without them."""
    rng = random.Random(12)

    def seen_after(raises: bool) -> int:
        state, own = INITIAL, 0
        for look in range(10_000):
            if raises and look % 10 == 9 and look < 50:
                state = again(state)
            part = min(0.5, 0.05 * 2 ** (look // 10))
            share = ratio * part / (ratio * part + 1 - part)
            found, trials = sum(rng.random() < share for _ in range(8)), round(10_000 * part)
            state, own = after(state, (trials, found, 10_000 - trials, 8 - found)), own + found
            if evidence(state, alpha=0.01) >= math.log(100):
                break
        return own

    without, through = (
        math.fsum(seen_after(raises) for _ in range(120)) / 120 for raises in (False, True)
    )

    assert through <= 1.15 * without


def test_nothing_is_wasted_where_an_event_would_be_far_too_much() -> None:
    """One event that is the candidate's with one in a hundred is worth 18 times to the alternative
    that stands most to gain; what is above the cap comes back before it.
    """
    one = after(INITIAL, (10, 1, 990, 0), alpha=0.05)
    two = after(one, (10, 0, 990, 1), alpha=0.05)

    assert factors(one) == 0.0, "one event alone can't be enough"
    assert factors(two) > 0.05
    assert evidence(two, alpha=0.05) > ratios.evidence(increase.estimated(two))
    assert factors(after(one, (10, 0, 990, 0), alpha=0.05)) == 0.0, "no event, nothing to gain"


def test_the_bounds_gain_less_than_the_sum_and_never_more(monkeypatch: pytest.MonkeyPatch) -> None:
    gained = {}
    for few in (300, 0):
        monkeypatch.setattr(capping, "_FEW", few)
        state = INITIAL
        for _ in range(4):
            state = after(state, (10_000, 110, 90_000, 900))
        gained[few] = factors(state)

    assert 0.5 < gained[0] < gained[300] < 4


def test_after_an_alarm_it_goes_on_as_the_plain_mixture() -> None:
    state = after(INITIAL, (1_000, 60, 9_000, 90))
    alarmed = evidence(state, alpha=0.01)
    twice = after(state, (1_000, 60, 9_000, 90))

    assert alarmed >= math.log(100)
    assert factors(twice) == factors(state)
    assert evidence(twice, alpha=0.01) > alarmed + 20


@pytest.mark.parametrize("alpha", [0.2, 0.05])
def test_false_alarms_are_at_most_alpha_whoever_chooses_the_weights(alpha: float) -> None:
    """The weight is raised when the evidence is high and lowered when it is not, which no fixed
    schedule would be allowed to do.
    """
    rng, alarms, rollouts = random.Random(5), 0, 300
    for _ in range(rollouts):
        state = INITIAL
        for _ in range(80):
            share = 0.5 if evidence(state, alpha=alpha) > 0 else 0.05
            if rng.random() < 0.1:
                state = again(state)
            every = 12
            own = sum(rng.random() < share for _ in range(every))
            trials = round(share * 100_000)
            state = after(state, (trials, own, 100_000 - trials, every - own), alpha)
            if evidence(state, alpha=alpha) >= math.log(1 / alpha):
                alarms += 1
                break

    assert alarms / rollouts <= alpha + 3 * math.sqrt(alpha * (1 - alpha) / rollouts)
    assert alarms, "a test that never alarms would pass as well"


@pytest.mark.parametrize(
    ("ratio", "share", "most"),
    [(1.02, 0.5, 1.6), (1.05, 0.5, 1.6), (1.1, 0.1, 1.6), (1.2, 0.1, 1.6), (1.5, 0.1, 1.4)],
)
def test_rises_are_found_near_the_limit_of_what_can_be_known(
    ratio: float, share: float, most: float
) -> None:
    """In looks that bring a fiftieth of the events that no test could do without."""
    rng, rate, alpha = random.Random(7), 1e-4, 0.01
    limit = planning.requests_needed(math.log(1 / alpha), ratio * rate, rate, share)
    trials, control_trials = round(limit / 50 * share), round(limit / 50 * (1 - share))
    spent = []
    for _ in range(60):
        state, requests = INITIAL, 0
        while evidence(state, alpha=alpha) < math.log(1 / alpha):
            own, other = (
                max(0, round(rng.gauss(mean, math.sqrt(mean))))
                if mean > 30
                else sum(1 for _ in range(1000) if rng.random() < mean / 1000)
                for mean in (trials * rate * ratio, control_trials * rate)
            )
            state = after(state, (trials, own, control_trials, other), alpha)
            requests += trials + control_trials
        spent.append(requests / limit)

    assert sum(spent) / len(spent) < most + 3 * 0.6 / math.sqrt(len(spent))


@pytest.mark.parametrize("ratio", [1.009, 1.003, 1.0005])
def test_every_rise_is_found_in_the_end(ratio: float) -> None:
    state, looks = INITIAL, 0
    events = 4_000_000
    while evidence(state, alpha=0.01) < math.log(100):
        look = (10**9, round(events * ratio), 10**9, events)
        state, looks = after(state, look), looks + 1
        assert looks < 400

    assert looks


@pytest.mark.parametrize("size", [10**n for n in range(0, 19, 3)])
@pytest.mark.parametrize("share", [1, 9])
def test_equal_counts_of_any_size_are_no_harm(size: int, share: int) -> None:
    state = INITIAL
    for _ in range(20):
        state = after(state, (size * 100, size, share * size * 100, share * size))

    assert evidence(state, alpha=0.01) < 0.1


@pytest.mark.parametrize("size", [10**n for n in range(9, 19, 3)])
def test_a_twentieth_more_of_very_many_is_harm_at_once(size: int) -> None:
    state = after(INITIAL, (size * 100, size * 105 // 100, 9 * size * 100, 9 * size))

    assert evidence(state, alpha=0.01) >= math.log(100)


def test_what_cannot_be_is_no_reason_to_gain() -> None:
    """All requests fail on both sides: only one number of events is possible."""
    state = after(INITIAL, (10, 10, 90, 90))

    assert factors(state) == 0.0
    assert evidence(state, alpha=0.01) <= 0


def test_the_alternatives_weigh_everything_once() -> None:
    assert math.fsum(map(math.exp, RISES.log_prior)) == pytest.approx(1.0)
    assert RISES.ratios[-5:] == sequential.RATIOS
    assert evidence(INITIAL, alpha=0.01) == pytest.approx(0.0, abs=1e-12)
    assert increase.estimated(INITIAL) == ratios.initial(RISES)
