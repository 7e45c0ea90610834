"""How clumped events are."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from progressive.stats.planning import dispersion


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
