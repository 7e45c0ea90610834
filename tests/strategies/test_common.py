"""What every strategy has: steps of its own, or none yet."""

from __future__ import annotations

from typing import ClassVar

import attrs
import pytest

from progressive import minutes, percent
from progressive.plan.step import Step
from progressive.steps import Bake, SetWeight
from progressive.strategies.common import Watched


def test_a_strategy_of_one_s_own_is_its_steps() -> None:
    @attrs.frozen(kw_only=True)
    class Straight(Watched):
        kind: ClassVar[str] = "straight"

        def _steps(self) -> tuple[Step, ...]:
            return (SetWeight(percent(100)), Bake(minutes(1)))

    assert [step.id for step in Straight(unguarded="a law").plan.steps] == [
        "weight-100",
        "bake-100",
    ]


def test_a_strategy_without_steps_is_not_finished() -> None:
    class Nothing(Watched):
        kind: ClassVar[str] = "nothing"

    with pytest.raises(NotImplementedError):
        _ = Nothing(unguarded="a law").plan
