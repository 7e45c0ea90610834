"""What no test can beat, by the published figures and by divergences; how clumped events are."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from progressive.stats.planning import dispersion, information, requests_needed

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


def test_a_candidate_that_always_fails_is_told_apart() -> None:
    """The nearest tolerated pair has 3 failures in 4 on both tracks."""
    candidate = math.log(1 / 0.75)
    control = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)

    assert information(1.0, 0.5, 0.5) == pytest.approx((candidate + control) / 2)


def test_nothing_is_to_be_known_where_nothing_differs() -> None:
    assert requests_needed(math.log(20), 0.02, 0.01, 0.5, null=2.0) > 1e12
    assert requests_needed(math.log(20), 0.0, 0.0, 0.5) == math.inf
    assert requests_needed(-1.0, 0.02, 0.01, 0.5) == 0


def minutes(
    rng: random.Random, *, clump: int, lean: float = 1.0, n: int = 400
) -> list[tuple[int, int, int, int]]:
    found = []
    for _ in range(n):
        own = clump * sum(rng.random() < 0.01 * lean for _ in range(100))
        other = clump * sum(rng.random() < 0.01 for _ in range(900))
        found.append((own, 600, other, 5_400))
    return found


@pytest.mark.parametrize("clump", [1, 3, 10])
def test_events_that_come_in_clumps_are_as_dispersed_as_the_clumps_are_large(clump: int) -> None:
    assert dispersion(minutes(random.Random(29), clump=clump)) == pytest.approx(clump, rel=0.25)


def test_a_track_that_has_more_of_them_is_not_taken_for_clumps() -> None:
    assert dispersion(minutes(random.Random(31), clump=1, lean=3.0)) < 1.3


def test_it_is_never_below_one() -> None:
    assert dispersion([(1, 10, 9, 90)] * 30) == 1


def test_a_track_without_any_event_is_not_dispersed() -> None:
    assert dispersion([(0, 10, 9, 90)] * 30) == 1


def test_too_few_looks_are_refused() -> None:
    with pytest.raises(
        ValueError, match="1 looks have events and requests on both tracks; some dozens are needed"
    ):
        dispersion([(1, 10, 9, 90), (0, 10, 0, 90), (1, 10, 3, 0)])


@given(
    st.lists(
        st.tuples(st.integers(1, 40), st.integers(1, 500), st.integers(1, 40), st.integers(1, 500)),
        min_size=2,
        max_size=30,
    ).filter(lambda looks: sum(own for own, *_ in looks) > 0)
)
def test_it_is_pearsons_statistic_over_its_degrees_of_freedom(
    looks: list[tuple[int, int, int, int]],
) -> None:
    own, trials, other, control_trials = np.array(looks, dtype=float).T
    every, share = own + other, trials / (trials + control_trials)
    share = share * own.sum() / (every * share).sum()
    if (share < 1).all():
        pearson = ((own - every * share) ** 2 / (every * share * (1 - share))).sum()

        assert dispersion(looks) == pytest.approx(max(1.0, pearson / (len(looks) - 1)), rel=1e-9)


def test_a_share_that_is_scaled_past_one_counts_as_next_to_one() -> None:
    """Half of the requests and nearly all events: scaled, the share of the second look is above
    1.
    """
    assert dispersion([(50, 10, 0, 90), (50, 90, 1, 10)]) > 1e6
