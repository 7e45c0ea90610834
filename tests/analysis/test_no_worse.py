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
from tests.support.comparisons import (
    BAD,
    FREE,
    GOOD,
    HEIGHT,
    ORDERS,
    STEADY,
    VISITS,
    WEIGHT,
    judged,
    moments,
)

from progressive import Metric, NoWorse, Track, Traffic, percent
from progressive.analysis import Verdict
from progressive.model import Look, Moments, NoAnswer
from progressive.model.actions import Memory
from progressive.stats import decrease, increase


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
    (QUEUE, "above 1.05 times stable's in 1 of 1 looks"),
]


@pytest.mark.parametrize(("metric", "said"), SAID, ids=lambda case: str(case)[:12])
def test_a_person_is_told_what_was_seen(metric: Metric, said: str) -> None:
    looks = 2 if metric is BASKET else 1
    judgement, _ = judged(NoWorse(metric), BAD[metric][0], looks)

    assert said in judgement.why


# -------------------------------------------------------------------------------- what does not fit


@pytest.mark.parametrize(
    ("metric", "one", "why"),
    [
        (ERRORS, look(times(1, 2, 3, 4, 5), counts(1, 9)), "a ratio is compared by counts"),
        (LATENCY, look(counts(1, 9), counts(1, 9)), "latencies are compared by histograms"),
        (
            LATENCY,
            look(times(1, 2, 3, 4, 5), times(1, 2, edges=(1.0,))),
            (
                "the two have no edge of a bucket in common, so nothing can be compared (4 edges, "
                "100 ms to 800 ms, and 1 edge, 1000 ms on stable); let both report at least one "
                "that is the same"
            ),
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


# --------------------------------------------------------------------------------------- acceptance


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


def test_where_harm_has_two_sides_both_are_to_be_excluded() -> None:
    check = NoWorse(VISITS, accept=2.0)
    good, _ = judged(check, GOOD[VISITS], 12)
    more, _ = judged(check, look(counts(18, 300), counts(81, 2700)), 4)
    fewer, _ = judged(check, look(counts(4, 300), counts(81, 2700)), 4)

    assert good.verdict is PASS
    assert {more.verdict, fewer.verdict} <= {NO_DATA, FAIL}


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
        "worse: 36 events where 14.4 were expected: 3 times stable's rate (1.5 to 6.9); p is "
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


# ------------------------------------------------------------------------------------------- raises

FEWER = Metric("orders", kind="ratio", bad="down")


def judged_at(
    check: NoWorse, memory: Memory, weight: float, bad: int, every: int = 1_000
) -> tuple[Verdict, str, Memory]:
    """The verdict, its words and the memory after a look at this weight, of whose requests on the
    candidate so many failed; one in a hundred fails on stable.
    """
    trials = round(every * weight / 100)
    seen = look(counts(bad, trials), counts((every - trials) // 100, every - trials))
    judgement, memory = check.judge_in(Traffic(candidate=percent(weight)), seen, memory, 0.01)
    return judgement.verdict, judgement.why, memory


def test_harm_that_begins_with_a_raise_is_not_hidden_by_a_healthy_time_before() -> None:
    found = {}
    for raises in (True, False):
        check, memory, looks = NoWorse(ERRORS, raises=raises), None, 0
        for _ in range(100):
            verdict, _, memory = judged_at(check, memory, 10, bad=1)
            assert verdict is PASS
        while verdict is PASS:
            verdict, why, memory = judged_at(check, memory, 50, bad=12, every=200)
            looks += 1
        found[raises] = looks
        assert (" since the raise" in why) is raises

    assert found[True] * 3 <= found[False]


@pytest.mark.parametrize("metric", [ERRORS, Metric("orders", kind="ratio", bad="both")], ids=str)
def test_only_a_raise_begins_again(metric: Metric) -> None:
    """Not a lower weight, the same one, or the rest of older traffic."""
    check, memory = NoWorse(metric), None
    said = []
    for weight in (1, 1, None, 50, None, 50, 10, 10, 20):
        seen = look(counts(1, 100), counts(1, 100))
        if weight is None:
            judgement, memory = check.judge(seen, memory, 0.01)
        else:
            traffic = Traffic(candidate=percent(weight))
            judgement, memory = check.judge_in(traffic, seen, memory, 0.01)
        said.append(dict(judgement.numbers)["events"])

    assert said == [1, 2, 3, 1, 2, 3, 4, 5, 1]


@pytest.mark.parametrize(
    ("check", "begins"),
    [
        (NoWorse(ERRORS, margin=1.2, accept=3.0), True),
        (NoWorse(ERRORS, dispersion=2.0), True),
        (NoWorse(FEWER), True),
        (NoWorse(LATENCY), True),
        (NoWorse(LATENCY, accept=3.0, dispersion=1.0), True),
        (NoWorse(ERRORS, exact=True), False),
        (NoWorse(ERRORS, small=False), False),
        (NoWorse(ERRORS, blocks=True), False),
        (NoWorse(LATENCY, raises=False), False),
        (NoWorse(FEWER, raises=False), False),
    ],
    ids=str,
)
def test_which_tests_begin_again(check: NoWorse, begins: bool) -> None:
    measured = times(50, 80, 90, 95, 100) if check.metric == LATENCY else counts(30, 100)
    memory: Memory = None
    said = []
    for weight in (1, 50, 50):
        traffic = Traffic(candidate=percent(weight))
        judgement, memory = check.judge_in(traffic, look(measured, measured), memory, 0.01)
        said.append("since the raise" in judgement.why)

    assert said == [False, begins, begins]


def test_slowness_that_begins_with_a_raise_is_not_hidden_by_a_healthy_time_before() -> None:
    """And the words are about the time since then."""
    found = {}
    for raises in (True, False):
        check, memory, looks = NoWorse(LATENCY, raises=raises), None, 0
        for _ in range(100):
            healthy = look(
                times(500, 800, 900, 950, 1_000), times(4_500, 7_200, 8_100, 8_550, 9_000)
            )
            _, memory = check.judge_in(Traffic(candidate=percent(10)), healthy, memory, 0.01)
        verdict = PASS
        while verdict is PASS:
            slow = look(times(30, 65, 80, 90, 100), times(50, 80, 90, 95, 100))
            judgement, memory = check.judge_in(Traffic(candidate=percent(50)), slow, memory, 0.01)
            verdict, looks = judgement.verdict, looks + 1
        found[raises] = looks

    assert found[True] * 3 <= found[False]


@pytest.mark.parametrize("metric", [ERRORS, FEWER, LATENCY], ids=str)
def test_what_was_begun_before_tests_began_again_goes_on_without(metric: Metric) -> None:
    """It was kept without a weight beside it."""
    measured = times(50, 80, 90, 95, 100) if metric == LATENCY else counts(30, 100)
    seen = look(measured, measured)
    _, memory = NoWorse(metric, raises=False, dispersion=1.0).judge(seen, None, 0.01)
    check = NoWorse(metric, dispersion=1.0)
    for _ in range(2):
        judgement, memory = check.judge_in(Traffic(candidate=percent(50)), seen, memory, 0.01)
        assert "since the raise" not in judgement.why


@pytest.mark.parametrize("margin", [1.0, 1.2])
def test_what_was_stored_before_falls_began_again_begins_again_as_it_did(margin: float) -> None:
    """Of both directions together, a plain rise alone."""
    either = Metric("orders", kind="ratio", bad="both")
    check, seen = NoWorse(either, margin=margin, dispersion=1.0), look(counts(9, 90), counts(9, 90))
    memory: Memory = None
    for weight in (1, 50):
        _, memory = check.judge_in(Traffic(candidate=percent(weight)), seen, memory, 0.01)
    _, (risen, (fallen, _)) = memory  # type: ignore[misc]
    rise_began_again = increase.begun_again(risen) if margin == 1 else isinstance(risen[0], tuple)  # type: ignore[arg-type,index]

    assert rise_began_again is (margin == 1)
    assert not decrease.begun_again(fallen)  # type: ignore[arg-type]
