"""The steps that a canary is."""

from __future__ import annotations

from tests.support.world import canary


def test_strategies_of_the_tests_are_what_they_seem() -> None:
    assert [step.id for step in canary().plan.steps] == [
        "weight-5",
        "bake-5",
        "weight-50",
        "bake-50",
        "weight-100",
        "bake-100",
    ]
