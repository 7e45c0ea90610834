"""Tests and intervals of proportions against SciPy, against published examples, and against what
they promise.
"""

from __future__ import annotations

import math
from fractions import Fraction
from math import inf
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from tests.support.reference import agrees, cases_of, near

from progressive.stats.evidence import Alternative, Interval
from progressive.stats.proportions import (
    ZTest,
    binomial_test,
    clopper_pearson,
    fisher_exact,
    newcombe,
    two_proportion_z,
    wilson,
)

ALTERNATIVES: tuple[Alternative, ...] = get_args(Alternative)

alternatives = st.sampled_from(ALTERNATIVES)
parts = st.floats(0, 1)


@st.composite
def counts(draw: st.DrawFn, most: int = 400, least: int = 1) -> tuple[int, int]:
    """Events and trials; few events as often as any number."""
    trials = draw(st.integers(least, most))
    return draw(st.one_of(st.integers(0, min(trials, 5)), st.integers(0, trials))), trials


# --------------------------------------------------------------------------------- reference values


def alternative_in(function: str) -> Alternative:
    return next((each for each in ALTERNATIVES if each in function), "two-sided")


@pytest.mark.parametrize("case", cases_of("clopper-pearson", "wilson"), ids=lambda case: case["id"])
def test_a_reference_interval(case: dict[str, Any]) -> None:
    given = case["input"]
    interval = {"clopper-pearson": clopper_pearson, "wilson": wilson}[case["group"]]
    found = interval(
        given["k"], given["n"], confidence=given["conf"] if "conf" in given else 1 - given["alpha"]
    )

    assert agrees(found._asdict(), case)


@pytest.mark.parametrize("case", cases_of("fisher"), ids=lambda case: case["id"])
def test_a_reference_value_of_fishers_test(case: dict[str, Any]) -> None:
    [[a, b], [c, d]] = case["input"]["table"]

    assert agrees(
        {"p": fisher_exact(a, a + b, c, c + d, alternative=alternative_in(case["function"]))}, case
    )


@pytest.mark.parametrize("case", cases_of("two-proportion-z"), ids=lambda case: case["id"])
def test_a_reference_value_of_the_z_test(case: dict[str, Any]) -> None:
    given = case["input"]
    alternative = {"larger": "greater", "smaller": "less"}.get(
        given["alternative"], given["alternative"]
    )
    pooled = "unpooled" not in case["function"]
    found = two_proportion_z(
        given["ec"], given["nc"], given["es"], given["ns"], alternative=alternative, pooled=pooled
    )

    assert agrees(found._asdict(), case)


@pytest.mark.parametrize("case", cases_of("poisson-ratio"), ids=lambda case: case["id"])
def test_a_ratio_of_two_poisson_rates_is_a_binomial_test_of_the_share(case: dict[str, Any]) -> None:
    given = case["input"]
    scaled = given["ratio_null"] * given["nc"]
    alternative: Alternative = (
        "greater"
        if "larger" in case["function"]
        else "less"
        if "smaller" in case["function"]
        else "two-sided"
    )
    found = binomial_test(
        given["ec"],
        given["ec"] + given["es"],
        scaled / (scaled + given["ns"]),
        alternative=alternative,
    )

    assert agrees({"p": found}, case)


NEWCOMBE: tuple[tuple[tuple[int, int, int, int], tuple[float, float]], ...] = (
    ((56, 70, 48, 80), (0.0524, 0.3339)),
    ((9, 10, 3, 10), (0.1705, 0.8090)),
    ((6, 7, 2, 7), (0.0582, 0.8062)),
    ((5, 56, 0, 29), (-0.0381, 0.1926)),
    ((0, 10, 0, 20), (-0.1611, 0.2775)),
    ((0, 10, 0, 10), (-0.2775, 0.2775)),
    ((10, 10, 0, 20), (0.6791, 1.0)),
    ((10, 10, 0, 10), (0.6075, 1.0)),
)


@pytest.mark.parametrize(("given_counts", "wanted"), NEWCOMBE)
def test_the_examples_of_newcombes_paper(
    given_counts: tuple[int, int, int, int], wanted: tuple[float, float]
) -> None:
    """Statistics in Medicine 17, 873-890, table II, method 10."""
    assert tuple(round(end, 4) for end in newcombe(*given_counts)) == wanted


# ----------------------------------------------------------------------------------------- by SciPy


@given(one=counts(), other=counts(), alternative=alternatives)
def test_fishers_test_agrees_with_scipy(
    one: tuple[int, int], other: tuple[int, int], alternative: Alternative
) -> None:
    (a, n), (c, m) = one, other
    theirs = stats.fisher_exact([[a, n - a], [c, m - c]], alternative=alternative)[1]

    assert near(fisher_exact(a, n, c, m, alternative=alternative), float(theirs), 1e-9, 1e-290)


@given(
    one=counts(),
    probability=st.one_of(st.floats(1e-100, 1), st.sampled_from([0.0, 0.5, 1.0, 0.01])),
    alternative=alternatives,
)
def test_the_binomial_test_agrees_with_scipy(
    one: tuple[int, int], probability: float, alternative: Alternative
) -> None:
    theirs = stats.binomtest(*one, probability, alternative=alternative).pvalue

    assert near(
        binomial_test(*one, probability, alternative=alternative), float(theirs), 1e-9, 1e-280
    )


@given(one=counts(), confidence=st.sampled_from([0.5, 0.9, 0.95, 0.999]))
def test_intervals_for_one_proportion_agree_with_scipy(
    one: tuple[int, int], confidence: float
) -> None:
    events, trials = one
    miss = (1 - confidence) / 2
    low = stats.beta.ppf(miss, events, trials - events + 1) if events else 0.0
    high = stats.beta.isf(miss, events + 1, trials - events) if events < trials else 1.0
    exact, score = clopper_pearson(*one, confidence=confidence), wilson(*one, confidence=confidence)
    theirs = stats.binomtest(*one).proportion_ci(confidence, "wilson")

    assert near(exact.low, float(low), 1e-10) and near(exact.high, float(high), 1e-10)
    assert near(score.low, float(theirs.low), 1e-9, 1e-15) and near(
        score.high, float(theirs.high), 1e-9
    )


@given(one=counts(), other=counts(), pooled=st.booleans())
def test_z_is_the_difference_in_standard_errors(
    one: tuple[int, int], other: tuple[int, int], pooled: bool
) -> None:
    (a, n), (c, m) = one, other
    p, q, both = Fraction(a, n), Fraction(c, m), Fraction(a + c, n + m)
    variance = (
        both * (1 - both) * (Fraction(1, n) + Fraction(1, m))
        if pooled
        else p * (1 - p) / n + q * (1 - q) / m
    )
    z = two_proportion_z(a, n, c, m, pooled=pooled).z

    if variance:
        assert near(z, float(p - q) / math.sqrt(variance), 1e-9, 1e-9)
    else:
        assert z == (inf if p > q else -inf if p < q else 0.0)


# --------------------------------------------------------------------------------------------- laws


@given(one=counts(), other=counts())
def test_exchanging_the_sides_exchanges_the_alternatives(
    one: tuple[int, int], other: tuple[int, int]
) -> None:
    for test in (
        fisher_exact,
        lambda *given, alternative: two_proportion_z(*given, alternative=alternative).p,
    ):
        assert near(
            test(*one, *other, alternative="less"), test(*other, *one, alternative="greater"), 1e-11
        )
        assert near(
            test(*one, *other, alternative="two-sided"),
            test(*other, *one, alternative="two-sided"),
            1e-11,
        )
    (low, high), (other_low, other_high) = newcombe(*one, *other), newcombe(*other, *one)

    assert near(low, -other_high, 1e-12) and near(high, -other_low, 1e-12)


@given(one=counts(), other=counts())
def test_counting_what_did_not_happen_mirrors_everything(
    one: tuple[int, int], other: tuple[int, int]
) -> None:
    (a, n), (c, m) = one, other

    assert near(fisher_exact(a, n, c, m), fisher_exact(n - a, n, m - c, m), 1e-10)
    assert near(
        fisher_exact(a, n, c, m, alternative="less"),
        fisher_exact(n - a, n, m - c, m, alternative="greater"),
        1e-10,
    )
    for interval in (clopper_pearson, wilson):
        (low, high), (other_low, other_high) = interval(a, n), interval(n - a, n)
        assert near(low, 1 - other_high, 1e-10, 1e-13) and near(high, 1 - other_low, 1e-10, 1e-13)


@given(one=counts(), other=counts())
def test_the_two_one_sided_exact_tests_share_what_was_seen(
    one: tuple[int, int], other: tuple[int, int]
) -> None:
    (a, n), (c, m) = one, other
    seen = math.comb(n, a) * math.comb(m, c) / math.comb(n + m, a + c)
    less, greater = (fisher_exact(a, n, c, m, alternative=side) for side in ALTERNATIVES[1:])

    assert near(less + greater - seen, 1.0, 1e-11)


@given(one=counts(), confidence=st.floats(0.5, 0.999))
def test_the_exact_interval_is_the_exact_test_turned_round(
    one: tuple[int, int], confidence: float
) -> None:
    events, trials = one
    low, high = clopper_pearson(events, trials, confidence=confidence)
    miss = (1 - confidence) / 2

    assert low <= events / trials <= high
    assert events == 0 or near(
        binomial_test(events, trials, low, alternative="greater"), miss, 1e-9
    )
    assert events == trials or near(
        binomial_test(events, trials, high, alternative="less"), miss, 1e-9
    )


@pytest.mark.parametrize("truth", [0.001, 0.03, 0.2, 0.5, 0.93])
@pytest.mark.parametrize("trials", [1, 10, 60])
def test_the_exact_interval_covers_the_truth_as_often_as_it_says(trials: int, truth: float) -> None:
    """By enumeration of all that can be seen."""
    missed = [0.0, 0.0]
    for events in range(trials + 1):
        chance = math.comb(trials, events) * truth**events * (1 - truth) ** (trials - events)
        low, high = clopper_pearson(events, trials, confidence=0.9)
        missed[0] += chance if truth < low else 0.0
        missed[1] += chance if truth > high else 0.0

    assert max(missed) <= 0.05


@given(one=counts(), confidences=st.tuples(st.floats(0.01, 0.99), st.floats(0.01, 0.99)))
def test_more_confidence_is_a_longer_interval(
    one: tuple[int, int], confidences: tuple[float, float]
) -> None:
    less, more = sorted(confidences)
    for interval in (clopper_pearson, wilson):
        short, long = interval(*one, confidence=less), interval(*one, confidence=more)
        assert long.low <= short.low * (1 + 1e-9)
        assert short.high <= long.high * (1 + 1e-9)
        assert 0 <= long.low <= long.high <= 1


def test_nothing_seen_is_nothing_known() -> None:
    assert clopper_pearson(0, 0) == wilson(0, 0) == Interval(0.0, 1.0)


def test_three_over_n_is_what_no_event_excludes() -> None:
    """The rule of three, that the usual least sample of a limit stands on: one-sided 95 %."""
    assert clopper_pearson(0, 300, confidence=0.9).high == pytest.approx(3 / 300, rel=0.01)


def test_equal_proportions_without_variance_are_no_difference() -> None:
    assert (
        two_proportion_z(0, 9, 0, 5)
        == two_proportion_z(9, 9, 5, 5, pooled=False)
        == ZTest(0.0, 1.0)
    )
    assert two_proportion_z(9, 9, 0, 5, pooled=False) == ZTest(inf, 0.0)
    assert two_proportion_z(0, 9, 5, 5, pooled=False, alternative="less") == ZTest(-inf, 0.0)


def test_tables_of_a_million() -> None:
    """The first to 17 digits by the sum of all tables with forty digits; the second is past the
    smallest number.
    """
    assert near(fisher_exact(1_000, 1_000_000, 1_100, 1_000_000), 0.030633077741938639, 1e-12)
    assert fisher_exact(0, 1_000_000, 1_000_000, 1_000_000) == 0.0
    assert near(clopper_pearson(0, 10**9).high, -math.expm1(math.log(0.025) / 10**9), 1e-12)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda: clopper_pearson(5, 4),
            "events=5 of trials=4: events are 0 or more and part of the trials",
        ),
        (
            lambda: wilson(-1, 4),
            "events=-1 of trials=4: events are 0 or more and part of the trials",
        ),
        (
            lambda: binomial_test(5, 4, 0.5),
            "events=5 of trials=4: events are 0 or more and part of the trials",
        ),
        (lambda: binomial_test(1, 4, 1.5), "probability=1.5 is not between 0 and 1"),
        (lambda: binomial_test(1, 4, math.nan), "probability=nan is not between 0 and 1"),
        (
            lambda: fisher_exact(1, 4, 6, 5),
            "control_events=6 of control_trials=5: events are 0 or more and part of the trials",
        ),
        (lambda: fisher_exact(0, 0, 1, 5), "trials=0, control_trials=5: both must be above 0"),
        (lambda: newcombe(1, 5, 0, 0), "trials=5, control_trials=0: both must be above 0"),
        (lambda: two_proportion_z(1, 5, 0, 0), "trials=5, control_trials=0: both must be above 0"),
        (
            lambda: fisher_exact(1, 4, 2, 5, alternative="larger"),
            "alternative='larger' is not one of 'two-sided', 'less', 'greater'",
        ),
        (
            lambda: two_proportion_z(1, 4, 2, 5, alternative="x"),
            "alternative='x' is not one of 'two-sided', 'less', 'greater'",
        ),
        (lambda: wilson(1, 4, confidence=95), "confidence=95 is not between 0 and 1; 95 % is 0.95"),
        (
            lambda: clopper_pearson(1, 4, confidence=0),
            "confidence=0 is not between 0 and 1; 95 % is 0.95",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(call: Any, said: str) -> None:
    with pytest.raises(ValueError) as caught:
        call()

    assert str(caught.value) == said
