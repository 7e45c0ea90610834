"""Ranks, the test on them and the shift, against SciPy, against counting, and against laws."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable
from fractions import Fraction
from typing import Any, get_args

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats
from tests.support.reference import agrees, cases_of, near

from progressive.stats.evidence import Alternative
from progressive.stats.ranks import (
    MannWhitney,
    cliffs_delta,
    cohens_d,
    common_language,
    mann_whitney,
    mean_ratio,
    mid_ranks,
    shift,
    shift_statistic,
)
from progressive.stats.special import normal_quantile

ALTERNATIVES: tuple[Alternative, ...] = get_args(Alternative)
alternatives = st.sampled_from(ALTERNATIVES)
tied = st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=12)
loose = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=12)
samples = st.one_of(tied, loose)
rounded = st.floats(-1e3, 1e3).map(lambda value: round(value, 3))
"""As metrics have them: a shift by some units swallows no difference of 1e-200."""
large = st.one_of(
    st.lists(st.integers(-3, 3).map(float), min_size=6, max_size=25),
    st.lists(rounded, min_size=6, max_size=25),
)
distinct = st.lists(st.integers(0, 1_000), min_size=2, max_size=16, unique=True)


# --------------------------------------------------------------------------------- reference values


@pytest.mark.parametrize(
    "case", cases_of("mannwhitney-asymptotic", "mannwhitney-exact"), ids=lambda case: case["id"]
)
def test_a_reference_value(case: dict[str, Any]) -> None:
    given = case["input"]
    method = case["group"].removeprefix("mannwhitney-")
    found = mann_whitney(
        given["x"],
        given["y"],
        alternative=given["alternative"],
        method=method,
        continuity=given.get("continuity", True),
    )

    assert agrees({"U": found.u, "p": found.p}, case)


@given(one=samples, other=samples, alternative=alternatives, continuity=st.booleans())
def test_the_asymptotic_test_agrees_with_scipy(
    one: list[float], other: list[float], alternative: Alternative, continuity: bool
) -> None:
    assume(len({*one, *other}) > 1)
    theirs = stats.mannwhitneyu(
        one, other, alternative=alternative, method="asymptotic", use_continuity=continuity
    )
    found = mann_whitney(
        one, other, alternative=alternative, method="asymptotic", continuity=continuity
    )

    assert found.u == theirs.statistic
    assert near(found.p, float(theirs.pvalue), 1e-11)


@given(
    values=distinct,
    cut=st.data(),
    alternative=alternatives,
    method=st.sampled_from(["auto", "exact"]),
)
def test_the_exact_test_agrees_with_scipy(
    values: list[int], cut: st.DataObject, alternative: Alternative, method: Any
) -> None:
    at = cut.draw(st.integers(1, len(values) - 1))
    theirs = stats.mannwhitneyu(values[:at], values[at:], alternative=alternative, method=method)
    found = mann_whitney(values[:at], values[at:], alternative=alternative, method=method)

    assert found.u == theirs.statistic
    assert near(found.p, float(theirs.pvalue), 1e-11)


@pytest.mark.parametrize(("m", "n"), [(1, 1), (1, 4), (3, 2), (3, 4)])
def test_the_exact_test_counts_all_orders(m: int, n: int) -> None:
    places = range(m + n)
    every = [
        len([1 for i in chosen for j in places if j not in chosen and i > j])
        for chosen in itertools.combinations(places, m)
    ]
    for chosen in itertools.combinations(places, m):
        one, other = list(chosen), [place for place in places if place not in chosen]
        u = len([1 for i in one for j in other if i > j])
        as_great = len([1 for each in every if each >= u]) / len(every)

        assert mann_whitney(one, other, alternative="greater", method="exact") == MannWhitney(
            u, as_great
        )


def test_exactly_up_to_eight_on_a_side_and_without_ties() -> None:
    few, many = [float(i) for i in range(8)], [i + 0.5 for i in range(2, 30)]
    nine = [float(i) for i in range(9)]

    assert mann_whitney(few, many) == mann_whitney(few, many, method="exact")
    assert mann_whitney(many, few) == mann_whitney(many, few, method="exact")
    assert (
        mann_whitney(nine, many)
        == mann_whitney(nine, many, method="asymptotic")
        != mann_whitney(nine, many, method="exact")
    )
    assert mann_whitney([1, 2, 2], [3, 4]) == mann_whitney([1, 2, 2], [3, 4], method="asymptotic")


def test_all_equal_is_no_difference() -> None:
    for continuity, alternative in itertools.product((True, False), ALTERNATIVES):
        assert mann_whitney(
            [2, 2], [2, 2, 2], alternative=alternative, continuity=continuity
        ) == MannWhitney(3.0, 1.0)


@given(values=samples)
def test_mid_ranks_agree_with_scipy(values: list[float]) -> None:
    assert mid_ranks(values) == list(stats.rankdata(values))


def test_no_values_have_no_ranks() -> None:
    assert mid_ranks([]) == []


@given(one=samples, other=samples)
def test_the_statistic_is_the_sum_of_ranks(one: list[float], other: list[float]) -> None:
    ranks = mid_ranks([*one, *other])[: len(one)]

    assert (
        mann_whitney(one, other, method="asymptotic").u
        == math.fsum(ranks) - len(one) * (len(one) + 1) / 2
    )


# -------------------------------------------------------------------------------------------- shift


def differences(one: list[float], other: list[float]) -> list[float]:
    return sorted(x - y for x in one for y in other)


@given(one=large, other=large)
def test_the_estimate_is_the_median_of_all_differences(
    one: list[float], other: list[float]
) -> None:
    assume(len({*one, *other}) > 1)
    every = differences(one, other)

    assert near(
        shift(one, other).estimate, statistics.median(every), 1e-12, 1e-11 * (every[-1] - every[0])
    )


@given(one=large, other=large, confidence=st.sampled_from([0.5, 0.9, 0.98]))
def test_the_ends_are_differences_at_which_the_test_turns(
    one: list[float], other: list[float], confidence: float
) -> None:
    assume(len({*one, *other}) > 1)
    found = shift(one, other, confidence=confidence)
    every = differences(one, other)
    width = every[-1] - every[0]
    z = -normal_quantile((1 - confidence) / 2)

    assert found.low <= found.estimate <= found.high
    for end, quantile in ((found.low, z), (found.high, -z)):
        assert min(abs(end - each) for each in every) <= 1e-11 * width
        if end - 1e-9 * width > every[0]:
            assert shift_statistic(one, other, end - 1e-9 * width, quantile) >= -1e-9
        if end + 1e-9 * width < every[-1]:
            assert shift_statistic(one, other, end + 1e-9 * width, quantile) <= 1e-9


@given(one=large, other=large)
def test_exchanging_the_samples_turns_the_shift_round(one: list[float], other: list[float]) -> None:
    assume(len({*one, *other}) > 1)
    found, turned = shift(one, other), shift(other, one)
    within = 1e-11 * (max(*one, *other) - min(*one, *other))

    assert near(found.estimate, -turned.estimate, 1e-12, within)
    assert near(found.low, -turned.high, 1e-12, within) and near(
        found.high, -turned.low, 1e-12, within
    )


@given(one=tied, other=tied, exponent=st.integers(-60, 60), by=st.integers(-1_000, 1_000))
def test_the_unit_and_the_origin_do_not_matter(
    one: list[float], other: list[float], exponent: int, by: int
) -> None:
    """Scaled by a power of two and moved by whole numbers, nothing is rounded."""
    assume(len(one) > 1 and len(other) > 1 and len({*one}) > 1)
    unit = 2.0**exponent
    found = shift(one, other)

    assert shift([x * unit for x in one], [y * unit for y in other]) == tuple(
        each * unit for each in found
    )
    assert shift([x + by for x in one], [y + by for y in other]) == found
    assert shift([x + by for x in one], other) == tuple(each + by for each in found)


def test_neighbours_high_up_are_still_told_apart() -> None:
    """At a million, shifting by a thousandth would round the differences away."""
    one, other = (
        [i / 8_192 for i in (1, 5, 9, 11, 20, 31)],
        [i / 8_192 for i in (0, 2, 3, 4, 12, 15)],
    )
    high = shift([1e6 + x for x in one], [1e6 + y for y in other])

    assert high == shift(one, other)
    assert high == tuple(
        -each
        for each in (lambda s: (s.estimate, s.high, s.low))(
            shift([-1e6 - x for x in one], [-1e6 - y for y in other])
        )
    )


def test_the_tolerance_of_others_depends_on_the_unit() -> None:
    one, other = [i + 0.3 for i in range(20)], [i * 0.9 for i in range(20)]
    rough, exact = shift(one, other, tolerance=1e-4), shift(one, other)
    small = shift([x * 1e-6 for x in one], [y * 1e-6 for y in other], tolerance=1e-4)

    assert all(abs(a - b) < 1e-4 for a, b in zip(rough, exact, strict=True))
    assert small.high > 3 * exact.high * 1e-6


def test_too_few_values_clamp_the_interval_to_the_outermost_differences() -> None:
    assert shift([5.0, 6.0], [1.0, 2.0], confidence=0.99) == (4.0, 3.0, 5.0)


def test_what_is_left_of_equal_values_is_no_shift() -> None:
    """0.1 + 0.2 is not 0.3, and nobody meant that."""
    assert shift([0.1 + 0.2] * 9 + [5.0], [0.3] * 9 + [4.0]).estimate == 0.0


# ------------------------------------------------------------------------------------- effect sizes


@given(one=samples, other=samples)
def test_sizes_by_counting_pairs(one: list[float], other: list[float]) -> None:
    pairs = [(x > y) - (x < y) for x in one for y in other]
    delta = Fraction(sum(pairs), len(pairs))

    assert cliffs_delta(one, other) == float(delta)
    assert common_language(one, other) == float((delta + 1) / 2)
    assert common_language(one, other) == pytest.approx(1 - common_language(other, one))


@given(
    one=st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=9),
    other=st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=9),
)
def test_sizes_by_means(one: list[float], other: list[float]) -> None:
    means = [statistics.fmean(one), statistics.fmean(other)]
    squares = [
        math.fsum((x - mean) ** 2 for x in values)
        for values, mean in zip((one, other), means, strict=True)
    ]

    if all(means):
        assert near(mean_ratio(one, other), means[0] / means[1], 1e-12)
    else:
        assert math.isnan(mean_ratio(one, other))
    if math.fsum(squares) > 0:
        pooled = math.sqrt(math.fsum(squares) / (len(one) + len(other) - 2))
        assert near(cohens_d(one, other), (means[0] - means[1]) / pooled, 1e-9, 1e-9)
    else:
        assert math.isnan(cohens_d(one, other))


def test_a_mean_of_zero_has_no_ratio() -> None:
    assert math.isnan(mean_ratio([0.0, 0.0], [1.0]))
    assert math.isnan(mean_ratio([1.0], [-1.0, 1.0]))


REFUSED: tuple[tuple[Callable[[], Any], str], ...] = (
    (lambda: mann_whitney([], [1]), "one: no values"),
    (lambda: mann_whitney([1], []), "other: no values"),
    (lambda: mann_whitney([1, math.nan], [1]), "one: NaN has no rank; remove it first"),
    (lambda: common_language([1], [math.nan]), "other: NaN has no rank; remove it first"),
    (
        lambda: mann_whitney([1], [2], alternative="worse"),
        "alternative='worse' is not one of 'two-sided', 'less', 'greater'",
    ),  # type: ignore[arg-type]
    (
        lambda: mann_whitney([1], [2], method="fast"),
        "method='fast' is not one of 'auto', 'exact', 'asymptotic'",
    ),  # type: ignore[arg-type]
    (
        lambda: mann_whitney([1, 1], [2], method="exact"),
        "method='exact': there are equal values; use 'asymptotic'",
    ),
    (lambda: shift([1], [2], confidence=1), "confidence=1 is not between 0 and 1; 95 % is 0.95"),
    (
        lambda: shift([1], [2]),
        "all values are equal, or become so by a shift: there is no interval",
    ),
    (
        lambda: shift([3, 3], [2, 2]),
        "all values are equal, or become so by a shift: there is no interval",
    ),
    (lambda: shift([math.inf, 1], [2, 3]), "values: their differences are not finite"),
    (lambda: shift([1, 2], [-math.inf, 3]), "values: their differences are not finite"),
    (
        lambda: shift([math.inf, math.inf], [math.inf, 3]),
        "values: their differences are not finite",
    ),
    (
        lambda: shift([2, math.inf], [math.inf, math.inf]),
        "values: their differences are not finite",
    ),
    (lambda: shift([1e308, 2], [-1e308, 3]), "values: their differences are not finite"),
)


@pytest.mark.parametrize(("call", "said"), REFUSED)
def test_what_makes_no_sense_is_refused(call: Callable[[], Any], said: str) -> None:
    with pytest.raises(ValueError) as caught:
        call()

    assert str(caught.value) == said
