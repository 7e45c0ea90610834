"""Latencies, compared at the edges of their buckets."""

from __future__ import annotations

from math import inf

import pytest
from tests.support.checks import ERROR, FAIL, LATENCY, NO_DATA, PASS, look, times
from tests.support.comparisons import BAD, GOOD, STEADY, judged

from progressive import NoWorse
from progressive.analysis import Judgement
from progressive.analysis.comparisons.base import Question
from progressive.analysis.comparisons.latencies import Latencies
from progressive.model import Histogram

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


# ---------------------------------------------------------------------------------- other buckets


def binned(values: list[float], edges: tuple[float, ...]) -> Histogram:
    """What a service with these buckets reports of these times."""
    return times(*(sum(value <= edge for value in values) for edge in (*edges, inf)), edges=edges)


OLD = (0.05, 0.1, 0.2, 0.4, 0.8)
NEW = (0.1, 0.15, 0.4, 0.6, 1.0)
SHARED = (0.1, 0.4)
GOOD_TIMES = [0.02 * 1.1**k for k in range(40)] * 5
SLOW_TIMES = [2 * value for value in GOOD_TIMES]


def test_two_versions_with_other_buckets_are_compared_at_the_edges_that_both_have() -> None:
    """As if both had these edges only."""
    check = NoWorse(LATENCY)
    for candidate, verdict in ((GOOD_TIMES, PASS), (SLOW_TIMES, FAIL)):
        differ = look(binned(candidate, NEW), binned(GOOD_TIMES * 9, OLD))
        coarse = look(binned(candidate, SHARED), binned(GOOD_TIMES * 9, SHARED))
        found, kept = judged(check, differ, 4)
        expected, as_coarse = judged(check, coarse, 4)

        assert (found.verdict, kept) == (verdict, as_coarse)
        said, p, proof = expected.why.partition("; p ")
        at = "; compared at 2 edges, 100 ms to 400 ms, which both have"
        assert found.why == f"{said}{at}{p}{proof}"
        assert dict(found.numbers)["shared_edges"] == 2
        assert "shared_edges" not in dict(expected.numbers)


def test_before_edges_are_chosen_it_is_said_at_which_they_are_compared() -> None:
    judgement, kept = NoWorse(LATENCY, dispersion=1.0, raises=False).judge(
        look(times(1, 2, edges=(0.1,)), times(1, 2, 2, edges=(0.1, 0.3))), None, 0.01
    )
    summary, numbers = Latencies(Question(than="stable", up=True, down=False)).summarize(
        kept,
        times(1, 2, edges=(0.1,)),
        times(1, 2, 2, edges=(0.1, 0.3)),
        0.01,  # type: ignore[arg-type]
    )

    assert judgement.verdict is NO_DATA
    assert summary == ("2 and 2 requests in this look; compared at 1 edge, 100 ms, which both have")
    assert dict(numbers)["shared_edges"] == 1


def test_a_margin_needs_two_shared_edges_that_are_so_far_apart() -> None:
    judgement, _ = NoWorse(LATENCY, margin=5.0).judge(
        look(binned(GOOD_TIMES, NEW), binned(GOOD_TIMES, OLD)), None, 0.01
    )

    assert (judgement.verdict, judgement.why) == (
        ERROR,
        "no two edges that both have are 5 times apart; the last is 400 ms",
    )


def test_a_proof_needs_shared_edges_that_are_close_enough() -> None:
    differ = look(binned(GOOD_TIMES, NEW), binned(GOOD_TIMES * 9, OLD))
    judgement, kept = NoWorse(LATENCY, accept=2.0).judge(differ, None, 0.01)

    assert (judgement.verdict, kept) == (ERROR, None)
    assert judgement.why == (
        "accept=2 can't be proven with these buckets, up to 400 ms that both have: the closest "
        "edges are 4 times apart"
    )
    assert "log_acceptance" in dict(
        NoWorse(LATENCY, accept=4.0).judge(differ, None, 0.01)[0].numbers
    )


def evidence(judgement: Judgement, of: str = "log_evidence") -> float:
    return dict(judgement.numbers)[of]


def test_edges_that_are_gone_under_way_take_no_evidence_with_them() -> None:
    """The counts below the others are known: at an edge that stays, nothing begins anew."""
    check = NoWorse(LATENCY)
    fine, coarse = (0.1, 0.2, 0.4, 0.8), (0.1, 0.2, 0.8)
    slow = look(times(5, 20, 60, 90, 100, edges=fine), times(90, 360, 810, 891, 900, edges=fine))
    fewer = look(times(5, 20, 90, 100, edges=coarse), times(90, 360, 891, 900, edges=coarse))
    before, kept = judged(check, slow, 2)
    after, _ = check.judge(fewer, kept, 0.01)
    alone, _ = judged(check, fewer, 1)

    assert evidence(after) > evidence(before) + 0.5 * evidence(alone) > 0


def test_a_followed_edge_that_is_gone_leaves_its_evidence_as_a_number() -> None:
    """Later evidence is multiplied with it, and may take a part of it back."""
    check = NoWorse(LATENCY, dispersion=1.0, raises=False)
    slow = look(times(5, 20, 60, 90, 100), times(90, 360, 810, 891, 900))
    before, kept = judged(check, slow, 3)
    low = (0.1, 0.2)
    after, kept = check.judge(
        look(times(10, 40, 100, edges=low), times(90, 360, 900, edges=low)), kept, 0.01
    )
    _, _, number = kept  # type: ignore[misc]

    assert number == evidence(before)
    assert evidence(after) == pytest.approx(evidence(before), abs=2.5), "these are alike"
    assert after.why.startswith("worse: proven before the buckets changed; since then, ")


def test_a_new_edge_counts_from_the_next_look_on() -> None:
    """Which edges a look has may follow from its own requests, and a bet must not."""
    check = NoWorse(LATENCY)
    coarse, fine = (0.1, 0.4), (0.1, 0.2, 0.4, 0.8)
    few = look(times(10, 90, 100, edges=coarse), times(90, 810, 900, edges=coarse))
    one, other = (
        look(times(10, 40, 90, tail, 100, edges=fine), times(90, 360, 810, 891, 900, edges=fine))
        for tail in (90, 100)
    )
    _, kept = judged(check, few, 3)
    first, one_kept = check.judge(one, kept, 0.01)
    second, other_kept = check.judge(other, kept, 0.01)
    third, _ = check.judge(one, one_kept, 0.01)
    fourth, _ = check.judge(other, other_kept, 0.01)

    assert evidence(first) == evidence(second), "they differ above an edge that is new"
    assert evidence(third) > evidence(fourth)


def test_looks_that_take_turns_in_their_edges_find_a_slow_candidate_as_their_common_ones_do() -> (
    None
):
    """One replica in two has other buckets, and it comes and goes."""
    check, coarse = NoWorse(LATENCY), (0.1, 0.4)
    slow = ([0.02 * 1.1**k for k in range(6, 46)] * 5, GOOD_TIMES * 9)
    turns = [(OLD, OLD), (NEW, OLD)]
    needed = []
    for layouts in (turns, [(coarse, coarse)] * 2, [(OLD, OLD)] * 2):
        memory, looks = None, 0
        judgement = None
        while judgement is None or judgement.verdict is not FAIL:
            mine, theirs = layouts[looks % 2]
            judgement, memory = check.judge(
                look(binned(slow[0], mine), binned(slow[1], theirs)), memory, 1e-9
            )
            looks += 1
        needed.append(looks)
    flapping, common, fine = needed

    assert fine <= flapping <= common + 1


def test_where_the_edges_of_a_proof_are_gone_it_starts_anew() -> None:
    check, (one, _, _) = NoWorse(LATENCY, accept=2.0), STEADY[LATENCY]
    before, kept = judged(check, one, 3)
    other = (0.15, 0.3, 0.6, 1.2)
    after, _ = check.judge(
        look(
            times(200, 600, 980, 997, 1000, edges=other),
            times(1800, 5400, 8820, 8973, 9000, edges=other),
        ),
        kept,
        0.01,
    )

    assert evidence(before, "log_acceptance") > 0
    assert evidence(after, "log_acceptance") == 0.0


def test_where_the_edges_of_a_proof_stay_it_goes_on() -> None:
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

    assert evidence(after, "log_acceptance") > evidence(before, "log_acceptance") > 0


def test_evidence_against_a_proof_is_not_forgotten_when_its_edges_are_gone() -> None:
    """Each change of the buckets would else be a new chance to be accepted."""
    check, (one, _, _) = NoWorse(LATENCY, accept=2.0), STEADY[LATENCY]
    _, kept = judged(check, one, 1)
    stretched = look(times(10, 100, 400, 970, 1000), times(900, 3600, 8730, 8955, 9000))
    before, kept = check.judge(stretched, kept, 0.01)
    other = (0.15, 0.3, 0.6, 1.2)
    after, _ = check.judge(
        look(
            times(200, 600, 980, 997, 1000, edges=other),
            times(1800, 5400, 8820, 8973, 9000, edges=other),
        ),
        kept,
        0.01,
    )

    assert evidence(before, "log_acceptance") < 0
    assert evidence(after, "log_acceptance") == evidence(before, "log_acceptance")
