"""What a plain limit makes of a look."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.support.checks import (
    BASKET,
    ERROR,
    ERRORS,
    FAIL,
    INCONCLUSIVE,
    LATENCY,
    NO_DATA,
    NOTHING,
    PASS,
    QUEUE,
    counts,
    look,
)
from tests.support.rules import rule
from tests.support.world import START

from progressive import Limit, Track, ms, percent, seconds, times
from progressive.analysis import Verdict
from progressive.model import (
    Counts,
    Gauge,
    Histogram,
    Look,
    Measurement,
    Moments,
    NoAnswer,
    NoData,
    Window,
)


def slow(above: int, n: int = 1_000) -> Histogram:
    """``n`` requests, of which so many took longer than 400 ms and at most a second, the others at
    most 100 ms.
    """
    return Histogram(edges=(0.1, 0.4, 1.0), cumulative=(n - above, n - above, n, n))


def mean(value: float, n: int = 100) -> Moments:
    return Moments(n=n, mean=value, m2=0.0)


def gauge(*samples: float) -> Gauge:
    return Gauge(samples=samples)


# -------------------------------------------------------------------------------------------- Limit


def plain(*given: Any, **more: Any) -> Limit:
    return Limit(*given, plain=True, **more)


AT_1 = plain(ERRORS, at_most=percent(1))
P99 = plain(LATENCY, quantile=0.99, at_most=ms(400))
HALF_MORE = plain(ERRORS, at_most=times(1.5, floor=percent(0.5)), min_sample=100)
BETWEEN = plain(ERRORS, at_least=percent(1), at_most=percent(5), min_sample=100)


LIMITS: tuple[tuple[str, Limit, Measurement, Measurement, Verdict, str], ...] = (
    ("a ratio at its bound", AT_1, counts(3, 300), NOTHING, PASS, "1 % <= 1 % (300 requests)"),
    (
        "a ratio above it",
        AT_1,
        counts(4, 300),
        NOTHING,
        FAIL,
        "1.333 % is above 1 % (300 requests)",
    ),
    ("no event at all", AT_1, counts(0, 300), NOTHING, PASS, "0 % <= 1 % (300 requests)"),
    (
        "above it, and stable fine",
        AT_1,
        counts(4, 300),
        counts(3, 300),
        FAIL,
        "1.333 % is above 1 % (300 requests)",
    ),
    (
        "above it, and stable too",
        AT_1,
        counts(4, 300),
        counts(30, 300),
        INCONCLUSIVE,
        "1.333 % is above 1 %, and stable with 10 % is no better",
    ),
    (
        "above it, and stable too small to tell",
        AT_1,
        counts(4, 300),
        counts(9, 299),
        FAIL,
        "1.333 % is above 1 % (300 requests)",
    ),
    (
        "too few",
        AT_1,
        counts(9, 299),
        NOTHING,
        NO_DATA,
        "299 of the 300 requests that a verdict needs on candidate",
    ),
    (
        "a ratio that shall not fall",
        plain(ERRORS, at_least=percent(95), min_sample=10),
        counts(8, 10),
        counts(10, 10),
        FAIL,
        "80 % is below 95 % (10 requests)",
    ),
    (
        "stable fell too",
        plain(ERRORS, at_least=percent(95), min_sample=10),
        counts(8, 10),
        counts(9, 10),
        INCONCLUSIVE,
        "80 % is below 95 %, and stable with 90 % is no better",
    ),
    ("between two bounds", BETWEEN, counts(3, 100), NOTHING, PASS, "3 % <= 5 % (100 requests)"),
    (
        "below the lower one",
        BETWEEN,
        counts(0, 100),
        NOTHING,
        FAIL,
        "0 % is below 1 % (100 requests)",
    ),
    (
        "above the upper one",
        BETWEEN,
        counts(6, 100),
        NOTHING,
        FAIL,
        "6 % is above 5 % (100 requests)",
    ),
    (
        "half more than stable",
        HALF_MORE,
        counts(3, 100),
        counts(20, 1_000),
        PASS,
        "3 % <= 3 % (100 requests)",
    ),
    (
        "more than half more",
        HALF_MORE,
        counts(4, 100),
        counts(20, 1_000),
        FAIL,
        "4 % is above 3 % (100 requests)",
    ),
    (
        "the floor is always allowed",
        HALF_MORE,
        counts(1, 200),
        counts(0, 1_000),
        PASS,
        "0.5 % <= 0.5 % (200 requests)",
    ),
    (
        "but not more",
        HALF_MORE,
        counts(2, 200),
        counts(0, 1_000),
        FAIL,
        "1 % is above 0.5 % (200 requests)",
    ),
    (
        "stable has too few to compare with",
        HALF_MORE,
        counts(1, 200),
        counts(0, 99),
        NO_DATA,
        "99 of the 100 requests that a verdict needs on stable",
    ),
    (
        "a floor from below",
        Limit(BASKET, at_least=times(0.9, floor=10.0)),
        mean(10.0),
        mean(100.0),
        PASS,
        "10 EUR >= 10 EUR (100 values)",
    ),
    (
        "a mean that fell",
        Limit(BASKET, at_least=times(0.9)),
        mean(80.0),
        mean(100.0),
        FAIL,
        "80 EUR is below 90 EUR (100 values)",
    ),
    (
        "a mean that did not",
        Limit(BASKET, at_least=times(0.9)),
        mean(90.0),
        mean(100.0),
        PASS,
        "90 EUR >= 90 EUR (100 values)",
    ),
    (
        "few values",
        Limit(BASKET, at_least=1),
        mean(5.0, n=29),
        NOTHING,
        NO_DATA,
        "29 of the 30 values that a verdict needs on candidate",
    ),
    ("a level", Limit(QUEUE, at_most=40), gauge(39, 41), NOTHING, PASS, "40 <= 40 (2 samples)"),
    (
        "a level that rose",
        Limit(QUEUE, at_most=40),
        gauge(39, 42),
        NOTHING,
        FAIL,
        "40.5 is above 40 (2 samples)",
    ),
    (
        "a level at which stable is too",
        Limit(QUEUE, at_most=40),
        gauge(50),
        gauge(45),
        INCONCLUSIVE,
        "50 is above 40, and stable with 45 is no better",
    ),
    ("a quantile by counting", P99, slow(10), NOTHING, PASS, "100 ms <= 400 ms (1000 requests)"),
    (
        "one more than the hundredth",
        P99,
        slow(11),
        NOTHING,
        FAIL,
        "1000 ms is above 400 ms (1000 requests)",
    ),
    (
        "a quantile that stable breaks too",
        P99,
        slow(11),
        slow(500),
        INCONCLUSIVE,
        "1000 ms is above 400 ms, and stable with 1000 ms is no better",
    ),
    (
        "a bound between two edges takes the edge past it",
        plain(LATENCY, quantile=0.99, at_most=ms(200)),
        slow(10),
        NOTHING,
        PASS,
        "100 ms <= 200 ms (1000 requests)",
    ),
    (
        "a bound past the last edge is kept by what is below that edge",
        plain(LATENCY, quantile=0.99, at_most=seconds(2)),
        slow(11),
        NOTHING,
        PASS,
        "1000 ms <= 2000 ms (1000 requests)",
    ),
    (
        "and not by what nobody knows how slow it was",
        plain(LATENCY, quantile=0.99, at_most=seconds(2)),
        Histogram(edges=(0.1, 1.0), cumulative=(900, 989, 1_000)),
        NOTHING,
        FAIL,
        "a time past the last bucket's edge is above 2000 ms (1000 requests)",
    ),
    (
        "a quantile against stable's",
        plain(LATENCY, quantile=0.99, at_most=times(1.5)),
        slow(11),
        slow(0),
        FAIL,
        "1000 ms is above 150 ms (1000 requests)",
    ),
    (
        "a median",
        plain(LATENCY, quantile=0.5, at_most=ms(100)),
        slow(11, 20),
        NOTHING,
        FAIL,
        "1000 ms is above 100 ms (20 requests)",
    ),
)


@rule("R13", "R16")
@pytest.mark.parametrize(
    ("limit", "candidate", "stable", "verdict", "why"),
    [case[1:] for case in LIMITS],
    ids=[case[0] for case in LIMITS],
)
def test_a_limit_judges(
    limit: Limit, candidate: Measurement, stable: Measurement, verdict: Verdict, why: str
) -> None:
    judgement, memory = limit.judge(look(candidate, stable), None, 0.0)

    assert (judgement.verdict, judgement.why) == (verdict, why)
    assert (memory is None) is (verdict is not NO_DATA)


@pytest.mark.parametrize(
    ("limit", "sample"),
    [
        (AT_1, 300),
        (plain(ERRORS, at_most=percent(0.1)), 3_000),
        (plain(ERRORS, at_least=percent(99)), 300),
        (plain(ERRORS, at_most=percent(5), at_least=percent(0.5)), 600),
        (plain(ERRORS, at_most=percent(0)), 300),
        (plain(ERRORS, at_most=times(2)), 300),
        (plain(ERRORS, at_most=times(2, floor=percent(0.2))), 1_500),
        (P99, 1_000),
        (plain(LATENCY, quantile=0.5, at_most=ms(1)), 20),
        (plain(LATENCY, quantile=0.999, at_most=ms(1)), 10_000),
        (Limit(BASKET, at_least=1), 30),
        (Limit(QUEUE, at_most=1), 1),
    ],
)
def test_the_usual_least_sample(limit: Limit, sample: int) -> None:
    assert limit.min_sample == sample


POOLED: tuple[tuple[Limit, Measurement, Measurement, float], ...] = (
    (plain(ERRORS, at_most=percent(10), min_sample=100), counts(2, 60), counts(4, 60), 0.05),
    (plain(LATENCY, quantile=0.5, at_most=ms(400), min_sample=100), slow(0, 60), slow(40, 60), 0.1),
    (Limit(BASKET, at_least=1, min_sample=100), mean(10.0, 60), mean(40.0, 60), 25.0),
)


@pytest.mark.parametrize(("limit", "first", "second", "value"), POOLED)
def test_windows_are_pooled_until_they_are_enough_then_judged_and_forgotten(
    limit: Limit, first: Measurement, second: Measurement, value: float
) -> None:
    judgement, memory = limit.judge(look(first, first), None, 0.0)
    assert (judgement.verdict, judgement.starved) == (NO_DATA, False)
    kept = memory
    judgement, memory = limit.judge(look(NoData("night"), NoData("night")), kept, 0.0)
    assert judgement.verdict is NO_DATA
    assert memory == kept
    judgement, memory = limit.judge(look(second, second), memory, 0.0)

    assert judgement.verdict is PASS
    assert dict(judgement.numbers) == {
        "candidate": value,
        "candidate_sample": 120,
        "stable": value,
        "stable_sample": 120,
    }
    assert memory is None


def test_gauges_of_several_windows_are_not_one_gauge() -> None:
    limit = Limit(QUEUE, at_most=40, min_sample=3)
    _, memory = limit.judge(look(gauge(1, 2)), None, 0.0)
    judgement, _ = limit.judge(look(gauge(3, 4)), memory, 0.0)

    assert judgement.why == "2 of the 3 samples that a verdict needs on candidate"


def test_a_limit_looks_at_stable_and_needs_it_only_to_compare() -> None:
    assert (AT_1.required_tracks, AT_1.measured_tracks, AT_1.share_of_alpha) == (
        (Track.CANDIDATE,),
        (Track.CANDIDATE, Track.STABLE),
        0,
    )
    assert HALF_MORE.required_tracks == (Track.CANDIDATE, Track.STABLE)


# --------------------------------------------------------------------------------- how looks add up


def test_buckets_that_changed_under_way_add_up_at_the_edges_that_stay() -> None:
    few = plain(LATENCY, quantile=0.99, at_most=ms(400), min_sample=1_500)
    _, memory = few.judge(look(slow(0), slow(0)), None, 0.0)
    for above, verdict in ((0, PASS), (40, FAIL)):
        n = 1_000 - above
        other = Histogram(edges=(0.2, 0.4), cumulative=(900, n, 1_000))
        judgement, left = few.judge(look(other, other), memory, 0.0)

        assert (judgement.verdict, left) == (verdict if not above else INCONCLUSIVE, None)
        alone, _ = few.judge(look(other, slow(0)), memory, 0.0)
        assert alone.verdict is verdict
        assert dict(alone.numbers)["candidate_sample"] == 2_000


@pytest.mark.parametrize(
    ("bound", "edges"),
    [
        ({"at_most": ms(400)}, (0.1, 0.5, 1.0)),
        ({"at_most": ms(5_000)}, (0.1, 0.4, 2.0)),
        ({"at_least": ms(300)}, (0.2, 0.4, 1.0)),
        ({"at_least": ms(50)}, (0.02, 0.4, 1.0)),
    ],
)
def test_where_the_edge_that_decides_changed_windows_do_not_add_up(
    bound: dict[str, timedelta], edges: tuple[float, ...]
) -> None:
    """The limit would move with the buckets, and what was counted at another edge with it."""
    few = plain(LATENCY, quantile=0.99, min_sample=1_500, **bound)
    _, memory = few.judge(look(slow(0), slow(0)), None, 0.0)
    other = Histogram(edges=edges, cumulative=(1_000,) * 4)
    judgement, memory = few.judge(look(other, slow(0)), memory, 0.0)
    again, _ = few.judge(look(other, slow(0)), memory, 0.0)

    assert judgement.why == "1000 of the 1500 requests that a verdict needs on candidate"
    assert dict(again.numbers)["candidate_sample"] == 2_000


def test_windows_of_a_multiple_add_up_at_the_edges_that_stay() -> None:
    few = plain(LATENCY, quantile=0.99, at_most=times(2), min_sample=1_500)
    _, memory = few.judge(look(slow(0), slow(0)), None, 0.0)
    other = Histogram(edges=(0.2, 0.4), cumulative=(900, 1_000, 1_000))
    judgement, _ = few.judge(look(other, other), memory, 0.0)

    assert (judgement.verdict, judgement.why) == (PASS, "400 ms <= 800 ms (2000 requests)")


def test_windows_without_an_edge_in_common_do_not_add_up() -> None:
    few = plain(LATENCY, quantile=0.99, at_most=times(2), min_sample=1_500)
    _, memory = few.judge(look(slow(0), slow(0)), None, 0.0)
    other = Histogram(edges=(0.3,), cumulative=(900, 1_000))
    judgement, _ = few.judge(look(other, other), memory, 0.0)

    assert judgement.why == "1000 of the 1500 requests that a verdict needs on candidate"


# ---------------------------------------------------------------------------------- other buckets

FINE = (0.1, 0.25, 0.4, 0.6, 1.0)
COARSE = (0.1, 0.5, 1.0)


def spread(at: float, edges: tuple[float, ...], n: int = 1_000) -> Histogram:
    """So many requests, of which the last fiftieth took so long and the others 50 ms."""
    return Histogram(
        edges=edges, cumulative=(*(n if edge >= at else n - n // 50 for edge in edges), n)
    )


@pytest.mark.parametrize(("mine", "theirs"), [(FINE, COARSE), (COARSE, FINE)])
@pytest.mark.parametrize("at", [0.05, 0.2, 0.3, 0.45, 0.55, 0.8])
@pytest.mark.parametrize(
    "bound", [{"at_most": times(1)}, {"at_least": times(1)}, {"at_most": times(1.5, floor=ms(1))}]
)
def test_versions_that_are_alike_keep_a_multiple_whatever_their_buckets(
    mine: tuple[float, ...], theirs: tuple[float, ...], at: float, bound: dict[str, Any]
) -> None:
    limit = plain(LATENCY, quantile=0.99, **bound)
    judgement, _ = limit.judge(look(spread(at, mine), spread(at, theirs)), None, 0.0)

    assert judgement.verdict is PASS


@pytest.mark.parametrize(("mine", "theirs"), [(FINE, COARSE), (COARSE, FINE)])
def test_a_multiple_is_broken_at_the_edges_that_both_have(
    mine: tuple[float, ...], theirs: tuple[float, ...]
) -> None:
    limit = plain(LATENCY, quantile=0.99, at_most=times(2))
    judgement, _ = limit.judge(look(spread(0.9, mine), spread(0.05, theirs)), None, 0.0)

    assert (judgement.verdict, judgement.why) == (
        FAIL,
        "1000 ms is above 200 ms (1000 requests)",
    )


@pytest.mark.parametrize(
    ("mine", "theirs", "said"),
    [
        ((0.3, 0.7), (0.1, 0.5, 1.0), ""),
        ((0.1, 0.7), (0.1, 0.5, 1.0), "; the last is 100 ms"),
        ((0.1,), (0.1, 0.5, 1.0), "; the last is 100 ms"),
    ],
)
def test_where_no_shared_edge_is_past_the_quantile_a_multiple_is_an_error(
    mine: tuple[float, ...], theirs: tuple[float, ...], said: str
) -> None:
    at_most = plain(LATENCY, quantile=0.99, at_most=times(2))
    at_least = plain(LATENCY, quantile=0.99, at_least=times(0.5))
    for limit, track in ((at_most, "stable"), (at_least, "candidate")):
        judgement, _ = limit.judge(look(spread(0.2, mine), spread(0.2, theirs)), None, 0.0)

        assert (judgement.verdict, judgement.why) == (
            ERROR,
            (
                "the two have other buckets, and no edge that both have is at or past the quantile "
                f"on {track}, so it can't be compared{said}"
            ),
        )


def test_an_absolute_bound_beside_a_multiple_is_judged_at_the_candidates_own_edges() -> None:
    limit = plain(LATENCY, quantile=0.99, at_most=ms(300), at_least=times(0.5))
    judgement, _ = limit.judge(look(spread(0.2, FINE), spread(0.2, COARSE)), None, 0.0)

    assert (judgement.verdict, judgement.why) == (PASS, "250 ms <= 300 ms (1000 requests)")


@rule("R13")
def test_no_trials_are_no_data_however_they_are_said() -> None:
    from tests.support.looks import look

    judgement, _ = plain(ERRORS, at_most=percent(1)).judge(
        look(Counts(events=0, trials=0), Counts(events=0, trials=900)), None, 0.0
    )

    assert judgement.starved


def test_a_limit_on_what_is_no_measurement_says_so() -> None:
    limit = plain(ERRORS, at_most=percent(1), min_sample=1)
    window = Window(START, START + seconds(1))
    judgement, _ = limit.judge(
        Look(metric="error-rate", window=window, tracks={Track.CANDIDATE: NoAnswer("503")}),
        None,
        0.0,
    )

    assert (judgement.verdict, judgement.why) == (Verdict.NO_DATA, "no data on the candidate: 503")
