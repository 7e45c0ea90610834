"""Latencies, compared at the edges of their buckets."""

from __future__ import annotations

import pytest
from tests.support.checks import ERROR, FAIL, LATENCY, NO_DATA, PASS, look, times
from tests.support.comparisons import BAD, GOOD, STEADY, judged

from progressive import NoWorse

# -------------------------------------------------------------------------------- what does not fit


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


# --------------------------------------------------------------------------------------- acceptance


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
