"""A candidate whose requests don't arrive goes back soon, whatever its own numbers say; a quiet one
waits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
from tests.support.rules import rule
from tests.support.world import ERRORS, World, canary

from progressive import (
    Action,
    Budget,
    Hold,
    Limit,
    Metric,
    NoWorse,
    Phase,
    Resume,
    SampleRatio,
    Tolerance,
    hours,
    minutes,
    ms,
    percent,
)
from progressive.analysis.split import Split
from progressive.model import Counts, Measurement, NoData
from progressive.model.traffic import Match, Track, Traffic
from progressive.rollout.commands import Command, Measure
from progressive.rollout.events import Event, Inspected
from progressive.steps import Bake, SetWeight

LATENCY = Metric("latency", kind="latency")
CHECKS: dict[str, Callable[..., Any]] = {
    "a limit": lambda **more: Limit(ERRORS, at_most=percent(2), **more),
    "a comparison": lambda **more: NoWorse(ERRORS, **more),
    "a latency": lambda **more: Limit(LATENCY, quantile=0.9, at_most=ms(400), **more),
}


@attrs.define(kw_only=True)
class Ejected(World):
    """A proxy that sends only a part of the candidate's requests to it, and answers the others
    itself: nobody counts those.
    """

    arrives: float = 1.0
    beside: float = 0.0  # requests to stable that no router split, a second

    def counted(self, command: Measure, track: Track) -> Any:
        counts = World.counted(self, command, track)
        if not isinstance(counts, Counts):
            return counts
        if track is Track.STABLE:
            extra = round(self.beside * command.window.length.total_seconds())
            failed = round(extra * self.stable_bad)
            return Counts(events=counts.events + failed, trials=counts.trials + extra)
        arrived = round(counts.trials * self.arrives)
        return Counts(events=min(round(counts.events * self.arrives), arrived), trials=arrived)

    def measurement(self, command: Measure, track: Track) -> Measurement:
        counts = self.counted(command, track)
        if isinstance(counts, Counts) and not counts.trials:
            return NoData("no requests")
        return World.measurement(self, command, track)


CALM = Tolerance(missing=Budget(then=Action.WAIT))
AT_FULL = Limit(ERRORS, at_most=percent(90), tolerance=CALM, id="at-full")
"""Can judge at 100 %, where a comparison can't; misses nothing."""


def ejected(check: Any, **more: Any) -> Ejected:
    world = Ejected(strategy=canary(checks=[check, AT_FULL]), **more)
    world.until_weight(5)
    return world


@rule("R16")
@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
@pytest.mark.parametrize("arrives", [0.0, 0.3, 0.66])
def test_it_goes_back_within_minutes(check: Callable[..., Any], arrives: float) -> None:
    world = ejected(check())
    world.arrives, began = arrives, world.now
    world.until_phase(Phase.ROLLED_BACK)

    assert minutes(1) < world.now - began <= minutes(3 if arrives < 0.5 else 6)
    assert "requests reached the candidate" in world.rollout.progress.reason
    assert any(note.verdict == "missing" for note in world.said("judged"))


@rule("R16")
def test_nothing_is_raised_from_the_first_such_look_on_and_a_short_one_costs_time_only() -> None:
    # The bake is short of a look: the next one shows it.
    world = Ejected(strategy=canary(checks=[NoWorse(ERRORS), AT_FULL], early=False))
    world.until_weight(5).until_next_tick_raises()
    world.arrives = 0.2
    for _ in range(3):
        world.tick()
        world.now = world.rollout.wake_at or world.now
    assert world.candidate == percent(5)
    world.arrives = 1.0

    assert world.until_phase(Phase.PROMOTED).phase is Phase.PROMOTED


@attrs.define(kw_only=True)
class Flapping(Ejected):
    """Of whose looks only some are answered."""

    every: int = 0

    def _measure(self, command: Measure) -> Event:
        self.silent = bool(self.every) and len(self.answers) % self.every == 0
        return Ejected._measure(self, command)


@rule("R16")
@pytest.mark.parametrize("every", [2, 3, 4])
def test_missing_and_unanswered_looks_in_turn_are_one_run(every: int) -> None:
    world = Flapping(strategy=canary(checks=[NoWorse(ERRORS), AT_FULL])).until_weight(5)
    assert isinstance(world, Flapping)
    world.every, world.arrives, world.bad, began = every, 0.1, 0.0, world.now
    world.until_phase(Phase.ROLLED_BACK)

    assert minutes(1) < world.now - began <= minutes(3)


def test_runs_that_are_tolerated_differently_are_two() -> None:
    patient = Tolerance(no_answer=Budget(looks=90, then=Action.ROLL_BACK))
    checks = [NoWorse(ERRORS, tolerance=patient), AT_FULL]
    world = Flapping(strategy=canary(checks=checks)).until_weight(5)
    assert isinstance(world, Flapping)
    world.every, world.arrives = 1, 0.1
    world.until(lambda world: sum(n.verdict == "error" for n in world.said("judged")) > 20)
    world.every = 0
    world.tick()
    world.arrives = 1.0

    assert world.until_phase(Phase.PROMOTED).phase is Phase.PROMOTED


def test_a_quiet_service_is_waited_for() -> None:
    world = ejected(NoWorse(ERRORS))
    world.rps, world.idle = 0.05, True
    began = world.now
    world.until(lambda world: world.now - began > minutes(10))

    assert world.phase is Phase.PROGRESSING
    assert not any(note.verdict == "missing" for note in world.said("judged"))


@pytest.mark.parametrize("beside", [0.0, 20.0])
def test_a_few_requests_beside_the_router_are_no_reason(beside: float) -> None:
    world = ejected(NoWorse(ERRORS), beside=beside)

    assert world.until_phase(Phase.PROMOTED).phase is Phase.PROMOTED


def test_a_service_that_is_called_beside_its_router_says_so() -> None:
    world = ejected(NoWorse(ERRORS, tolerance=CALM), beside=900.0)
    assert world.until_phase(Phase.PROMOTED).phase is Phase.PROMOTED

    world = ejected(NoWorse(ERRORS), beside=900.0)
    assert world.until_phase(Phase.ROLLED_BACK).phase is Phase.ROLLED_BACK


def test_a_hold_is_a_choice() -> None:
    held = Tolerance(missing=Budget(looks=1, then=Action.HOLD))
    world = ejected(NoWorse(ERRORS, tolerance=held))
    world.arrives = 0.0

    assert world.until_phase(Phase.HELD).phase is Phase.HELD


def test_who_resumes_begins_anew() -> None:
    """Of a quiet service it takes minutes to see again that the requests arrive."""
    held = Tolerance(missing=Budget(looks=1, then=Action.HOLD))
    world = ejected(NoWorse(ERRORS, tolerance=held), rps=6.0)
    world.arrives = 0.0
    world.until_phase(Phase.HELD)
    world.arrives = 1.0
    [cause] = world.rollout.progress.causes
    world.tick(Resume(at=world.now, by="eve", why="healed", cause=cause.name))

    split = world.rollout.evidence.series[0].split
    assert split is None or not split.missing
    assert world.until_phase(Phase.PROMOTED).phase is Phase.PROMOTED


def test_a_failure_stands_above_it() -> None:
    world = ejected(Limit(ERRORS, at_most=percent(2)))
    world.arrives, world.bad = 0.3, 0.2
    world.until_phase(Phase.ROLLED_BACK)

    assert "is above 2 %" in world.rollout.progress.reason


@attrs.define(kw_only=True)
class Sticky(Ejected):
    """Behind a router that keeps a user where the first request went."""

    def do(self, command: Command) -> Event:
        event = Ejected.do(self, command)
        return attrs.evolve(event, sticky=True) if isinstance(event, Inspected) else event


def test_where_users_stay_on_a_version_requests_follow_late_and_none_is_missing() -> None:
    world = Sticky(strategy=canary(checks=[NoWorse(ERRORS), AT_FULL]))
    world.until_weight(5)
    world.arrives = 0.3
    world.until_phase(Phase.PROMOTED)

    assert not any(note.verdict == "missing" for note in world.said("judged"))


def test_who_only_observes_decides_nothing() -> None:
    strategy = canary(checks=[NoWorse(ERRORS, observe=True), AT_FULL])
    world = Ejected(strategy=strategy)
    world.until_weight(5)
    world.arrives = 0.3
    world.until_phase(Phase.PROMOTED)

    assert any(note.verdict == "missing" for note in world.said("judged"))


def test_a_split_that_is_not_as_asked_is_still_held_by_who_looks_for_that() -> None:
    world = ejected(SampleRatio(ERRORS))
    world.arrives = 0.7

    assert world.until_phase(Phase.HELD).phase is Phase.HELD


def test_full_traffic_has_nothing_to_compare_with() -> None:
    world = ejected(NoWorse(ERRORS))
    world.until_weight(100)
    world.arrives = 0.1

    assert world.until_phase(Phase.PROMOTED).phase is Phase.PROMOTED


def test_routes_by_header_and_copies_alone_are_not_split() -> None:
    steps = [
        SetWeight(percent(0), matches=[Match(name="x-canary", value="yes")], mirror=percent(10)),
        Bake(minutes(3)),
        SetWeight(percent(100)),
        Bake(minutes(1)),
    ]
    world = Ejected(strategy=canary(weights=(), steps=steps, checks=[NoWorse(ERRORS), AT_FULL]))
    world.arrives = 0.5

    assert world.until_phase(Phase.PROMOTED).phase is Phase.PROMOTED


def test_a_new_weight_begins_anew() -> None:
    world = ejected(NoWorse(ERRORS))
    world.rps = 1.0
    world.until(lambda world: bool((world.rollout.evidence.series[0].split or Split()).stable))
    world.until_weight(50)

    assert world.rollout.evidence.series[0].split is None
    assert world.rollout.routing.last_verified == Traffic(candidate=percent(50))


def test_where_a_step_lets_users_stay_none_is_missing_until_it_lets_them_go() -> None:
    strategy = canary(checks=[NoWorse(ERRORS), AT_FULL], sticky=hours(1))
    world = Ejected(strategy=strategy)
    world.until(lambda world: world.rollout.routing.last_verified.candidate == percent(5))
    world.arrives = 0.3
    world.until_phase(Phase.PROMOTED)

    assert not any(note.verdict == "missing" for note in world.said("judged"))


def test_a_hold_lets_users_stay() -> None:
    world = Ejected(strategy=canary(checks=[NoWorse(ERRORS), AT_FULL], sticky=hours(1)))
    world.until(lambda world: world.rollout.routing.last_verified.candidate == percent(5))
    world.say(Hold(at=world.now, by="eve", why="lunch"))
    world.tick()
    assert world.rollout.routing.desired.sticky == hours(1)
    world.traffic = Traffic(candidate=percent(2))
    world.until(lambda world: world.rollout.routing.desired.candidate == percent(2))

    assert world.rollout.routing.desired == Traffic(candidate=percent(2), sticky=hours(1))
