"""What a tested limit makes of its looks: what it promises whatever the looks are, when it passes,
and whose fault a breach is.
"""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.stats.test_bound import events
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
    level,
    look,
)
from tests.support.rules import rule

from progressive import Limit, StrategyError, Traffic, ms, percent, seconds, times
from progressive.analysis import Judgement, Verdict
from progressive.model import Counts, Histogram, Measurement, NoAnswer, NoData
from progressive.model.actions import Memory
from progressive.model.traffic import Match

AT_1 = Limit(ERRORS, at_most=percent(1))
P99 = Limit(LATENCY, quantile=0.99, at_most=ms(400))
AT_10, AT_50 = Traffic(candidate=percent(10)), Traffic(candidate=percent(50))
ALPHA = 0.01


def slow(above: int, n: int, edges: tuple[float, ...] = (0.1, 0.4, 1.0)) -> Histogram:
    """``n`` requests, of which so many took longer than the middle edge."""
    return Histogram(edges=edges, cumulative=(n - above, n - above, n, n))


def judged(
    limit: Limit,
    *looks: tuple[Measurement, Measurement],
    traffic: Traffic = AT_10,
    memory: Memory = None,
    alpha: float = ALPHA,
) -> tuple[Judgement, Memory]:
    """The last judgement of these looks, the candidate's and stable's, one after the other."""
    judgement = None
    for candidate, stable in looks:
        judgement, memory = limit.judge_in(traffic, look(candidate, stable), memory, alpha)
    assert judgement is not None
    return judgement, memory


CASES: tuple[tuple[str, Limit, Measurement, Measurement, Verdict, str], ...] = (
    (
        "too few to exclude five times the bound",
        AT_1,
        counts(0, 50),
        NOTHING,
        NO_DATA,
        "5 % is not excluded yet: 0 % (0 of 50 requests); about 20 more requests would",
    ),
    (
        "enough",
        AT_1,
        counts(0, 100),
        NOTHING,
        PASS,
        "0 % (0 of 100 requests); 5 % is excluded",
    ),
    (
        "above the bound by chance",
        AT_1,
        counts(6, 500),
        NOTHING,
        PASS,
        "1.2 % (6 of 500 requests) is no proof of above 1 %; 5 % is excluded",
    ),
    (
        "proven above it",
        AT_1,
        counts(30, 1_000),
        NOTHING,
        FAIL,
        "3 % is above 1 % (30 of 1,000 requests)",
    ),
    (
        "and stable fine",
        AT_1,
        counts(30, 1_000),
        counts(9, 1_000),
        FAIL,
        "3 % is above 1 % (30 of 1,000 requests)",
    ),
    (
        "and stable above it by chance",
        AT_1,
        counts(30, 1_000),
        counts(15, 1_000),
        NO_DATA,
        (
            "3 % is above 1 % (30 of 1,000 requests); with 1.5 % it is not known yet whether "
            "stable is any better"
        ),
    ),
    (
        "and stable too",
        AT_1,
        counts(30, 1_000),
        counts(25, 1_000),
        INCONCLUSIVE,
        "3 % is above 1 % (30 of 1,000 requests), and stable with 2.5 % is no better",
    ),
    (
        "a ratio that shall not fall",
        Limit(ERRORS, at_least=percent(95)),
        counts(80, 100),
        counts(100, 100),
        FAIL,
        "80 % is below 95 % (80 of 100 requests)",
    ),
    (
        "one that keeps its lower bound",
        Limit(ERRORS, at_least=percent(95)),
        counts(99, 100),
        NOTHING,
        PASS,
        "99 % (99 of 100 requests); 75 % is excluded",
    ),
    (
        "a quantile",
        P99,
        slow(30, 1_000),
        NOTHING,
        FAIL,
        "3 % above 400 ms is more than 1 % (30 of 1,000 requests)",
    ),
    (
        "a quantile that is kept",
        P99,
        slow(10, 1_000),
        NOTHING,
        PASS,
        "1 % above 400 ms (10 of 1,000 requests); 5 % above 400 ms is excluded",
    ),
    (
        "a bound past the last edge counts what nobody knows how slow it was",
        Limit(LATENCY, quantile=0.99, at_most=seconds(2)),
        Histogram(edges=(0.1, 1.0), cumulative=(900, 950, 1_000)),
        NOTHING,
        FAIL,
        "5 % above 1,000 ms is more than 1 % (50 of 1,000 requests)",
    ),
    (
        "a median that shall not be too good to be true",
        Limit(LATENCY, quantile=0.5, at_least=ms(400)),
        Histogram(edges=(0.1, 0.4, 1.0), cumulative=(90, 90, 100, 100)),
        NOTHING,
        FAIL,
        "90 % below 100 ms is more than 50 % (90 of 100 requests)",
    ),
    (
        "no edge below a lower bound, so nothing is below it for sure",
        Limit(LATENCY, quantile=0.5, at_least=ms(50)),
        slow(0, 100),
        NOTHING,
        PASS,
        "0 % below 50 ms (0 of 100 requests); 75 % below 50 ms is excluded",
    ),
    (
        "between two bounds, the worse verdict counts",
        Limit(ERRORS, at_least=percent(1), at_most=percent(5)),
        counts(60, 400),
        NOTHING,
        FAIL,
        "15 % is above 5 % (60 of 400 requests)",
    ),
    (
        "more than five times is excluded halfway to all requests",
        Limit(ERRORS, at_most=percent(50)),
        counts(10, 100),
        NOTHING,
        PASS,
        "10 % (10 of 100 requests); 75 % is excluded",
    ),
)


@rule("R13", "R16")
@pytest.mark.parametrize(
    ("limit", "candidate", "stable", "verdict", "why"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_a_tested_limit_judges(
    limit: Limit, candidate: Measurement, stable: Measurement, verdict: Verdict, why: str
) -> None:
    judgement, _ = judged(limit, (candidate, stable))

    assert (judgement.verdict, judgement.why) == (verdict, why)


@pytest.mark.parametrize(
    ("limit", "tested"),
    [
        (AT_1, True),
        (P99, True),
        (Limit(ERRORS, at_least=percent(99)), True),
        (Limit(ERRORS, at_most=percent(1), plain=True), False),
        (Limit(ERRORS, at_most=percent(0)), False),
        (Limit(ERRORS, at_least=percent(100)), False),
        (Limit(ERRORS, at_most=times(1.5)), False),
        (Limit(ERRORS, at_most=times(1.5, floor=percent(1)), at_least=percent(0.1)), False),
        (Limit(LATENCY, quantile=0.99, at_most=times(2)), False),
        (Limit(BASKET, at_least=1), False),
        (Limit(QUEUE, at_most=1), False),
    ],
)
def test_what_is_a_question_about_counts_is_tested(limit: Limit, tested: bool) -> None:
    assert bool(limit.share_of_alpha) is tested
    assert limit.tolerance.in_a_row == (1 if tested else 2)


# --------------------------------------------------------------------------------- what it promises


@pytest.mark.parametrize("requests", [5, 100], ids=["small looks", "large looks"])
def test_a_version_at_the_bound_is_sent_back_with_a_chance_of_at_most_alpha(requests: int) -> None:
    """Through four weights, in looks of a few requests and of many."""
    rng, alpha, rollouts, failed = random.Random(7), 0.1, 300, 0
    for _ in range(rollouts):
        memory: Memory = None
        for number in range(60):
            traffic = Traffic(candidate=percent(1 + number // 15))
            seen = counts(events(rng, requests, 0.01), requests)
            judgement, memory = AT_1.judge_in(traffic, look(seen), memory, alpha)
            if judgement.verdict is FAIL:
                failed += 1
                break

    assert 0 < failed / rollouts <= alpha + 3 * math.sqrt(alpha * (1 - alpha) / rollouts)


def test_two_bounds_share_alpha() -> None:
    between = Limit(ERRORS, at_most=percent(5), at_least=percent(1))
    one, _ = judged(Limit(ERRORS, at_most=percent(5)), (counts(5, 100), NOTHING))
    two, _ = judged(between, (counts(5, 100), NOTHING))

    assert dict(two.numbers)["alpha"] == dict(one.numbers)["alpha"] / 2 == ALPHA / 2


def test_at_each_weight_it_excludes_anew_and_evidence_of_a_breach_goes_on() -> None:
    passed, memory = judged(AT_1, (counts(0, 200), NOTHING))
    higher, later = judged(AT_1, (counts(0, 20), NOTHING), traffic=AT_50, memory=memory)

    assert (passed.verdict, higher.verdict) == (PASS, NO_DATA)
    assert "0 of 20 requests" in higher.why
    worse, _ = judged(AT_1, (counts(9, 60), NOTHING), traffic=AT_50, memory=later)
    assert worse.verdict is FAIL
    assert worse.why == "15 % is above 1 % (9 of 60 requests)"


def test_a_pass_is_taken_back_when_what_follows_speaks_against_it() -> None:
    passed, memory = judged(AT_1, (counts(0, 100), NOTHING))
    doubtful, memory = judged(AT_1, (counts(4, 60), NOTHING), memory=memory, alpha=1e-6)
    again, _ = judged(AT_1, (counts(0, 300), NOTHING), memory=memory, alpha=1e-6)

    assert [each.verdict for each in (passed, doubtful, again)] == [PASS, NO_DATA, PASS]


def test_after_trouble_that_stable_had_too_it_judges_as_if_nothing_had_been() -> None:
    good = (counts(0, 200), counts(0, 2_000))
    _, memory = judged(AT_1, good, good)
    trouble, memory = judged(AT_1, (counts(50, 200), counts(500, 2_000)), memory=memory)
    ebbs, memory = judged(AT_1, good, memory=memory)
    after, _ = judged(AT_1, good, memory=memory)

    assert [trouble.verdict, ebbs.verdict, after.verdict] == [INCONCLUSIVE, INCONCLUSIVE, PASS]
    assert after.why == "0 % (0 of 200 requests); 5 % is excluded"


@pytest.mark.parametrize(
    ("weight", "requests", "rate"),
    [(10, 100, 0.05), (50, 100, 0.03), (50, 100, 0.05), (50, 1_000, 0.03), (50, 1_000, 0.2)],
)
def test_trouble_that_stable_has_too_sends_hardly_any_version_back(
    weight: int, requests: int, rate: float
) -> None:
    """For half an hour; ``requests`` a look on the candidate."""
    rng, failed, rollouts = random.Random(9), 0, 40
    for _ in range(rollouts):
        memory: Memory = None
        verdicts = set()
        for _ in range(60):
            beside = requests * (100 - weight) // weight
            seen = [counts(events(rng, n, rate), n) for n in (requests, beside)]
            judgement, memory = AT_1.judge_in(AT_50, look(*seen), memory, 0.0025)
            verdicts.add(judgement.verdict)
        failed += FAIL in verdicts

    assert failed / rollouts <= 0.15


def test_blips_that_both_have_send_no_version_back() -> None:
    """Found by a random search: what was raised beforehand for an alarm kept a run open for ever,
    and stable's part of later trouble was lost in all the good time before.
    """
    good = (counts(1, 500), counts(1, 500))
    first, later = ((counts(n, 500), counts(n, 500)) for n in (20, 100))
    judgement, memory = judged(AT_1, *[good] * 40, first, *[good] * 400, later, alpha=0.0025)

    assert judgement.verdict is INCONCLUSIVE
    assert judgement.why.startswith("20 % is above 1 % (100 of 500 requests), and stable with 20 %")
    after, _ = judged(AT_1, good, good, memory=memory, alpha=0.0025)
    assert after.verdict is PASS


def test_a_bad_version_is_not_excused_by_a_little_trouble_of_stable_s() -> None:
    """It is worse than stable too, which is soon known."""
    rng, excused, rollouts = random.Random(4), 0, 60
    for _ in range(rollouts):
        memory: Memory = None
        for _ in range(40):
            seen = [counts(events(rng, 100, rate), 100) for rate in (0.06, 0.011)]
            judgement, memory = AT_1.judge_in(AT_50, look(*seen), memory, 0.0025)
            if judgement.verdict in (FAIL, INCONCLUSIVE):
                break
        excused += judgement.verdict is INCONCLUSIVE

    assert excused / rollouts <= 0.1


def test_what_is_proven_stays_proven() -> None:
    """With a tolerance of three looks in a row too, good ones after it undo nothing."""
    broken, memory = judged(AT_1, (counts(30, 1_000), NOTHING))
    later, _ = judged(AT_1, *[(counts(0, 1_000), NOTHING)] * 5, memory=memory)

    assert (broken.verdict, later.verdict) == (FAIL, FAIL)
    assert later.why == broken.why


@pytest.mark.parametrize(
    ("stable", "verdict"),
    [
        (Histogram(edges=(0.05, 0.1), cumulative=(500, 900, 1_000)), FAIL),
        (Histogram(edges=(0.1, 0.4), cumulative=(500, 800, 1_000)), INCONCLUSIVE),
        (counts(500, 1_000), FAIL),
    ],
    ids=["nobody knows how slow it was", "as slow", "not a latency"],
)
def test_stable_excuses_only_by_what_is_known_of_it(stable: Measurement, verdict: Verdict) -> None:
    judgement, _ = judged(P99, (slow(200, 1_000), stable))

    assert judgement.verdict is verdict


def test_other_requests_at_the_same_weight_are_other_traffic() -> None:
    one, other = (
        Traffic(matches=[Match(name="x-group", value=value)]) for value in ("staff", "beta")
    )
    _, memory = judged(AT_1, (counts(0, 500), NOTHING), traffic=one)
    judgement, _ = judged(AT_1, (counts(0, 1), NOTHING), traffic=other, memory=memory)

    assert judgement.verdict is NO_DATA
    assert "0 of 1 requests" in judgement.why


def test_the_numbers_are_those_of_the_reason() -> None:
    good = (counts(3, 1_000), counts(3, 1_000))
    judgement, _ = judged(AT_1, *[good] * 100, *[(counts(20, 40), counts(0, 400))] * 2)
    numbers = dict(judgement.numbers)

    assert judgement.why == "50 % is above 1 % (20 of 40 requests)"
    assert (numbers["candidate"], numbers["candidate_sample"]) == (0.5, 40)
    assert (numbers["stable"], numbers["stable_sample"]) == (0.0, 400)


@given(
    above=st.integers(0, 40),
    cut=st.floats(0.05, 0.95),
    edges=st.sampled_from([(0.1, 0.4, 1.0), (0.2, 0.4, 2.0), (0.05, 0.4, 0.9)]),
)
def test_buckets_that_change_elsewhere_change_nothing(
    above: int, cut: float, edges: tuple[float, ...]
) -> None:
    first, second = round(1_000 * cut), 1_000 - round(1_000 * cut)
    split = round(above * cut)
    same, _ = judged(P99, (slow(split, first), NOTHING), (slow(above - split, second), NOTHING))
    other, _ = judged(
        P99, (slow(split, first), NOTHING), (slow(above - split, second, edges), NOTHING)
    )

    assert other == same


def test_what_it_keeps_does_not_grow() -> None:
    one = judged(AT_1, (counts(0, 10), counts(0, 90)))[1]
    many = judged(AT_1, *[(counts(k % 2, 10), counts(0, 90)) for k in range(300)])[1]

    assert len(str(many)) < 3 * len(str(one)) < 1_500


# -------------------------------------------------------------------------------- what it can't say


@rule("R13")
def test_without_data_nothing_is_learnt() -> None:
    _, memory = judged(AT_1, (counts(0, 90), NOTHING))
    for candidate, stable, starved in (
        (NoData("empty vector"), counts(0, 9), True),
        (NoAnswer("503"), NOTHING, False),
        (counts(0, 0), NOTHING, False),
    ):
        judgement, kept = judged(AT_1, (candidate, stable), memory=memory)

        assert (judgement.verdict, judgement.starved, kept) == (NO_DATA, starved, memory)


def test_a_value_in_place_of_counts_is_an_error_with_the_way_out() -> None:
    judgement, memory = judged(AT_1, (level(0.2), NOTHING))

    assert (judgement.verdict, memory) == (ERROR, None)
    assert "let the provider answer counts, or compare the value: plain=True" in judgement.why


def test_stable_without_counts_excuses_nothing() -> None:
    judgement, _ = judged(AT_1, (counts(30, 1_000), level(0.9)))

    assert judgement.verdict is FAIL


def test_what_a_pass_takes_is_known_beforehand() -> None:
    assert AT_1.excluded == (("5 %", 87),)
    assert P99.excluded == (("5 % above 400 ms", 87),)
    assert Limit(ERRORS, at_most=percent(1), min_sample=500).excluded == (("5 %", 500),)
    assert Limit(ERRORS, at_most=percent(1), plain=True).excluded == ()
    assert [what for what, _ in Limit(ERRORS, at_least=percent(99.999)).excluded] == ["99.995 %"]
    slow_ones = Limit(LATENCY, quantile=0.999, at_most=seconds(12))
    assert [what for what, _ in slow_ones.excluded] == ["0.5 % above 12,000 ms"]


def test_what_is_rarer_than_anybody_counts_is_plain() -> None:
    assert Limit(LATENCY, quantile=1e-16, at_most=ms(400)).share_of_alpha == 0


def test_a_least_sample_is_needed_to_pass_and_not_to_fail() -> None:
    patient = Limit(ERRORS, at_most=percent(1), min_sample=500)
    waits, _ = judged(patient, (counts(0, 499), NOTHING))
    passes, _ = judged(patient, (counts(0, 500), NOTHING))
    fails, _ = judged(patient, (counts(20, 40), NOTHING))

    assert (waits.verdict, passes.verdict, fails.verdict) == (NO_DATA, PASS, FAIL)
    assert waits.why == "499 of the 500 requests that a pass needs on candidate"
    assert dict(waits.numbers)["requests_needed"] == 1


def test_what_is_to_be_excluded_can_be_chosen() -> None:
    strict = Limit(ERRORS, at_most=percent(1), accept=2.0, beta=0.01)
    judgement, _ = judged(strict, (counts(0, 200), NOTHING))

    assert judgement.why.startswith("2 % is not excluded yet: 0 % (0 of 200 requests); about ")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"plain": False, "at_most": percent(0)}, "plain=False tests a count"),
        ({"plain": False, "at_most": times(2)}, r"as NoWorse\(..., margin=1.5\); leave plain= out"),
        ({"plain": "yes"}, "plain"),
        ({"accept": 1.0}, "accept=1.0 is the multiple of the bound to be excluded, above 1"),
        ({"accept": True}, "accept=True is the multiple"),
        ({"beta": 0}, "beta=0 is a probability between 0 and 1"),
        ({"at_most": times(2), "accept": 9.0}, "accept= and beta= are for a bound that is tested"),
    ],
)
def test_a_wrong_question_says_what_to_ask_instead(given: dict[str, Any], why: str) -> None:
    with pytest.raises(StrategyError, match=why):
        Limit(ERRORS, **({"at_most": percent(1)} | given))


@pytest.mark.parametrize(
    ("own", "other", "verdict"),
    [(2, 2, INCONCLUSIVE), (2, 1, FAIL), (3, 2, FAIL), (1, 3, PASS)],
)
def test_huge_counts_are_compared_at_once(own: int, other: int, verdict: Verdict) -> None:
    """In percent, of a bound of 1 %."""
    huge = 10**18
    sides = [Counts(events=huge * part // 100, trials=huge) for part in (own, other)]
    judgement, _ = judged(AT_1, (sides[0], sides[1]))

    assert judgement.verdict is verdict


def test_all_requests_may_fail_on_both_sides() -> None:
    judgement, _ = judged(AT_1, (counts(10**6, 10**6), counts(10**6, 10**6)))

    assert judgement.verdict is INCONCLUSIVE


def test_counts_of_any_size_are_judged() -> None:
    huge = 10**18
    kept, _ = judged(AT_1, (Counts(events=huge // 100, trials=huge), NOTHING))
    broken, _ = judged(AT_1, (Counts(events=huge // 50, trials=huge), NOTHING))

    assert (kept.verdict, broken.verdict) == (PASS, FAIL)
