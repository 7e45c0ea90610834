"""False alarms of latencies whose buckets differ, or change under way: never more than promised."""

from __future__ import annotations

import math
import random
from bisect import bisect_left
from collections.abc import Callable
from itertools import accumulate, pairwise

import pytest

from progressive.analysis.comparisons.base import Question
from progressive.analysis.comparisons.latencies import Latencies
from progressive.model import Histogram
from progressive.stats.proportions import binomial_test

ALPHA = 0.05
OLD = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
NEW = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.6, 5.0)

Layout = Callable[[random.Random, int], tuple[tuple[float, ...], tuple[float, ...]]]
"""The candidate's edges and the control's in a look."""


def differ(dice: random.Random, i: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return NEW, OLD


def take_turns(dice: random.Random, i: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """A replica with new buckets comes and goes."""
    return (OLD, NEW)[i % 2], OLD


def change_once(dice: random.Random, i: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return (OLD, OLD) if i < 8 else (NEW, OLD)


def are_any(dice: random.Random, i: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    mine, theirs = (tuple(sorted({0.1, *dice.sample(OLD, 5)})) for _ in range(2))
    return mine, theirs


def alike(dice: random.Random, i: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return OLD, OLD


def drawn(dice: random.Random, n: int, edges: tuple[float, ...], slower: float) -> Histogram:
    counts = [0] * (len(edges) + 1)
    for _ in range(n):
        counts[bisect_left(edges, slower * dice.lognormvariate(-2.5, 1.0))] += 1
    return Histogram(edges=edges, cumulative=tuple(accumulate(counts)))


def seen(one: Histogram, other: Histogram) -> list[float]:
    """The edges of buckets that have something in them, as a native histogram shows them."""
    cells = [
        b + d - a - c
        for (a, b), (c, d) in zip(
            pairwise((0, *one.cumulative)), pairwise((0, *other.cumulative)), strict=True
        )
    ]
    return [edge for i, edge in enumerate(one.edges) if cells[i] or cells[i + 1]]


def first_alarm(
    layout: Layout, dice: random.Random, looks: int, *, slower: float = 1.0, sparse: bool = False
) -> int | None:
    """The look that proves harm; None if none does."""
    test, state = Latencies(Question(than="stable", up=True, down=False)), None
    for i in range(looks):
        mine, theirs = layout(dice, i)
        candidate = drawn(dice, 40 if sparse else 60, mine, slower)
        control = drawn(dice, 40 if sparse else 180, theirs, 1.0)
        if sparse:
            edges = seen(candidate, control)
            candidate, control = candidate.at(edges), control.at(edges)
        assert test.fits(candidate, control) is None
        state = test.learn(state, candidate, control, ALPHA)
        if test.evidence(state, ALPHA) >= math.log(1 / ALPHA):
            return i + 1
    return None


CASES = [
    (differ, False),
    (take_turns, False),
    (change_once, False),
    (are_any, False),
    (alike, True),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layout", "sparse"), CASES, ids=lambda case: getattr(case, "__name__", case)
)
def test_versions_that_are_alike_alarm_at_most_as_promised(layout: Layout, sparse: bool) -> None:
    """However their buckets differ and change; ``sparse``: only what was seen has edges."""
    runs = 600
    alarms = sum(
        first_alarm(layout, random.Random(seed), 30, sparse=sparse) is not None
        for seed in range(runs)
    )

    assert binomial_test(alarms, runs, ALPHA, alternative="greater") > 0.01
    assert alarms < runs * ALPHA


@pytest.mark.parametrize(
    ("layout", "sparse"), CASES, ids=lambda case: getattr(case, "__name__", case)
)
def test_a_slow_version_is_found_whatever_its_buckets(layout: Layout, sparse: bool) -> None:
    found = [
        first_alarm(layout, random.Random(seed), 30, slower=2.0, sparse=sparse) for seed in range(8)
    ]

    assert None not in found


DEFAULT = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


def requests_needed(edges: tuple[float, ...], seed: int) -> int:
    """Of a candidate that is 1.25 times as slow, with as much traffic as its control and a median
    of 40 ms; at most 4,000.
    """
    dice, state = random.Random(seed), None
    test = Latencies(Question(than="stable", up=True, down=False))
    for i in range(1, 201):
        one, other = (
            [slower * dice.lognormvariate(math.log(0.04), 0.8) for _ in range(20)]
            for slower in (1.25, 1.0)
        )
        candidate, control = (
            Histogram(
                edges=edges, cumulative=(*(sum(t <= edge for t in took) for edge in edges), 20)
            )
            for took in (one, other)
        )
        state = test.learn(state, candidate, control, 0.01)
        if test.evidence(state, 0.01) >= math.log(100):
            return i * 20
    return 4_000


@pytest.mark.slow
def test_what_fewer_shared_edges_cost_is_what_the_page_says() -> None:
    """`docs/explanation/statistics.md`, "Other buckets"."""
    default, every_second, one, beyond = (
        sorted(requests_needed(edges, seed) for seed in range(41))[20]
        for edges in (DEFAULT, DEFAULT[1::2], (0.1,), (1.0, 2.5, 5.0, 10.0))
    )

    assert default <= every_second <= 1.2 * default
    assert 2 * default < one < 4 * default
    assert beyond == 4_000
