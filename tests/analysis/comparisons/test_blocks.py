"""Looks as blocks, where events come in clumps."""

from __future__ import annotations

import pytest
from tests.support.checks import BASKET, ERROR, ERRORS, FAIL, PASS, counts, level, look
from tests.support.comparisons import BAD, ORDERS, VISITS, judged, moments

from progressive import Metric, NoWorse


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

    assert "108 events where 43.2 were expected, in 12 looks; p is one in " in judgement.why
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
        "worse: 400,000 EUR in all where 500,000 were expected, in 40 looks; p is one in "
    )
    assert dict(low.numbers)["ratio"] == pytest.approx(2 / 3)
    assert dict(low.numbers)["candidate_mean"] == 20.0
    assert (
        minus.why == "a mean of -1: blocks are for values that are never below 0; leave blocks= out"
    )
    assert same == kept
    assert "no events on either side" in zero.why
