"""The estimate of a ratio and its bounds: never narrower than the true confidence sequence, and
right at every look at once.
"""

from __future__ import annotations

import math
import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from progressive.stats import ratios, sequential

PRIOR = (0.27, 0.15, 0.10, 0.10, 0.38)

Looks = list[tuple[int, int, float]]
"""Events of the candidate, events in all, the candidate's share of the requests."""


def kept(looks: Looks, margin: float = 1.0) -> tuple[tuple[float, ...], int, float, float]:
    """What a check keeps of the looks: evidence, events, expected, own."""
    logs = sequential.INITIAL
    for events, every, share in looks:
        logs = sequential.update_by_share(
            logs, events=events, every=every, share=share, margin=margin
        )
    shares = [margin * share / (margin * share + 1 - share) for _, _, share in looks]
    expected = math.fsum(every * share for (_, every, _), share in zip(looks, shares, strict=True))
    return (
        logs,
        sum(look[0] for look in looks),
        expected,
        math.fsum(look[0] * share for look, share in zip(looks, shares, strict=True)),
    )


def truly_within(looks: Looks, ratio: float, alpha: float = 0.05) -> bool:
    """Is ``ratio`` in the confidence sequence that is computed from all looks, with nothing left
    out?
    """
    logs, *_ = kept(looks)
    against = (
        math.log((math.exp(sequential.evidence(logs)) + 1) / 2)
        if sequential.evidence(logs) < 600
        else sequential.evidence(logs) - math.log(2)
    )
    likelihood = math.fsum(
        events * math.log(ratio) - every * math.log(ratio * share + 1 - share)
        for events, every, share in looks
    )
    return against - likelihood < math.log(1 / alpha)


LOOKS = st.lists(
    st.tuples(
        st.integers(0, 6), st.integers(0, 12), st.sampled_from([0.01, 0.05, 0.1, 0.5, 0.9])
    ).map(lambda look: (look[0], look[0] + look[1], look[2])),
    min_size=1,
    max_size=30,
)


@pytest.mark.slow
@settings(deadline=None, max_examples=300)
@given(looks=LOOKS)
def test_what_the_whole_data_does_not_exclude_is_within_the_bounds(looks: Looks) -> None:
    logs, events, expected, _ = kept(looks)
    low, high = ratios.bounds(logs, events=events, expected=expected)

    assert 0 <= low <= high
    for k in range(-60, 61):
        ratio = math.exp(k / 10)
        if truly_within(looks, ratio):
            assert low <= ratio * (1 + 1e-6), ratio
            assert high >= ratio * (1 - 1e-6), ratio


def _ceiling(x: float, logs: tuple[float, ...], events: int, expected: float) -> float:
    """The largest that the log likelihood can be at ``x``, if ``T`` is convex, starts with the
    slope ``expected``, and is known at six points.
    """
    points = [0.0, *map(math.log, sequential.RATIOS)]
    heights = [0.0, *logs]
    knots = [
        (-1.0, -(events - expected)),
        *zip(points, heights, strict=True),
    ]  # a point on the line by which it starts
    lines = [(a, (b[1] - a[1]) / (b[0] - a[0]), i) for i, (a, b) in enumerate(pairwise(knots))]
    within = next(
        (i for i, (a, b) in enumerate(pairwise(knots)) if a[0] <= x <= b[0]),
        0 if x < 0 else len(lines),
    )
    # The log likelihood is concave: beside the piece that it is in, it is under every chord that is
    # continued.
    return min(
        [
            height + slope * (x - at)
            for (at, height), slope, i in lines
            if abs(i - within) == 1 or (within == 0 and i == 0)
        ]
    )


@settings(deadline=None, max_examples=200)
@given(looks=LOOKS)
def test_the_bounds_are_where_no_course_of_the_likelihood_is_high_enough(looks: Looks) -> None:
    logs, events, expected, _ = kept(looks)
    low, high = ratios.bounds(logs, events=events, expected=expected)
    least = math.log(
        math.fsum([0.5, *(0.5 * v * math.exp(x) for v, x in zip(PRIOR, logs, strict=True))])
    ) - math.log(20)

    for end, outward in ((low, -1e-4), (high, 1e-4)):
        if 1e-12 < end < 1e12:
            assert _ceiling(math.log(end) + outward, logs, events, expected) < least + 1e-9
            assert _ceiling(math.log(end) - outward, logs, events, expected) > least - 1e-9


@given(
    looks=st.lists(
        st.tuples(st.integers(0, 9), st.integers(1, 90), st.integers(0, 9), st.integers(1, 900)),
        min_size=1,
        max_size=9,
    )
)
@settings(deadline=None)
def test_the_state_is_the_sums_over_the_looks(looks: list[tuple[int, int, int, int]]) -> None:
    state = ratios.INITIAL
    for events, trials, control_events, control_trials in looks:
        state = ratios.update(
            state,
            events=events,
            trials=trials,
            control_events=control_events,
            control_trials=control_trials,
            margin=1.25,
            dispersion=2.0,
        )
    logs, events, expected, own = kept([(a, a + b, n / (n + m)) for a, n, b, m in looks], 1.25)

    assert state == pytest.approx(
        (*[value / 2 for value in logs], events, expected, own), rel=1e-9, abs=1e-9
    )
    assert ratios.evidence(state) == sequential.evidence(state[:5])
    assert ratios.ratio(state, margin=1.25, alpha=0.1, dispersion=2.0)[1:] == ratios.bounds(
        state[:5], events=state[5] / 2, expected=state[6] / 2, margin=1.25, alpha=0.1
    )
    assert ratios.ratio(state, margin=1.25)[0] == pytest.approx(
        ratios.estimate(events, expected, own, 1.25), nan_ok=True
    )


@pytest.mark.slow
def test_the_bounds_are_not_much_wider_than_they_must_be() -> None:
    rng = random.Random(9)
    for truth in (1.5, 2.0, 5.0):
        looks = []
        for _ in range(200):
            share = rng.choice([0.05, 0.1, 0.5])
            own = truth * share / (truth * share + 1 - share)
            looks.append((sum(rng.random() < own for _ in range(4)), 4, share))
        logs, events, expected, _ = kept(looks)
        low, high = ratios.bounds(logs, events=events, expected=expected)
        within = [
            math.exp(k / 100) for k in range(-300, 400) if truly_within(looks, math.exp(k / 100))
        ]

        assert low > min(within) / 1.3
        assert high < max(within) * 2


@pytest.mark.slow
def test_the_true_ratio_is_within_the_bounds_at_every_look_of_most_rollouts() -> None:
    rng, lost, runs = random.Random(11), 0, 300
    for _ in range(runs):
        looks: Looks = []
        for k in range(60):
            share = 0.05 if k < 20 else 0.3
            own = 2 * share / (2 * share + 1 - share)
            looks.append((sum(rng.random() < own for _ in range(3)), 3, share))
            logs, events, expected, _ = kept(looks)
            low, high = ratios.bounds(logs, events=events, expected=expected)
            if not low <= 2 <= high:
                lost += 1
                break

    assert lost / runs <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


@pytest.mark.parametrize("truth", [0.5, 1.0, 5.0])
def test_the_estimate_is_right_also_where_the_share_changes(truth: float) -> None:
    looks = []
    for share, every in ((0.01, 10_000), (0.1, 3_000), (0.5, 500)):
        looks.append((round(every * truth * share / (truth * share + 1 - share)), every, share))
    _, events, expected, own = kept(looks)

    assert ratios.estimate(events, expected, own) == pytest.approx(truth, rel=0.02)


def test_the_estimate_without_events_on_one_side() -> None:
    assert ratios.estimate(*kept([(3, 3, 0.1)])[1:]) == math.inf
    assert math.isnan(ratios.estimate(*kept([(0, 0, 0.1)])[1:]))
    assert ratios.estimate(*kept([(0, 5, 0.1)])[1:]) == 0


@pytest.mark.parametrize("margin", [1.0, 1.25, 2.0])
def test_the_margin_changes_what_is_tolerated_and_not_what_is_seen(margin: float) -> None:
    looks = [(8, 20, 0.2)] * 10
    logs, events, expected, own = kept(looks, margin)
    low, high = ratios.bounds(logs, events=events, expected=expected, margin=margin)

    assert ratios.estimate(events, expected, own, margin) == pytest.approx((8 / 12) / (0.2 / 0.8))
    assert low < ratios.estimate(events, expected, own, margin) < high


def test_nothing_is_bounded_by_nothing() -> None:
    assert ratios.bounds(sequential.INITIAL, events=0, expected=0.0) == (0.0, math.inf)


def test_a_ratio_beyond_all_alternatives_is_bounded_from_below() -> None:
    logs, events, expected, _ = kept([(9, 10, 0.1)] * 20)
    low, high = ratios.bounds(logs, events=events, expected=expected)

    assert 10 < low < 81 < high


@pytest.mark.parametrize(
    ("others", "trials", "control_trials"),
    [(3, 31, 1187), (2, 51, 1298), (3, 35, 1348), (2, 37, 948)],
)
def test_a_bound_that_is_no_longer_a_number_is_none(
    others: int, trials: int, control_trials: int
) -> None:
    """One event of a small candidate: the likelihood falls towards ever larger ratios, and hardly
    so.
    """
    logs, events, expected, _ = kept([(1, 1 + others, trials / (trials + control_trials))])
    low, high = ratios.bounds(logs, events=events, expected=expected)

    assert low > 0
    assert high == math.inf
