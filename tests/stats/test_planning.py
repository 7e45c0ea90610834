"""What no test can beat: against the published figures, and against the divergences written out."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from progressive.stats.planning import information, requests_needed

ERRORS_NEEDED = [(1.5, 41.5), (2.0, 15.5), (5.0, 3.7), (20.0, 1.46)]
"""Errors of a candidate with hardly any traffic until harm can be proven at 5 %: ln 20 / (ln r - 1
+ 1/r).
"""


@pytest.mark.parametrize(("ratio", "errors"), ERRORS_NEEDED)
def test_the_fewest_errors_that_any_test_needs(ratio: float, errors: float) -> None:
    rate, share = 1e-5, 1e-6
    needed = requests_needed(math.log(20), ratio * rate, rate, share)

    assert needed * share * ratio * rate == pytest.approx(errors, rel=0.01)


def test_a_doubling_of_a_thousandth_at_one_per_cent_needs_eight_thousand_requests() -> None:
    assert requests_needed(math.log(20), 0.002, 0.001, 0.01) * 0.01 == pytest.approx(
        7_846.2, rel=1e-4
    )


RATES = st.just(0.0) | st.floats(1e-12, 1)


@given(
    rate=RATES,
    control=RATES,
    share=st.floats(0.01, 0.99),
    null=st.sampled_from([0.5, 1.0, 1.25, 2.0]),
)
def test_no_pair_that_is_tolerated_is_nearer(
    rate: float, control: float, share: float, null: float
) -> None:
    def divergence(p: float, q: float) -> float:
        terms = [a * math.log(a / b) for a, b in ((p, q), (1 - p, 1 - q)) if a]
        return math.fsum(terms)

    found = information(rate, control, share, null=null)

    assert found >= -1e-12
    for k in range(1, 100):
        p = k / 100 / max(1.0, null)
        assert (
            share * divergence(rate, null * p) + (1 - share) * divergence(control, p)
            >= found - 1e-9
        )


def test_nothing_is_to_be_known_where_nothing_differs() -> None:
    assert requests_needed(math.log(20), 0.02, 0.01, 0.5, null=2.0) > 1e12
    assert requests_needed(math.log(20), 0.0, 0.0, 0.5) == math.inf
    assert requests_needed(-1.0, 0.02, 0.01, 0.5) == 0
