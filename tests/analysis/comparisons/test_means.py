"""Means, compared by their sums."""

from __future__ import annotations

import pytest
from tests.support.checks import BASKET, NO_DATA, PASS, look
from tests.support.comparisons import BAD, judged, moments

from progressive import NoWorse
from progressive.model import Moments


def test_a_mean_says_between_which_bounds_the_difference_lies() -> None:
    early, _ = judged(NoWorse(BASKET), BAD[BASKET][0], 1)
    late, _ = judged(NoWorse(BASKET, margin=1.25), BAD[BASKET][0], 20)

    assert (early.verdict, early.why) == (NO_DATA, "20 of the 30 values that a comparison needs")
    assert "+1 EUR (" in late.why
    assert "from 0.8 times stable's 30 EUR" in late.why
    assert late.verdict is PASS


@pytest.mark.parametrize(
    ("own", "other"),
    [
        (moments(100, 5.0), moments(900, 0.0)),
        (Moments(n=100, mean=5.0, m2=0.0), Moments(n=900, mean=1.0, m2=0.0)),
    ],
)
def test_values_that_no_change_can_be_measured_by_are_no_pass(own: Moments, other: Moments) -> None:
    judgement, _ = judged(NoWorse(BASKET), look(own, other), 3)

    assert judgement.verdict is NO_DATA
    assert (
        judgement.why
        == "stable's values don't differ, or are 0 in the mean: nothing to measure a change by"
    )


def test_a_mean_of_zero_is_nothing_to_measure_by() -> None:
    judgement, _ = judged(
        NoWorse(BASKET, accept=2.0), look(moments(100, 0.0), moments(900, 0.0)), 3
    )

    assert judgement.verdict is NO_DATA
    assert "nothing that was seen so far can prove it" in judgement.why
