"""What every strategy has: steps of its own, or none yet."""

from __future__ import annotations

from typing import Any, ClassVar

import attrs
import pytest
from tests.support.strategies import compared
from tests.support.world import ERRORS

from progressive import Limit, Revert, minutes, percent
from progressive.codec import dumps_strategy, loads_strategy
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


@pytest.mark.parametrize(
    "strategy",
    [Revert(), Revert(bake=minutes(3), checks=[Limit(ERRORS, at_most=percent(1))]), compared()],
    ids=str,
)
def test_a_strategy_is_stored_and_read(strategy: Any) -> None:
    assert loads_strategy(dumps_strategy(strategy)) == strategy
