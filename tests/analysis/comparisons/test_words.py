"""Numbers and findings as people write them."""

from __future__ import annotations

import math

import pytest

from progressive.analysis.comparisons.base import Question
from progressive.analysis.comparisons.words import (
    format_number,
    format_percent,
    format_proof,
    format_proof_of_before,
    format_ratio,
    format_ratio_of_before,
)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0, "0"),
        (0.00418, "0.0042"),
        (1.1, "1.1"),
        (9.96, "10"),
        (99.6, "100"),
        (320.4, "320"),
        (12_345, "12,000"),
        (5.84e6, "5,800,000"),
    ],
)
def test_a_number_has_two_digits_and_no_exponent(value: float, said: str) -> None:
    assert format_number(value) == said


@pytest.mark.parametrize(
    ("rate", "said"),
    [
        (0.0, "0 %"),
        (1e-7, "0.00001 %"),
        (0.2024, "20.24 %"),
        (0.1, "10 %"),
        (0.99999, "99.999 %"),
        (1.0, "100 %"),
    ],
)
def test_a_percentage_tells_what_it_lacks_of_all(rate: float, said: str) -> None:
    assert format_percent(rate) == said


@pytest.mark.parametrize(
    ("estimate", "low", "high", "said"),
    [
        (1.3, 0.5, 2.1, "1.3 times stable's rate (0.5 to 2.1)"),
        (320.0, 4.71, math.inf, "320 times stable's rate (at least 4.7)"),
        (320.0, 3.1, 9.2e226, "320 times stable's rate (at least 3.1)"),
        (1.1, 0.0, 1.2, "1.1 times stable's rate (at most 1.2)"),
        (2.0, 0.001, 1e9, "2 times stable's rate"),
        (0.0, 0.0, 3.0, "0 times stable's rate"),
        (math.inf, 2.5, math.inf, "none on stable (at least 2.5 times its rate)"),
        (math.inf, 0.0, math.inf, "none on stable"),
    ],
)
def test_a_bound_that_says_nothing_is_left_out(
    estimate: float, low: float, high: float, said: str
) -> None:
    assert format_ratio(estimate, low, high, "stable") == said


@pytest.mark.parametrize(
    ("evidence", "said"),
    [
        (-3.0, ""),
        (0.0, ""),
        (math.log(2), "; p = 0.5, alarm at 0.01"),
        (math.log(900), "; p = 0.0011, alarm at 0.01"),
        (math.log(5.84e6), "; p is one in 5,800,000, alarm at 0.01"),
        (1e6, "; p is less than one in 1,000,000,000,000, alarm at 0.01"),
    ],
)
def test_no_proof_is_not_said_to_be_one(evidence: float, said: str) -> None:
    assert format_proof(evidence, 0.01) == said


def test_what_was_begun_before_goes_on_in_its_own_words() -> None:
    before = Question(than="stable", up=True, down=False)
    today = Question(than="stable", up=True, down=False, small=True)

    assert before.proof_in_words(-1.0, 0.01) == format_proof_of_before(-1.0, 0.01)
    assert format_proof_of_before(-1.0, 0.01) == "; p = 1, alarm at 0.01"
    assert (
        before.ratio_in_words(320.0, 4.7, math.inf) == "3.2e+02 times stable's rate (4.7 or more)"
    )
    assert before.ratio_in_words(math.inf, 1.0, 2.0) == format_ratio_of_before(
        math.inf, 1.0, 2.0, "stable"
    )
    assert today.ratio_in_words(320.0, 4.7, math.inf) == format_ratio(
        320.0, 4.7, math.inf, "stable"
    )
    assert today.proof_in_words(1.0, 0.01) == format_proof(1.0, 0.01)
