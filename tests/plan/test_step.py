"""Steps of one's own: what they may say, and what the engine makes of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

import attrs
import pytest
from tests.support.world import RELEASE, START

from progressive import (
    Canary,
    Deadline,
    Phase,
    Ports,
    StrategyError,
    hours,
    percent,
    seconds,
    start,
    tick,
)
from progressive.plan import Situation, Step
from progressive.plan.step import Advance, Done, Failed, Halt, Wait
from progressive.steps import SetWeight
from progressive.testing import MemoryRouter, VirtualClock


@attrs.frozen
class Says(Step):
    """A step that answers what it was made with."""

    kind: ClassVar[str] = "says"

    answer: Any
    deadline: Deadline | None = Deadline(within=hours(1))
    id: str = "says"

    def advance(self, situation: Situation) -> Advance:
        assert not isinstance(self.answer, str)
        return self.answer  # type: ignore[no-any-return]


def with_step(step: Step) -> Canary:
    return Canary(steps=[SetWeight(percent(5)), step, SetWeight(percent(100))], unguarded="a law")


def reached(step: Step) -> Any:
    """The rollout after the first ticks, without a store (its kind is not the library's)."""
    bound = Ports(router=MemoryRouter(), clock=VirtualClock(START))
    rollout = start(with_step(step), RELEASE, id="r", ports=bound)
    for _ in range(6):
        decision = tick(rollout, bound)
        rollout = decision.rollout
        if decision.wake_at is None:
            break
        bound.clock.until(decision.wake_at)  # type: ignore[attr-defined]
    return rollout


@pytest.mark.parametrize(
    ("answer", "phase", "why"),
    [
        (Failed("the cache is cold"), Phase.ROLLED_BACK, "step says: the cache is cold"),
        (Halt("somebody must look"), Phase.HELD, "step:says: somebody must look"),
        (Wait("the moon"), Phase.PROGRESSING, "the moon"),
        (Done(), Phase.PROMOTED, "every step is done"),
    ],
)
def test_a_step_says_where_it_stands(answer: Advance, phase: Phase, why: str) -> None:
    rollout = reached(Says(answer))

    assert rollout.phase is phase
    assert why in (rollout.progress.reason or str(rollout.status))


def test_a_step_s_wait_ends_at_a_whole_millisecond_of_an_aware_time() -> None:
    """What is stored is in milliseconds; a time that is kept more exactly would read back as
    another one.
    """
    assert Wait("the moon", until=START + timedelta(microseconds=1_500)).until == START + timedelta(
        milliseconds=1
    )
    with pytest.raises(StrategyError, match=r"Wait\.until: .* has no time zone"):
        Wait("the moon", until=START.replace(tzinfo=None))


def test_a_step_that_would_wait_without_an_end_is_refused() -> None:
    with pytest.raises(
        StrategyError,
        match=r"steps\[1\].deadline: says has none; a wait without an end is not allowed",
    ):
        with_step(Says(Wait("for ever"), deadline=None))


def test_a_step_without_any_default_of_the_contract_says_so() -> None:
    @attrs.frozen
    class Lazy(Step):
        kind: ClassVar[str] = "lazy"
        id: str = "lazy"
        span: ClassVar[timedelta] = seconds(1)

    held = reached(Lazy())

    assert held.phase is Phase.HELD
    assert (
        held.progress.reason
        == "step:lazy: it failed: NotImplementedError: Lazy has no advance(situation)"
    )
