"""Evidence of slower answers: what it expects by enumeration, what it finds, and how seldom it
alarms.
"""

from __future__ import annotations

import itertools
import math
import random
from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from progressive.stats import ratios
from progressive.stats.histogram_tails import (
    INITIAL,
    LEVELS,
    State,
    evidence,
    margin_tested,
    paired,
    update,
)

EDGES = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""The default buckets of Prometheus' client libraries."""


def cumulative(times: list[float], edges: tuple[float, ...] = EDGES) -> list[int]:
    found = [0] * (len(edges) + 1)
    for time in times:
        found[bisect_left(edges, time)] += 1
    return list(itertools.accumulate(found))


# ------------------------------------------------------------------------------------- expectations

SMALL = (1.0, 2.0, 4.0)
KNOWN = (6, 20, 27, 30)
"""Cumulative counts of the earlier looks."""

STABLE = (0.5, 0.3, 0.15, 0.05)
TOLERATED = [STABLE, (0.6, 0.3, 0.07, 0.03), (0.5, 0.35, 0.15, 0.0), (1.0, 0.0, 0.0, 0.0)]
"""Distributions of the candidate that are nowhere worse."""


def expected(
    candidate: tuple[float, ...],
    control: tuple[float, ...],
    state: State,
    *,
    n: int,
    m: int,
    margin: float = 1.0,
) -> float:
    """The expectation of the evidence of one look, over every way in which its requests can fall
    into the buckets.
    """
    cells, terms = range(len(SMALL) + 1), []
    for fell in itertools.product(cells, repeat=n + m):
        chance = math.prod(candidate[i] for i in fell[:n]) * math.prod(control[i] for i in fell[n:])
        if chance:
            mine = [sum(i <= k for i in fell[:n]) for k in cells]
            theirs = [sum(i <= k for i in fell[n:]) for k in cells]
            terms.append(
                chance
                * math.exp(
                    evidence(
                        update(state, edges=SMALL, candidate=mine, control=theirs, margin=margin)
                    )
                )
            )
    return math.fsum(terms)


@pytest.mark.parametrize("candidate", TOLERATED)
@pytest.mark.parametrize(("n", "m"), [(1, 3), (2, 2), (3, 1)])
def test_a_candidate_that_is_nowhere_slower_expects_no_evidence(
    candidate: tuple[float, ...], n: int, m: int
) -> None:
    knowing: State = ((1, 2), (ratios.INITIAL,) * 2, INITIAL[2], KNOWN)

    assert expected(candidate, STABLE, knowing, n=n, m=m) <= 1 + 1e-9
    assert expected(candidate, STABLE, INITIAL, n=n, m=m) <= 1 + 1e-9


def test_with_a_margin_a_candidate_that_is_stretched_by_it_expects_no_evidence() -> None:
    """Twice the time: what stable has up to 1 and 2, the candidate may have up to 2 and 4."""
    twice = (0.0, 0.5, 0.3, 0.2)
    knowing: State = ((0, 1), (ratios.INITIAL,) * 2, INITIAL[2], (13, 25, 30))

    assert expected(twice, STABLE, knowing, n=2, m=2, margin=2.0) <= 1 + 1e-9
    assert expected(twice, STABLE, knowing, n=2, m=2, margin=1.0 + 1e-9) <= 1 + 1e-9
    assert expected((0.0, 0.0, 0.5, 0.5), STABLE, knowing, n=2, m=2, margin=2.0) > 1


# ------------------------------------------------------------------------------------------ finding


def after(
    rng: random.Random,
    slower: float = 1.0,
    *,
    stuck: float = 0.0,
    looks: int = 30,
    margin: float = 1.0,
    alpha: float = 0.05,
) -> int | None:
    """The look at which a candidate alarms: 100 requests of it and 300 of its control in each,
    lognormal around 100 ms.
    """
    state = INITIAL
    for k in range(looks):
        mine = [
            1.5 if rng.random() < stuck else slower * rng.lognormvariate(math.log(0.1), 0.8)
            for _ in range(100)
        ]
        theirs = [rng.lognormvariate(math.log(0.1), 0.8) for _ in range(300)]
        state = update(
            state,
            edges=EDGES,
            candidate=cumulative(mine),
            control=cumulative(theirs),
            margin=margin,
        )
        if evidence(state) >= math.log(1 / alpha):
            return k
    return None


def test_false_alarms_under_peeking_stay_below_alpha() -> None:
    rng, runs = random.Random(37), 150
    alarms = sum(after(rng, looks=20) is not None for _ in range(runs))

    assert alarms / runs <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


@pytest.mark.parametrize(
    ("slower", "stuck", "looks"), [(1.25, 0.0, 15), (2.0, 0.0, 3), (1.0, 0.05, 6)]
)
def test_what_is_slower_everywhere_is_found_and_what_is_slow_for_a_few_too(
    slower: float, stuck: float, looks: int
) -> None:
    rng = random.Random(41)
    found = [after(rng, slower, stuck=stuck, looks=60) for _ in range(8)]

    assert None not in found
    assert sorted(look for look in found if look is not None)[4] <= looks


def test_what_the_margin_tolerates_is_tolerated() -> None:
    rng = random.Random(43)

    assert [after(rng, 1.3, margin=1.3, looks=12) for _ in range(10)] == [None] * 10
    assert None not in [after(rng, 6.0, margin=1.3, looks=12) for _ in range(5)]


# ------------------------------------------------------------------------------------------ buckets


@pytest.mark.parametrize(
    ("edges", "margin", "pairs", "really"),
    [
        ((1.0, 2.0, 4.0), 1.0, [(0, 0), (1, 1), (2, 2)], 1.0),
        ((1.0, 2.0, 4.0), 2.0, [(0, 1), (1, 2)], 2.0),
        ((1.0, 2.0, 4.0), 1.2, [(0, 1), (1, 2)], 2.0),
        ((0.1, 0.12, 0.5), 1.2, [(0, 1), (1, 2)], 0.5 / 0.12),
        ((0.0, 1.0), 1.5, [(0, 0)], 1.5),
        ((1.0, 2.0), 9.0, [], 9.0),
    ],
)
def test_the_margin_goes_from_edge_to_edge(
    edges: tuple[float, ...], margin: float, pairs: list[tuple[int, int]], really: float
) -> None:
    assert paired(edges, margin) == pairs
    assert margin_tested(edges, margin) == pytest.approx(really)


def test_one_edge_is_followed_for_each_level_of_the_upper_tail() -> None:
    fine = tuple(0.01 * 1.05**k for k in range(160))
    rng = random.Random(47)
    times = [rng.lognormvariate(math.log(0.1), 0.8) for _ in range(6_000)]
    state = update(
        INITIAL,
        edges=fine,
        candidate=cumulative(times[:600], fine),
        control=cumulative(times[600:], fine),
    )

    assert len(state[0]) == len(LEVELS)
    for i, level in zip(state[0], LEVELS, strict=True):
        assert (
            sum(time > fine[i] for time in times)
            <= level * len(times)
            < sum(time > fine[i - 1] for time in times)
        )


def test_a_level_waits_for_requests_and_nothing_that_was_counted_is_lost() -> None:
    few = update(INITIAL, edges=SMALL, candidate=[1, 1, 1, 1], control=[3, 5, 6, 6])
    then = update(few, edges=SMALL, candidate=[1, 5, 9, 10], control=[20, 30, 38, 40])

    assert (few[0], few[3]) == ((), (4, 6, 7, 7))
    assert (then[0], then[3]) == ((2,), (25, 41, 54, 57))
    assert evidence(few) == 0


def test_where_all_is_past_the_last_edge_the_last_edge_is_followed() -> None:
    state = update(INITIAL, edges=SMALL, candidate=[0, 0, 0, 50], control=[0, 0, 0, 50])

    assert state[0] == (2, 2)


@pytest.mark.parametrize("edges", [(1.0,), (0.0, 1.0), (-1.0, 0.0, 1.0)])
def test_buckets_that_say_little_are_taken(edges: tuple[float, ...]) -> None:
    state = INITIAL
    for _ in range(3):
        full = [30] * (len(edges) + 1)
        state = update(state, edges=edges, candidate=[0] * len(edges) + [30], control=full)

    assert evidence(state) > math.log(100)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=4, max_size=4))
def test_a_request_of_the_candidate_that_was_slower_is_more_evidence(
    cells: list[tuple[int, int]],
) -> None:
    mine, theirs = (list(itertools.accumulate(side)) for side in zip(*cells, strict=True))
    knowing: State = ((1, 2), (ratios.INITIAL,) * 2, INITIAL[2], (100, 150, 180, 190))
    quick, slow = [each + 1 for each in mine], [*mine[:3], mine[3] + 1]
    control = [*theirs[:3], theirs[3] + 1]

    assert evidence(update(knowing, edges=SMALL, candidate=slow, control=control)) > evidence(
        update(knowing, edges=SMALL, candidate=quick, control=control)
    )


def test_clumps_divide_the_evidence() -> None:
    look = {"edges": SMALL, "candidate": [10, 20, 40, 60], "control": [50, 90, 98, 100]}
    knowing: State = ((1,), (ratios.INITIAL,), INITIAL[2], KNOWN)
    whole, third = update(knowing, **look), update(knowing, **look, dispersion=3.0)  # type: ignore[arg-type]

    assert third[1][0] == pytest.approx(
        [*[value / 3 for value in whole[1][0][:5]], *whole[1][0][5:]], rel=1e-11
    )
    assert third[2] == pytest.approx([value / 3 for value in whole[2]], rel=1e-11)
