"""`NoWorse` for every kind of metric: what it says, what it keeps, when it fails, when it
accepts.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.checks import (
    BASKET,
    ERROR,
    ERRORS,
    FAIL,
    LATENCY,
    NO_DATA,
    NOTHING,
    PASS,
    QUEUE,
    counts,
    level,
    look,
    times,
)

from progressive import Metric, NoWorse, Track
from progressive.analysis import Judgement, Verdict
from progressive.model import Look, Moments, NoAnswer
from progressive.model.actions import Memory
from progressive.stats import sequential

ORDERS = Metric("orders", kind="ratio", bad="down")
VISITS = Metric("visits", kind="ratio", bad="both")
HEIGHT = Metric("height", kind="value", bad="both")
WEIGHT = Metric("weight", kind="mean", bad="both")
FREE = Metric("free", kind="value", bad="down")


def moments(n: int, mean: float, spread: float = 4.0) -> Moments:
    return Moments(n=n, mean=mean, m2=n * spread**2)


def judged(check: NoWorse, one: Look, looks: int, alpha: float = 0.01) -> tuple[Judgement, Memory]:
    """The last judgement and what is kept after so many looks of one sort."""
    memory: Memory = None
    for _ in range(looks):
        judgement, memory = check.judge(one, memory, alpha)
    return judgement, memory


GOOD: dict[Metric, Look] = {
    ERRORS: look(counts(3, 300), counts(27, 2700)),
    ORDERS: look(counts(9, 300), counts(81, 2700)),
    VISITS: look(counts(9, 300), counts(81, 2700)),
    LATENCY: look(times(10, 40, 90, 99, 100), times(90, 360, 810, 891, 900)),
    BASKET: look(moments(20, 30.0), moments(180, 30.0)),
    QUEUE: look(level(4.0, 4.2), level(4.1, 4.1)),
}
BAD: dict[Metric, tuple[Look, int]] = {
    ERRORS: (look(counts(9, 300), counts(27, 2700)), 5),
    ORDERS: (look(counts(2, 300), counts(81, 2700)), 5),
    VISITS: (look(counts(2, 300), counts(81, 2700)), 6),
    LATENCY: (look(times(5, 20, 60, 90, 100), times(90, 360, 810, 891, 900)), 5),
    BASKET: (look(moments(20, 25.0), moments(180, 30.0)), 8),
    QUEUE: (look(level(9.0), level(4.0)), 10),
}


@pytest.mark.parametrize("metric", GOOD, ids=str)
def test_what_is_no_worse_passes_and_what_is_worse_fails(metric: Metric) -> None:
    bad, looks = BAD[metric]
    good, kept = judged(NoWorse(metric), GOOD[metric], looks)
    worse, _ = judged(NoWorse(metric), bad, looks)

    assert (good.verdict, worse.verdict) == (PASS, FAIL)
    assert good.why.startswith("no proof of harm: ")
    assert worse.why.startswith("worse: ")
    assert worse.why.endswith(", alarm at 0.01")
    assert dict(worse.numbers)["log_evidence"] >= math.log(100) > dict(good.numbers)["log_evidence"]
    assert kept is not None


@pytest.mark.parametrize("metric", GOOD, ids=str)
def test_what_is_kept_is_plain_and_does_not_grow(metric: Metric) -> None:
    _, early = judged(NoWorse(metric), GOOD[metric], 5)
    _, late = judged(NoWorse(metric), GOOD[metric], 300)

    assert len(json.dumps(late)) <= len(json.dumps(early)) * 1.6 < 1_200
    assert _listed(json.loads(json.dumps(late))) == late


def _listed(data: Any) -> Any:
    return tuple(map(_listed, data)) if isinstance(data, list) else data


SAID = [
    (ERRORS, "9 events where 3.6 were expected: 3 times stable's rate (0.75 to 9.3)"),
    (ORDERS, "0.22 times stable's rate (0.0042 to 1.1)"),
    (
        LATENCY,
        "40 requests above 400 ms where 13 were expected: 4 times stable's rate (1.9 to 8.1)",
    ),
    (BASKET, "-5 EUR"),
    (QUEUE, "above stable's in 1 of 1 looks"),
]


@pytest.mark.parametrize(("metric", "said"), SAID, ids=lambda case: str(case)[:12])
def test_a_person_is_told_what_was_seen(metric: Metric, said: str) -> None:
    looks = 2 if metric is BASKET else 1
    judgement, _ = judged(NoWorse(metric), BAD[metric][0], looks)

    assert said in judgement.why


def test_a_mean_says_between_which_bounds_the_difference_lies() -> None:
    early, _ = judged(NoWorse(BASKET), BAD[BASKET][0], 1)
    late, _ = judged(NoWorse(BASKET, margin=1.25), BAD[BASKET][0], 20)

    assert (early.verdict, early.why) == (NO_DATA, "20 of the 30 values that a comparison needs")
    assert "+1 EUR (" in late.why
    assert "from 0.8 times stable's 30 EUR" in late.why
    assert late.verdict is PASS


def test_without_any_event_there_is_nothing_to_compare() -> None:
    judgement, _ = judged(NoWorse(ERRORS), look(counts(0, 100), counts(0, 900)), 3)

    assert judgement.why == "no proof of harm: no events on either side; p = 1, alarm at 0.01"


def test_events_of_the_candidate_alone_have_no_ratio_but_a_bound() -> None:
    judgement, _ = judged(NoWorse(ERRORS), look(counts(2, 100), counts(0, 900)), 1)

    assert "2 events where 0.2 were expected: none on stable (" in judgement.why
    assert "times its rate)" in judgement.why
    assert "ratio" not in dict(judgement.numbers)


def test_evidence_from_before_the_bounds_were_kept_goes_on() -> None:
    """The first version of the library kept five numbers, and no more can be told from them."""
    five: Memory = (1.0, 0.5, -0.5, -3.0, -6.0)
    judgement, kept = NoWorse(ERRORS).judge(look(counts(3, 100), counts(9, 900)), five, 0.01)

    assert isinstance(kept, tuple)
    assert len(kept) == 5
    assert "3 of 100 against 9 of 900 on stable in this look" in judgement.why
    assert dict(judgement.numbers)["log_evidence"] == pytest.approx(sequential.evidence(kept))  # type: ignore[arg-type]


def test_the_bounds_hold_the_ratio() -> None:
    numbers = dict(judged(NoWorse(ERRORS), BAD[ERRORS][0], 40)[0].numbers)

    assert numbers["ratio"] == pytest.approx(3.0, rel=0.02)
    assert 1 < numbers["ratio_low"] < 3 < numbers["ratio_high"] < 9
    assert numbers["events"] == 360
    assert numbers["expected_events"] == pytest.approx(144)


def test_many_events_are_told_in_full() -> None:
    judgement, _ = judged(NoWorse(ERRORS), BAD[ERRORS][0], 400)

    assert "3,600 events where 1,440 were expected: 3 times stable's rate (" in judgement.why


def test_a_fall_says_by_how_much() -> None:
    numbers = dict(
        judged(NoWorse(ORDERS), look(counts(20, 1_000), counts(300, 10_000)), 40)[0].numbers
    )

    assert numbers["ratio"] == pytest.approx(2 / 3, rel=0.02)
    assert 0 < numbers["ratio_low"] < 2 / 3 < numbers["ratio_high"] < 1


# -------------------------------------------------------------------------------- what does not fit


@pytest.mark.parametrize(
    ("metric", "one", "why"),
    [
        (ERRORS, look(times(1, 2, 3, 4, 5), counts(1, 9)), "a ratio is compared by counts"),
        (LATENCY, look(counts(1, 9), counts(1, 9)), "latencies are compared by histograms"),
        (
            LATENCY,
            look(times(1, 2, 3, 4, 5), times(1, 2, edges=(1.0,))),
            "the two have other buckets (4 and 1 edges); let both report the same",
        ),
        (BASKET, look(counts(1, 9), counts(1, 9)), "means are compared by moments"),
        (QUEUE, look(counts(1, 9), counts(1, 9)), "levels are compared by samples"),
    ],
)
def test_what_can_not_be_compared_is_an_error_and_no_verdict(
    metric: Metric, one: Look, why: str
) -> None:
    judgement, kept = NoWorse(metric).judge(one, None, 0.01)

    assert (judgement.verdict, judgement.why, kept) == (ERROR, why, None)


def test_a_margin_that_no_two_edges_have_between_them_is_an_error() -> None:
    judgement, _ = NoWorse(LATENCY, margin=9.0).judge(GOOD[LATENCY], None, 0.01)

    assert (judgement.verdict, judgement.why) == (
        ERROR,
        "no two edges are 9 times apart; the last is 800 ms",
    )


def test_where_the_buckets_change_the_evidence_goes_on() -> None:
    before, kept = judged(NoWorse(LATENCY), BAD[LATENCY][0], 1)
    other = look(times(50, 100, edges=(1.0,)), times(450, 900, edges=(1.0,)))
    after, _ = NoWorse(LATENCY).judge(other, kept, 0.01)
    fresh, _ = NoWorse(LATENCY).judge(other, None, 0.01)
    evidence = [dict(judgement.numbers)["log_evidence"] for judgement in (before, after, fresh)]

    assert evidence[1] == pytest.approx(evidence[0] + evidence[2], abs=1e-9)


def test_a_few_requests_choose_no_edges() -> None:
    judgement, _ = NoWorse(LATENCY).judge(
        look(times(1, 1, 1, 1, 1), times(1, 2, 2, 2, 2)), None, 0.01
    )

    assert (judgement.verdict, judgement.why) == (NO_DATA, "too few requests to choose edges")


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


@pytest.mark.parametrize("bad", ["up", "down", "both"])
@pytest.mark.parametrize("mean", [-10.0, 10.0])
@pytest.mark.parametrize("margin", [1.0, 1.1, 3.0])
def test_what_is_equal_never_fails_whatever_its_sign(bad: Any, mean: float, margin: float) -> None:
    profit = Metric("profit", kind="mean", bad=bad)
    height = Metric("height", kind="value", bad=bad)

    assert (
        judged(NoWorse(profit, margin=margin), look(moments(100, mean), moments(900, mean)), 20)[
            0
        ].verdict
        is PASS
    )
    assert (
        judged(NoWorse(height, margin=margin), look(level(mean), level(mean)), 20)[0].verdict
        is PASS
    )


def test_a_fast_service_whose_requests_are_all_in_one_bucket_is_compared() -> None:
    """The others are hundreds of standard deviations away."""
    healthy = look(
        times(20_000, 20_000, 20_000, 20_000, 20_000),
        times(200_000, 200_000, 200_000, 200_000, 200_001),
    )
    slow = look(
        times(15_000, 16_000, 18_000, 19_000, 20_000),
        times(200_000, 200_000, 200_000, 200_000, 200_001),
    )

    assert judged(NoWorse(LATENCY), healthy, 60)[0].verdict is PASS
    assert judged(NoWorse(LATENCY), slow, 3)[0].verdict is FAIL


def test_a_fall_without_any_event_says_so() -> None:
    assert (
        "no events on either side"
        in judged(NoWorse(ORDERS), look(counts(0, 100), counts(0, 900)), 2)[0].why
    )


# --------------------------------------------------------------------------- margins and directions


@pytest.mark.parametrize(
    ("metric", "margin"),
    [(ERRORS, 4.0), (ORDERS, 5.0), (LATENCY, 4.0), (BASKET, 1.5), (QUEUE, 3.0)],
    ids=str,
)
def test_what_the_margin_tolerates_passes(metric: Metric, margin: float) -> None:
    bad, looks = BAD[metric]

    assert judged(NoWorse(metric, margin=margin), bad, looks * 3)[0].verdict is PASS


@pytest.mark.parametrize("metric", [BASKET, QUEUE, ORDERS, VISITS], ids=str)
@pytest.mark.parametrize("bad", ["up", "down", "both"])
def test_harm_is_where_the_metric_says(metric: Metric, bad: str) -> None:
    described = Metric(metric.name, kind=metric.kind, bad=bad)  # type: ignore[arg-type]
    lower = {
        "basket": look(moments(50, 20.0), moments(450, 30.0)),
        "queue": look(level(1.0), level(4.0)),
        "orders": look(counts(10, 300), counts(270, 2700)),
        "visits": look(counts(10, 300), counts(270, 2700)),
    }[metric.name]
    higher = {
        "basket": look(moments(50, 40.0), moments(450, 30.0)),
        "queue": look(level(9.0), level(4.0)),
        "orders": look(counts(90, 300), counts(270, 2700)),
        "visits": look(counts(90, 300), counts(270, 2700)),
    }[metric.name]

    assert judged(NoWorse(described), higher, 12)[0].verdict is (
        FAIL if bad in ("up", "both") else PASS
    )
    assert judged(NoWorse(described), lower, 12)[0].verdict is (
        FAIL if bad in ("down", "both") else PASS
    )


def test_clumps_are_less_evidence() -> None:
    for metric in (ERRORS, ORDERS, LATENCY, BASKET):
        bad, looks = BAD[metric]
        whole = dict(judged(NoWorse(metric), bad, looks)[0].numbers)["log_evidence"]
        third = dict(judged(NoWorse(metric, dispersion=3.0), bad, looks)[0].numbers)["log_evidence"]

        assert third < whole / 2, metric


# --------------------------------------------------------------------------------------- acceptance


STEADY: dict[Metric, tuple[Look, str, int]] = {
    ERRORS: (GOOD[ERRORS], "requests", 3_000),
    ORDERS: (GOOD[ORDERS], "requests", 3_000),
    VISITS: (GOOD[VISITS], "requests", 3_000),
    LATENCY: (
        look(times(100, 400, 970, 995, 1000), times(900, 3600, 8730, 8955, 9000)),
        "requests",
        10_000,
    ),
    BASKET: (look(moments(20, 30.0), moments(180, 30.0)), "values", 200),
    QUEUE: (GOOD[QUEUE], "looks", 1),
    HEIGHT: (GOOD[QUEUE], "looks", 1),
    WEIGHT: (look(moments(20, 30.0), moments(180, 30.0)), "values", 200),
}
"""A look at a candidate that is as good, what more of is proof, and how many of that it has."""


@pytest.mark.parametrize("metric", STEADY, ids=str)
def test_a_good_candidate_passes_as_soon_as_it_is_proven_good_enough(metric: Metric) -> None:
    check, memory = NoWorse(metric, accept=2.0), None
    one, unit, size = STEADY[metric]
    verdicts, needed = [], []
    kept: Memory = memory
    for _ in range(40):
        judgement, kept = check.judge(one, kept, 0.01)
        verdicts.append(judgement.verdict)
        needed.append(dict(judgement.numbers).get(f"{unit}_needed"))

    assert verdicts == sorted(verdicts, key=[NO_DATA, PASS].index), (
        "once proven by steady looks, it stays so"
    )
    assert {NO_DATA, PASS} == set(verdicts)
    assert [more for more in needed if more is not None] == sorted(
        [more for more in needed if more is not None], reverse=True
    )
    at = verdicts.index(PASS)
    assert needed[0] == pytest.approx(at * size, rel=0.4, abs=2.1 * size), (
        "the forecast was about right"
    )


def at_the_limit(metric: Metric, times_as_bad: float) -> Look:
    """A look without chance in it at a candidate that is just so many times as bad."""
    if metric.kind == "ratio":
        worse = times_as_bad if metric is ERRORS else 1 / times_as_bad
        return look(counts(round(90 * worse), 3_000), counts(810, 27_000))
    if metric.kind == "latency":
        edges = (0.1, 0.1 * times_as_bad, 0.4, 0.4 * times_as_bad)
        return look(
            times(0, 50, 50, 99, 100, edges=edges), times(450, 600, 891, 895, 900, edges=edges)
        )
    worse = times_as_bad if metric.bad != "down" else 1 / times_as_bad
    if metric.kind == "mean":
        return look(moments(20, 30.0 * worse), moments(180, 30.0))
    return look(level(4.0 * worse), level(4.0))


@pytest.mark.parametrize("accept", [1.3, 2.0])
@pytest.mark.parametrize("metric", [*BAD, HEIGHT, WEIGHT, FREE], ids=str)
def test_what_is_as_bad_as_is_to_be_excluded_is_not_accepted(metric: Metric, accept: float) -> None:
    judgement, _ = judged(
        NoWorse(metric, accept=accept, margin=1.2), at_the_limit(metric, accept), 15
    )

    assert judgement.verdict is not PASS
    assert dict(judgement.numbers)["log_acceptance"] <= 0.05


def test_where_no_edges_are_so_close_nothing_can_be_proven() -> None:
    judgement, kept = judged(NoWorse(LATENCY, accept=1.5), GOOD[LATENCY], 1)

    assert (judgement.verdict, kept) == (ERROR, None)
    assert (
        judgement.why
        == "accept=1.5 can't be proven with these buckets, up to 800 ms: the closest edges "
        "are 2 times apart"
    )


def test_one_edge_proves_nothing() -> None:
    judgement, _ = judged(
        NoWorse(LATENCY, accept=9.0),
        look(times(90, 100, edges=(0.1,)), times(900, 1000, edges=(0.1,))),
        1,
    )

    assert (
        judgement.why
        == "accept=9 can't be proven with these buckets, up to 100 ms: there are no two edges "
        "above 0"
    )


def test_harm_that_no_edge_shows_says_what_does() -> None:
    """All of the requests below the fifth that the edges follow are slower; above it nothing is."""
    fine = tuple(0.01 * 1.2**k for k in range(30))
    quick = [
        min(1000, 60 * k) if k < 14 else 1000 - round(160 * 0.8 ** (k - 13)) for k in range(30)
    ] + [1000]
    slow = [round(each * 0.55) if k < 14 else each for k, each in enumerate(quick)]
    whole, kept = judged(
        NoWorse(LATENCY), look(times(*slow, edges=fine), times(*quick, edges=fine)), 2
    )
    other = look(times(99, 100, edges=(1.0,)), times(990, 1000, edges=(1.0,)))
    later, _ = NoWorse(LATENCY).judge(other, kept, 0.01)

    assert whole.why.startswith("worse: slower as a whole; in the tail, ")
    assert later.why.startswith("worse: proven before the buckets changed; since then, ")


def test_where_nothing_is_seen_above_the_edges_it_is_said() -> None:
    fast = look(
        times(2_000, 2_000, 2_000, 2_000, 2_000), times(20_000, 20_000, 20_000, 20_000, 20_000)
    )
    judgement, _ = judged(NoWorse(LATENCY, accept=2.0), fast, 3)

    assert judgement.verdict is NO_DATA
    assert judgement.why.startswith(
        "not yet proven that it is not 2 times as bad; nothing that was seen so far can "
        "prove it; no proof of harm: "
    )
    assert "no requests above 100 ms on either side" in judgement.why


def test_where_the_buckets_change_the_proof_starts_anew() -> None:
    check, (one, _, _) = NoWorse(LATENCY, accept=2.0), STEADY[LATENCY]
    before, kept = judged(check, one, 3)
    finer = (0.1, 0.2, 0.3, 0.4, 0.6, 0.8)
    after, _ = check.judge(
        look(
            times(100, 400, 600, 970, 985, 995, 1000, edges=finer),
            times(900, 3600, 5400, 8730, 8865, 8955, 9000, edges=finer),
        ),
        kept,
        0.01,
    )

    assert dict(before.numbers)["log_acceptance"] > 0
    assert dict(after.numbers)["log_acceptance"] == 0.0


def test_where_harm_has_two_sides_both_are_to_be_excluded() -> None:
    check = NoWorse(VISITS, accept=2.0)
    good, _ = judged(check, GOOD[VISITS], 12)
    more, _ = judged(check, look(counts(18, 300), counts(81, 2700)), 4)
    fewer, _ = judged(check, look(counts(4, 300), counts(81, 2700)), 4)

    assert good.verdict is PASS
    assert {more.verdict, fewer.verdict} <= {NO_DATA, FAIL}


@pytest.mark.parametrize(
    ("metric", "own", "other", "passes"),
    [
        (FREE, 0.0, 4.0, False),
        (FREE, 1.9, 4.0, False),
        (FREE, 2.2, 4.0, True),
        (FREE, 9.0, 4.0, True),
        (QUEUE, 8.0, 4.0, False),
        (QUEUE, 0.0, 0.0, True),
        (QUEUE, 0.1, 0.0, False),
        (QUEUE, -4.0, -4.0, True),
        (QUEUE, -1.9, -4.0, False),
        (HEIGHT, 1.9, 4.0, False),
        (HEIGHT, 8.1, 4.0, False),
        (HEIGHT, 5.0, 4.0, True),
    ],
)
def test_a_level_is_accepted_if_it_is_not_so_many_times_as_high_or_as_low(
    metric: Metric, own: float, other: float, passes: bool
) -> None:
    judgement, _ = judged(
        NoWorse(metric, margin=1.9, accept=2.0), look(level(own), level(other)), 10
    )

    assert (judgement.verdict is PASS) is passes


@pytest.mark.parametrize(
    ("metric", "margin", "own", "said"),
    [
        (HEIGHT, 1.0, 3.0, "below stable's in 12 of 12 looks"),
        (HEIGHT, 1.0, 5.0, "above stable's in 12 of 12 looks"),
        (QUEUE, 2.0, 9.0, "above 2 times stable's in 12 of 12 looks"),
        (FREE, 2.0, 1.0, "below 0.5 times stable's in 12 of 12 looks"),
    ],
)
def test_a_level_says_on_which_side_of_what_it_stands(
    metric: Metric, margin: float, own: float, said: str
) -> None:
    judgement, _ = judged(NoWorse(metric, margin=margin), look(level(own), level(4.0)), 12)

    assert judgement.verdict is FAIL
    assert said in judgement.why


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("bad", ["up", "down"])
def test_a_mean_and_a_level_below_zero_are_accepted_too(bad: Any, sign: int) -> None:
    profit, height = Metric("profit", kind="mean", bad=bad), Metric("height", kind="value", bad=bad)

    assert (
        judged(
            NoWorse(profit, accept=1.5),
            look(moments(100, 10.0 * sign), moments(900, 10.0 * sign)),
            20,
        )[0].verdict
        is PASS
    )
    assert (
        judged(NoWorse(height, accept=1.5), look(level(10.0 * sign), level(10.0 * sign)), 20)[
            0
        ].verdict
        is PASS
    )


def test_a_mean_of_zero_is_nothing_to_measure_by() -> None:
    judgement, _ = judged(
        NoWorse(BASKET, accept=2.0), look(moments(100, 0.0), moments(900, 0.0)), 3
    )

    assert judgement.verdict is NO_DATA
    assert "nothing that was seen so far can prove it" in judgement.why


def test_what_is_missing_is_said() -> None:
    judgement, _ = judged(NoWorse(ERRORS, accept=2.0), GOOD[ERRORS], 1)

    assert judgement.why.startswith("not yet proven that it is not 2 times as bad; about ")
    assert (
        " more requests would, at this share; no proof of harm: 3 events where 3 were expected"
        in judgement.why
    )
    assert judgement.starved is False, "it is not for want of traffic"


def test_a_bad_candidate_fails_and_is_not_accepted() -> None:
    judgement, _ = judged(NoWorse(ERRORS, accept=2.0), BAD[ERRORS][0], 5)

    assert judgement.verdict is FAIL


def test_no_errors_at_all_need_a_guess_at_the_rate() -> None:
    judgement, _ = judged(NoWorse(ERRORS, accept=2.0), look(counts(0, 100), counts(0, 900)), 1)

    assert judgement.verdict is NO_DATA
    assert dict(judgement.numbers)["requests_needed"] > 10_000


# -------------------------------------------------------------------------------------------- exact


def looks_to_fail(check: NoWorse, one: Look, most: int = 60) -> int:
    memory: Memory = None
    for n in range(1, most + 1):
        judgement, memory = check.judge(one, memory, 0.05)
        if judgement.verdict is FAIL:
            return n
    return most + 1


@pytest.mark.parametrize("events", [5, 6, 9])
def test_the_exact_test_needs_no_more_looks(events: int) -> None:
    bad = look(counts(events, 300), counts(27, 2700))

    assert (
        looks_to_fail(NoWorse(ERRORS, exact=True), bad) <= looks_to_fail(NoWorse(ERRORS), bad) <= 60
    )


@pytest.mark.parametrize("margin", [1.0, 1.5])
def test_the_exact_test_says_what_would_be_proof_and_ends_at_its_plan(margin: float) -> None:
    check = NoWorse(ERRORS, exact=True, margin=margin)
    early, kept = judged(check, GOOD[ERRORS], 5)
    boundary = dict(early.numbers)["boundary"]
    late, last = judged(check, GOOD[ERRORS], 120)

    assert f"; {boundary:.0f} would be proof" in early.why
    assert boundary > 15
    assert "would be proof" not in late.why
    assert len(json.dumps(last)) < len(json.dumps(kept))
    assert late.verdict is PASS


def test_what_was_proven_stays_proven() -> None:
    check, kept = NoWorse(ERRORS, exact=True), None
    memory: Memory = kept
    for _ in range(6):
        _, memory = check.judge(BAD[ERRORS][0], memory, 0.05)
    judgement, _ = check.judge(GOOD[ERRORS], memory, 0.05)

    assert judgement.verdict is FAIL


# ------------------------------------------------------------------------------------------- blocks


def test_what_is_too_large_to_reckon_with_is_no_memory() -> None:
    huge = look(Moments(n=100, mean=1.0, m2=1.7e308), Moments(n=900, mean=1.0, m2=1.7e308))
    with pytest.raises(OverflowError, match="what was measured is too large to reckon with: inf"):
        judged(NoWorse(BASKET), huge, 3)


@pytest.mark.parametrize("metric", [ERRORS, ORDERS, VISITS], ids=str)
@pytest.mark.parametrize("options", [{}, {"accept": 2.0}, {"blocks": True}])
@pytest.mark.parametrize("own", [0, 1, 10**16])
def test_the_largest_counts_are_judged(metric: Metric, options: Any, own: int) -> None:
    judgement, kept = judged(
        NoWorse(metric, **options), look(counts(own, 10**16), counts(10**16, 10**16)), 3
    )

    assert judgement.verdict in (PASS, FAIL, NO_DATA)
    assert all(math.isfinite(value) for value in _numbers(kept))


def _numbers(memory: Memory) -> Iterator[float]:
    if isinstance(memory, tuple):
        for each in memory:
            yield from _numbers(each)
    elif isinstance(memory, float | int):
        yield memory


@pytest.mark.parametrize(
    ("metric", "events", "looks"),
    [(ERRORS, 60, 40), (ORDERS, 20, 30), (VISITS, 60, 45), (VISITS, 20, 35)],
    ids=["rise", "fall", "either", "either"],
)
def test_in_blocks_a_clump_is_no_proof_and_many_looks_are(
    metric: Metric, events: int, looks: int
) -> None:
    check = NoWorse(metric, blocks=True)
    good, bad = (
        look(counts(40, 1_000), counts(40, 1_000)),
        look(counts(events, 1_000), counts(40, 1_000)),
    )
    clump = (
        look(counts(90, 1_000), counts(0, 1_000))
        if events > 40
        else look(counts(0, 1_000), counts(90, 1_000))
    )

    assert judged(NoWorse(metric), clump, 1)[0].verdict is FAIL
    assert judged(check, clump, 1)[0].verdict is PASS
    assert judged(check, good, 60)[0].verdict is PASS
    assert judged(check, bad, 4)[0].verdict is PASS
    assert judged(check, bad, looks)[0].verdict is FAIL


def test_blocks_say_in_how_many_looks() -> None:
    judgement, kept = judged(NoWorse(ERRORS, blocks=True), BAD[ERRORS][0], 12)
    quiet, same = NoWorse(ERRORS, blocks=True).judge(
        look(counts(0, 300), counts(0, 2700)), kept, 0.01
    )

    assert "108 events where 43.2 were expected, in 12 looks; p = " in judgement.why
    assert dict(judgement.numbers)["ratio"] == pytest.approx(3.0)
    assert dict(quiet.numbers)["looks"] == 12
    assert same == kept
    assert (
        "no events on either side"
        in NoWorse(ERRORS, blocks=True).judge(look(counts(0, 9), counts(0, 9)), None, 0.01)[0].why
    )
    assert (
        NoWorse(ERRORS, blocks=True).judge(look(level(1.0), counts(0, 9)), None, 0.01)[0].why
        == "blocks are compared by counts or by moments"
    )


def test_means_in_blocks_are_compared_by_their_sums() -> None:
    check = NoWorse(BASKET, blocks=True)
    low, kept = judged(check, look(moments(500, 20.0), moments(500, 30.0)), 40)
    equal, _ = judged(check, look(moments(20, 30.0), moments(180, 30.0)), 60)
    minus, same = check.judge(look(moments(20, -1.0), moments(180, 30.0)), kept, 0.01)
    zero, _ = check.judge(look(moments(20, 0.0), moments(180, 0.0)), None, 0.01)

    assert (low.verdict, equal.verdict, minus.verdict, zero.verdict) == (FAIL, PASS, ERROR, PASS)
    assert low.why.startswith(
        "worse: 400,000 EUR in all where 500,000 were expected, in 40 looks; p = "
    )
    assert dict(low.numbers)["ratio"] == pytest.approx(2 / 3)
    assert dict(low.numbers)["candidate_mean"] == 20.0
    assert (
        minus.why == "a mean of -1: blocks are for values that are never below 0; leave blocks= out"
    )
    assert same == kept
    assert "no events on either side" in zero.why


# --------------------------------------------------------------------------------------------- laws


@settings(deadline=None, max_examples=150)
@given(
    metric=st.sampled_from(list(GOOD)),
    looks=st.lists(st.tuples(st.booleans(), st.integers(1, 3)), min_size=1, max_size=6),
    accept=st.booleans(),
    blocks=st.booleans(),
)
def test_a_check_is_a_function_and_its_memory_survives_being_stored(
    metric: Metric, looks: list[tuple[bool, int]], accept: bool, blocks: bool
) -> None:
    check = NoWorse(
        metric,
        accept=2.0 if accept else None,
        blocks=blocks and not accept and metric.kind in ("ratio", "mean"),
    )
    one: Memory = None
    other: Memory = None
    for bad, times_ in looks:
        for _ in range(times_):
            given_look = BAD[metric][0] if bad else GOOD[metric]
            first, one = check.judge(given_look, one, 0.01)
            second, other = check.judge(given_look, _listed(json.loads(json.dumps(other))), 0.01)

            assert (first, one) == (second, other)
            assert first.verdict in (Verdict.PASS, Verdict.FAIL, Verdict.NO_DATA)
            assert all(math.isfinite(value) for _, value in first.numbers)


def test_the_track_that_is_compared_with_is_named() -> None:
    check = NoWorse(ERRORS, than=Track.BASELINE)
    judgement, _ = check.judge(look(counts(9, 100), baseline=counts(3, 100)), None, 0.01)

    assert "times baseline's rate" in judgement.why


def test_no_worse_keeps_its_evidence_and_alarms_when_it_is_proven() -> None:
    check, memory = NoWorse(ERRORS), None
    verdicts = []
    kept: Memory = memory
    for _ in range(12):
        judgement, kept = check.judge(look(counts(3, 100), counts(9, 900)), kept, 0.01)
        verdicts.append(judgement.verdict)

    assert verdicts == sorted(verdicts, key=[PASS, FAIL].index), "once proven, always proven"
    assert {PASS, FAIL} == set(verdicts)
    assert judgement.why.startswith(
        "worse: 36 events where 14.4 were expected: 3 times stable's rate (1.5 to 6.9); p = "
    )
    assert dict(judgement.numbers)["alpha"] == 0.01


def test_no_worse_without_one_side_learns_nothing() -> None:
    check = NoWorse(ERRORS, than=Track.BASELINE)
    _, memory = check.judge(look(counts(3, 100), baseline=counts(3, 100)), None, 0.01)
    for candidate, baseline, why in (
        (counts(3, 100), NOTHING, "no data on baseline: no requests"),
        (counts(3, 100), counts(0, 0), "no data on baseline: no requests"),
        (counts(0, 0), counts(0, 5), "no data on candidate: no requests"),
        (NoAnswer("503"), counts(0, 5), "no data on candidate: 503"),
    ):
        judgement, after = check.judge(look(candidate, baseline=baseline), memory, 0.01)
        assert (judgement.verdict, judgement.why) == (NO_DATA, why)
        assert after == memory


def test_a_margin_makes_the_same_counts_less_suspicious() -> None:
    found = [
        dict(
            NoWorse(ERRORS, margin=margin)
            .judge(look(counts(9, 100), counts(30, 900)), None, 0.01)[0]
            .numbers
        )["log_evidence"]
        for margin in (1.0, 1.5, 3.0)
    ]

    assert found == sorted(found, reverse=True)
    assert len(set(found)) == 3
