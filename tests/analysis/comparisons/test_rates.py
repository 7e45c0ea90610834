"""Rates of events, compared by how they are shared out."""

from __future__ import annotations

import json

import pytest
from tests.support.checks import BASKET, ERRORS, FAIL, LATENCY, NO_DATA, PASS, counts, look
from tests.support.comparisons import BAD, GOOD, ORDERS, judged

from progressive import NoWorse
from progressive.model import Look
from progressive.model.actions import Memory
from progressive.stats import sequential


def test_without_any_event_there_is_nothing_to_compare() -> None:
    judgement, _ = judged(NoWorse(ERRORS), look(counts(0, 100), counts(0, 900)), 3)

    assert judgement.why == "no proof of harm: no events on either side"
    assert dict(judgement.numbers)["log_evidence"] == 0


def test_events_of_the_candidate_alone_have_no_ratio_but_a_bound() -> None:
    judgement, _ = judged(NoWorse(ERRORS), look(counts(2, 100), counts(0, 900)), 1)

    assert "2 events where 0.2 were expected: none on stable (" in judgement.why
    assert "times its rate)" in judgement.why
    assert "ratio" not in dict(judgement.numbers)


def test_evidence_from_before_the_bounds_were_kept_goes_on() -> None:
    """The first version of the library kept five numbers, and no more can be told from them."""
    five: Memory = (1.0, 0.5, -0.5, -3.0, -6.0)
    check = NoWorse(ERRORS, small=False, dispersion=1.0)
    judgement, kept = check.judge(look(counts(3, 100), counts(9, 900)), five, 0.01)

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


def test_a_fall_without_any_event_says_so() -> None:
    assert (
        "no events on either side"
        in judged(NoWorse(ORDERS), look(counts(0, 100), counts(0, 900)), 2)[0].why
    )


def test_clumps_are_less_evidence() -> None:
    for metric in (ERRORS, ORDERS, LATENCY, BASKET):
        bad, looks = BAD[metric]
        whole = dict(judged(NoWorse(metric), bad, looks)[0].numbers)["log_evidence"]
        third = dict(judged(NoWorse(metric, dispersion=3.0), bad, looks)[0].numbers)["log_evidence"]

        assert third < whole / 2, metric


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
