"""The names of steps."""

from __future__ import annotations

from progressive import minutes, percent
from progressive.plan.plan import named_steps
from progressive.steps import Bake, Hook, SetWeight


def test_steps_are_named_by_kind_and_weight_and_never_twice() -> None:
    steps = [
        Bake(minutes(1)),
        SetWeight(percent(2.5)),
        Bake(minutes(1)),
        Bake(minutes(1)),
        Hook("smoke"),
        Bake(minutes(1), id="bake-2.5-2"),
        SetWeight(percent(100)),
    ]

    assert [step.id for step in named_steps(tuple(steps))] == [
        "bake-0",
        "weight-2.5",
        "bake-2.5",
        "bake-2.5-3",
        "hook-smoke",
        "bake-2.5-2",
        "weight-100",
    ]
