"""What every check has: a name, a kind, and nothing to say without requests."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.checks import AT_1, ERRORS, LATENCY, NO_DATA, NOTHING, P99, counts, look
from tests.support.rules import rule

from progressive import Action, Budget, Limit, NoWorse, StrategyError, minutes, ms
from progressive.analysis import Check
from progressive.model import Measurement

# -------------------------------------------------------------------------------------------- Limit


def test_checks_are_named_by_their_metric() -> None:
    assert [
        each.id
        for each in (AT_1, P99, Limit(LATENCY, quantile=0.999, at_most=ms(1)), NoWorse(ERRORS))
    ] == [
        "error-rate",
        "latency-p99",
        "latency-p99.9",
        "error-rate-no-worse",
    ]


@rule("R20")
@pytest.mark.parametrize(
    ("candidate", "stable", "starved"),
    [
        (NOTHING, counts(0, 9), True),
        (NOTHING, NOTHING, False),
        (counts(0, 0), counts(0, 9), True),
        (counts(0, 0), counts(0, 0), False),
    ],
)
def test_a_candidate_without_requests_beside_a_stable_that_has_some_is_starved(
    candidate: Measurement, stable: Measurement, starved: bool
) -> None:
    for each in (AT_1, NoWorse(ERRORS)):
        judgement, _ = each.judge(look(candidate, stable), None, 0.01)

        assert (judgement.verdict, judgement.starved) == (NO_DATA, starved)
        assert "no " in judgement.why


def test_both_keep_the_contract_of_a_check() -> None:
    checks: tuple[Check, ...] = (AT_1, NoWorse(ERRORS))

    assert [(each.kind, each.observe) for each in checks] == [("limit", False), ("no_worse", False)]


@pytest.mark.parametrize("given", [{"looks": 3}, {"within": minutes(2)}])
def test_a_budget_of_both_needs_both(given: dict[str, Any]) -> None:
    with pytest.raises(StrategyError, match=r"Budget\(both=True\): give looks= and within="):
        Budget(**given, then=Action.ROLL_BACK, both=True)
