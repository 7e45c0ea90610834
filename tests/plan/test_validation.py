"""Plans that could not work are refused, each with its mend."""

from __future__ import annotations

import pytest
from tests.support.rules import rule
from tests.support.world import canary

from progressive import Action, Deadline, Match, StrategyError, hours, minutes, percent
from progressive.model import Capabilities
from progressive.plan.validation import capability_problems
from progressive.steps import Bake, SetWeight


@rule("R30")
def test_the_whole_s_deadline_can_t_wait() -> None:
    with pytest.raises(StrategyError, match="it is the last one"):
        canary(deadline=Deadline(within=hours(1), then=Action.WAIT))


@rule("R12")
def test_what_a_router_can_t_do_is_named_step_by_step() -> None:
    steps = [
        SetWeight(
            percent(1),
            baseline=percent(1),
            mirror=percent(2),
            matches=[Match(name="beta", value="1")],
        ),
        Bake(minutes(1)),
        SetWeight(percent(100)),
        Bake(minutes(1)),
    ]
    plan = canary(weights=(), steps=steps).plan

    assert list(capability_problems(plan, Capabilities())) == [
        "weight-1: the router can't do a baseline track",
        "weight-1: the router can't do header and cookie routes",
        "weight-1: the router can't do mirroring",
    ]
    assert (
        list(capability_problems(plan, Capabilities(baseline=True, matches=True, mirror=True)))
        == []
    )
