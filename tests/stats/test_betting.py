"""Evidence where events come in clumps: what a look expects whatever the clumps are, false alarms,
and what is found.
"""

from __future__ import annotations

import itertools
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from progressive.stats.betting import INITIAL, evidence, update
from progressive.stats.sequential import factor


@pytest.mark.parametrize(
    "clumps", [(1,), (1, 1, 1), (5,), (7, 2, 1), (3, 3, 3, 3), (20, 1, 1, 1, 1)]
)
@pytest.mark.parametrize(("trials", "control_trials"), [(1, 9), (5, 5), (9, 1)])
def test_a_look_expects_nothing_whatever_the_clumps_are(
    clumps: tuple[int, ...], trials: int, control_trials: int
) -> None:
    """Each clump falls as a whole on the candidate, with its share as the chance; here all ways in
    which they can.
    """
    share = trials / (trials + control_trials)
    for i in range(len(INITIAL)):
        terms = []
        for fell in itertools.product((True, False), repeat=len(clumps)):
            own = sum(size for size, mine in zip(clumps, fell, strict=True) if mine)
            chance = math.prod(share if mine else 1 - share for mine in fell)
            logs = update(
                INITIAL,
                events=own,
                trials=trials,
                control_events=sum(clumps) - own,
                control_trials=control_trials,
            )
            terms.append(chance * math.exp(logs[i]))

        assert math.fsum(terms) == pytest.approx(1, abs=1e-10)


@pytest.mark.parametrize("p", [0.05, 0.5, 0.95])
@pytest.mark.parametrize(("n", "m"), [(3, 9), (6, 6)])
def test_requests_that_fail_often_expect_nothing_either_and_a_better_candidate_less(
    p: float, n: int, m: int
) -> None:
    for rate, least in ((p, 1 - 1e-9), (p * 0.7, 0.0)):
        terms = [
            math.comb(n, a)
            * rate**a
            * (1 - rate) ** (n - a)
            * math.comb(m, b)
            * p**b
            * (1 - p) ** (m - b)
            * math.exp(
                evidence(update(INITIAL, events=a, trials=n, control_events=b, control_trials=m))
            )
            for a in range(n + 1)
            for b in range(m + 1)
        ]

        assert least <= math.fsum(terms) <= 1 + 1e-9


def test_one_event_is_what_it_is_to_the_sequential_test() -> None:
    for own in (0, 1):
        logs = update(INITIAL, events=own, trials=10, control_events=1 - own, control_trials=90)

        assert logs[1] == pytest.approx(factor(own, 1, 0.1, ratio=3.0, null=1.0), rel=1e-10)


def rollout(
    rng: random.Random, ratio: float, clump: int, *, looks: int = 120, alpha: float = 0.05
) -> int | None:
    """The look at which a candidate alarms that has a tenth of the requests, of which each failing
    user fails ``clump`` times.
    """
    logs = INITIAL
    for k in range(looks):
        own = sum(rng.random() < 0.02 * ratio for _ in range(100)) * clump
        other = sum(rng.random() < 0.02 for _ in range(900)) * clump
        logs = update(
            logs, events=own, trials=100 * clump, control_events=other, control_trials=900 * clump
        )
        if evidence(logs) >= math.log(1 / alpha):
            return k
    return None


@pytest.mark.parametrize("clump", [1, 3, 20])
def test_false_alarms_stay_below_alpha_whatever_the_clumps(clump: int) -> None:
    rng, runs = random.Random(11 + clump), 150
    alarms = sum(rollout(rng, 1.0, clump, looks=40) is not None for _ in range(runs))

    assert alarms / runs <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


@pytest.mark.parametrize(("clump", "looks"), [(1, 25), (10, 25)])
def test_what_is_worse_is_found(clump: int, looks: int) -> None:
    rng = random.Random(13)
    found = sorted(
        look for look in (rollout(rng, 3.0, clump) for _ in range(15)) if look is not None
    )

    assert len(found) == 15
    assert found[7] <= looks


@given(events=st.integers(0, 200), control=st.integers(0, 200))
def test_one_more_event_of_the_candidate_is_more_evidence(events: int, control: int) -> None:
    now = update(INITIAL, events=events, trials=100, control_events=control, control_trials=300)
    more = update(
        INITIAL, events=events + 1, trials=100, control_events=control, control_trials=300
    )
    other = update(
        INITIAL, events=events, trials=100, control_events=control + 1, control_trials=300
    )

    assert evidence(more) > evidence(now) >= evidence(other)


def test_a_look_says_no_more_than_the_ratio_that_it_shows_and_one_without_events_nothing() -> None:
    one = update(INITIAL, events=4_000, trials=1_000, control_events=9_000, control_trials=9_000)

    assert 0 < evidence(one) <= math.log(4_000 / 1_300)
    assert update(one, events=0, trials=10, control_events=0, control_trials=90) == one
    assert evidence(INITIAL) == pytest.approx(0, abs=1e-12)


def test_sums_of_values_with_a_heavy_tail_seldom_alarm_in_either_direction() -> None:
    """Orders of a Pareto law that has a mean and hardly a variance, a tenth of them the
    candidate's.
    """
    rng, runs = random.Random(17), 150
    alarms = {True: 0, False: 0}
    for _ in range(runs):
        rise, fall, crossed = INITIAL, INITIAL, {True: False, False: False}
        for _ in range(30):
            own, other = (math.fsum(rng.paretovariate(1.6) for _ in range(n)) for n in (20, 180))
            rise = update(rise, events=own, trials=20, control_events=other, control_trials=180)
            fall = update(fall, events=other, trials=180, control_events=own, control_trials=20)
            crossed = {
                True: crossed[True] or evidence(rise) >= math.log(20),
                False: crossed[False] or evidence(fall) >= math.log(20),
            }
        alarms = {up: alarms[up] + crossed[up] for up in alarms}

    assert max(alarms.values()) / runs <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


@given(
    st.lists(st.just(0.0) | st.floats(1e-200, 1e6), min_size=3, max_size=6).filter(
        lambda values: sum(values) > 0
    )
)
def test_whatever_the_values_are_a_look_at_their_sums_expects_nothing(values: list[float]) -> None:
    """Over all ways in which two of them can have been the candidate's."""
    ways = list(itertools.combinations(range(len(values)), 2))
    for i in range(len(INITIAL)):
        terms = []
        for way in ways:
            own = math.fsum(values[k] for k in way)
            other = math.fsum(value for k, value in enumerate(values) if k not in way)
            terms.append(
                math.exp(
                    update(
                        INITIAL,
                        events=own,
                        trials=2,
                        control_events=other,
                        control_trials=len(values) - 2,
                    )[i]
                )
            )

        assert math.fsum(terms) / len(ways) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_values_in_any_unit_are_found(unit: float) -> None:
    logs = INITIAL
    for _ in range(25):
        logs = update(
            logs, events=300.0 * unit, trials=100, control_events=900.0 * unit, control_trials=900
        )

    assert evidence(logs) > math.log(100)


def test_so_many_events_that_a_bet_rounds_to_everything_never_lose_all() -> None:
    logs = update(INITIAL, events=0, trials=10, control_events=10**18, control_trials=90)

    assert all(math.isfinite(log) for log in logs)
