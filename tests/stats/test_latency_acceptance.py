"""Proof that a candidate is not much slower: what it expects by enumeration, what it finds, and how
seldom it accepts a slow one.
"""

from __future__ import annotations

import itertools
import math
import random
from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from progressive.stats.latency_acceptance import (
    INITIAL,
    State,
    closest,
    evidence,
    needed,
    update,
    within,
)

EDGES = tuple(0.005 * 1.3**k for k in range(30))
SMALL = (1.0, 2.0, 4.0, 8.0)


def cumulative(times: list[float], edges: tuple[float, ...] = EDGES) -> list[int]:
    found = [0] * (len(edges) + 1)
    for time in times:
        found[bisect_left(edges, time)] += 1
    return list(itertools.accumulate(found))


@pytest.mark.parametrize(
    ("edges", "limit", "pairs", "least"),
    [
        ((1.0, 2.0, 4.0), 2.0, [(0, 1), (1, 2)], 2.0),
        ((1.0, 2.0, 4.0), 3.0, [(0, 1), (1, 2)], 2.0),
        ((1.0, 2.0, 4.0), 4.0, [(0, 2), (1, 2)], 2.0),
        ((0.1, 0.11, 0.12), 1.2, [(0, 2), (1, 2)], 0.12 / 0.11),
        ((0.0, 1.0, 3.0), 2.0, [], 3.0),
        ((1.0,), 9.0, [], math.inf),
        ((0.1, 0.3), 3.0, [(0, 1)], 3.0),
    ],
)
def test_two_edges_are_at_most_the_limit_apart(
    edges: tuple[float, ...], limit: float, pairs: list[tuple[int, int]], least: float
) -> None:
    assert within(edges, limit) == pairs
    assert closest(edges) == pytest.approx(least)


# ------------------------------------------------------------------------------------- expectations

STABLE = (0.5, 0.3, 0.1, 0.1, 0.0)
STRETCHED = [(0.0, 0.5, 0.3, 0.1, 0.1), (0.0, 0.4, 0.2, 0.2, 0.2), (0.0, 0.0, 0.0, 0.0, 1.0)]
"""What `STABLE` is when everything takes twice as long, and worse."""


def expected(candidate: tuple[float, ...], state: State, *, level: int, n: int, m: int) -> float:
    """The expectation of what one look adds to the evidence of a level, over every way in which its
    requests can fall into the buckets.
    """
    cells, terms, alternatives = range(len(SMALL) + 1), [0.0] * 3, range(3)
    for fell in itertools.product(cells, repeat=n + m):
        chance = math.prod(candidate[i] for i in fell[:n]) * math.prod(STABLE[i] for i in fell[n:])
        if chance:
            mine = [sum(i <= k for i in fell[:n]) for k in cells]
            theirs = [sum(i <= k for i in fell[n:]) for k in cells]
            added = update(state, edges=SMALL, candidate=mine, control=theirs, limit=2.0)[1][level]
            terms = [
                term + chance * math.exp(added[k])
                for k, term in zip(alternatives, terms, strict=True)
            ]
    return max(terms)


@pytest.mark.parametrize("candidate", STRETCHED)
@pytest.mark.parametrize(("n", "m"), [(1, 3), (2, 2), (3, 1)])
@pytest.mark.parametrize(
    "known", [(50, 80, 90, 95, 100), (10, 30, 80, 99, 100), (98, 99, 100, 100, 100)]
)
def test_a_candidate_that_is_stretched_by_the_limit_expects_no_evidence(
    candidate: tuple[float, ...], n: int, m: int, known: tuple[int, ...]
) -> None:
    """Whatever the earlier looks have shown: also where they misled."""
    for pair in range(3):
        state: State = ((pair, pair), ((0.0,) * 3,) * 2, known)

        assert expected(candidate, state, level=0, n=n, m=m) <= 1 + 1e-9


def test_a_candidate_that_is_as_good_expects_some() -> None:
    state: State = ((0, 1), ((0.0,) * 3,) * 2, (50, 80, 90, 100, 100))

    assert expected(STABLE, state, level=0, n=2, m=2) > 1
    assert expected(STABLE, state, level=1, n=2, m=2) > 1


# ------------------------------------------------------------------------------------------ finding


def until_accepted(
    rng: random.Random,
    slower: float,
    *,
    tail: float = 1.0,
    limit: float = 1.5,
    looks: int = 60,
    beta: float = 0.05,
) -> int | None:
    """The look at which a candidate is accepted: 100 requests of it and 300 of its control in each,
    lognormal around 50 ms.
    """
    state = INITIAL
    for k in range(looks):
        mine = [
            slower
            * (tail if rng.random() < 0.03 else 1.0)
            * rng.lognormvariate(math.log(0.05), 0.5)
            for _ in range(100)
        ]
        theirs = [rng.lognormvariate(math.log(0.05), 0.5) for _ in range(300)]
        state = update(
            state, edges=EDGES, candidate=cumulative(mine), control=cumulative(theirs), limit=limit
        )
        if evidence(state) >= math.log(1 / beta):
            return k
    return None


def test_what_is_as_good_is_accepted_about_when_it_was_said() -> None:
    rng, found = random.Random(3), []
    for _ in range(12):
        found.append(until_accepted(rng, 1.0))
        assert found[-1] is not None
    state = update(INITIAL, edges=EDGES, candidate=[100] * 31, control=[300] * 31, limit=1.5)
    times = [rng.lognormvariate(math.log(0.05), 0.5) for _ in range(4_000)]
    state = update(
        INITIAL,
        edges=EDGES,
        candidate=cumulative(times[:1_000]),
        control=cumulative(times[1_000:]),
        limit=1.5,
    )
    forecast = needed(state, math.log(20), edges=EDGES, share=0.25, limit=1.5) / 400

    assert forecast / 2 < sorted(found)[6] < 2 * forecast + 3  # type: ignore[type-var]


def test_what_is_as_slow_as_the_limit_is_seldom_accepted_however_often_one_looks() -> None:
    rng, runs = random.Random(5), 60
    accepted = sum(until_accepted(rng, 1.5, looks=25) is not None for _ in range(runs))

    assert accepted / runs <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


def test_a_tail_that_is_slow_is_not_accepted_for_a_body_that_is_not() -> None:
    rng = random.Random(7)

    assert [until_accepted(rng, 1.0, tail=6.0, looks=30) for _ in range(4)] == [None] * 4


# ------------------------------------------------------------------------------------- what is kept


def test_a_level_waits_for_requests_and_the_look_that_chooses_is_not_evidence() -> None:
    first = update(
        INITIAL, edges=SMALL, candidate=[5, 8, 9, 10, 10], control=[15, 24, 27, 30, 30], limit=2.0
    )
    then = update(
        first, edges=SMALL, candidate=[5, 8, 9, 10, 10], control=[15, 24, 27, 30, 30], limit=2.0
    )
    late = update(
        then,
        edges=SMALL,
        candidate=[500, 800, 980, 990, 1000],
        control=[500, 800, 980, 990, 1000],
        limit=2.0,
    )

    assert first == ((-1, -1), ((0.0,) * 3,) * 2, (20, 32, 36, 40, 40))
    assert then == ((1, -1), ((0.0,) * 3,) * 2, (40, 64, 72, 80, 80))
    assert late[0] == (1, 2)
    assert late[1][1] == (0.0,) * 3
    assert max(late[1][0]) > 0
    assert evidence(INITIAL) == evidence(first) == evidence(late) == 0.0


@pytest.mark.parametrize(
    ("pooled", "chosen"),
    [
        ([500, 700, 900, 1_000, 1_000], (1, -1)),
        ([500, 850, 992, 1_000, 1_000], (1, 2)),
        ([500, 850, 999, 1_000, 1_000], (1, -1)),
        ([500, 850, 1_000, 1_000, 1_000], (1, -1)),
        ([500, 850, 960, 1_000, 1_000], (1, 2)),
        ([500, 850, 959, 1_000, 1_000], (1, -1)),
        ([1_000] * 5, (-1, -1)),
        ([0, 0, 0, 0, 1_000], (-1, -1)),
    ],
)
def test_the_edges_are_those_next_to_the_level_that_still_have_something_above(
    pooled: list[int], chosen: tuple[int, ...]
) -> None:
    assert update(INITIAL, edges=SMALL, candidate=pooled, control=pooled, limit=2.0)[0] == chosen


def test_evidence_against_the_one_is_not_made_good_by_evidence_for_the_other() -> None:
    state: State = ((0, 1), ((9.0,) * 3, (-2.0,) * 3), (50, 80, 90, 95, 100))

    assert evidence(state) == pytest.approx(-2.0)
    assert evidence(((0, -1), ((9.0,) * 3, (0.0,) * 3), state[2])) == 0.0
    assert evidence(((0, -1), ((-3.0,) * 3, (0.0,) * 3), state[2])) == pytest.approx(-3.0)


def test_where_nothing_is_seen_above_an_edge_no_number_of_requests_is_enough() -> None:
    state = update(INITIAL, edges=SMALL, candidate=[600] * 5, control=[600] * 5, limit=2.0)

    assert math.isinf(needed(state, math.log(20), edges=SMALL, share=0.5, limit=2.0))


def test_where_no_edge_is_near_a_level_no_number_of_requests_is_enough_until_one_is() -> None:
    """Half of the requests above the one edge and none above the next say nothing about the slowest
    hundredth.
    """
    coarse = {
        "edges": SMALL,
        "candidate": [500, 1_000, 1_000, 1_000, 1_000],
        "control": [500, 1_000, 1_000, 1_000, 1_000],
    }
    state = update(update(INITIAL, **coarse, limit=2.0), **coarse, limit=2.0)  # type: ignore[arg-type]
    finer = {
        "edges": SMALL,
        "candidate": [500, 900, 1_000, 1_000, 1_000],
        "control": [500, 900, 1_000, 1_000, 1_000],
    }

    assert state[0] == (0, -1)
    assert evidence(state) == 0.0 < max(state[1][0])
    assert math.isinf(needed(state, 3.0, edges=SMALL, share=0.5, limit=2.0))
    then = update(state, **finer, limit=2.0)  # type: ignore[arg-type]
    assert then[0] == (0, 1)
    assert needed(then, 3.0, edges=SMALL, share=0.5, limit=2.0) < math.inf


def test_what_is_missing_is_the_more_of_the_two_levels() -> None:
    look = {"edges": SMALL, "candidate": [50, 80, 97, 99, 100], "control": [50, 80, 97, 99, 100]}
    state, missing = INITIAL, []
    for _ in range(30):
        state = update(state, **look, limit=2.0)  # type: ignore[arg-type]
        missing.append(needed(state, math.log(20), edges=SMALL, share=0.5, limit=2.0))

    assert missing == sorted(missing, reverse=True)
    assert missing[0] > 1_000 - 200
    assert missing[-1] == 0 < evidence(state)
    assert needed(
        state, math.log(1e9), edges=SMALL, share=0.5, limit=2.0, dispersion=3.0
    ) == pytest.approx(3 * needed(state, math.log(1e9), edges=SMALL, share=0.5, limit=2.0))


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=5, max_size=5))
def test_a_request_of_the_candidate_that_was_slower_speaks_against_it(
    cells: list[tuple[int, int]],
) -> None:
    mine, theirs = (list(itertools.accumulate(side)) for side in zip(*cells, strict=True))
    state: State = ((1, 1), ((0.0,) * 3,) * 2, (50, 80, 90, 95, 100))
    quick, slow = [each + 1 for each in mine], [*mine[:4], mine[4] + 1]
    control = [*theirs[:4], theirs[4] + 1]

    assert evidence(
        update(state, edges=SMALL, candidate=slow, control=control, limit=2.0)
    ) < evidence(update(state, edges=SMALL, candidate=quick, control=control, limit=2.0))


def test_clumps_divide_the_evidence() -> None:
    look = {
        "edges": SMALL,
        "candidate": [10, 20, 40, 60, 60],
        "control": [50, 90, 98, 100, 100],
        "limit": 2.0,
    }
    state: State = ((0, 1), ((0.0,) * 3,) * 2, (50, 80, 90, 95, 100))
    whole, third = update(state, **look), update(state, **look, dispersion=3.0)  # type: ignore[arg-type]

    assert [list(each) for each in third[1]] == [
        pytest.approx([value / 3 for value in each], rel=1e-11) for each in whole[1]
    ]
