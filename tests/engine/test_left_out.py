"""What can't be judged is left out and said, so that it does not stay in every later window; and a
long time is asked for in pieces.

Brothers, tried here: a bad moment in a bake, in a tail, and in a closing look; one that lasts; a
system that does not answer at all, whose time is asked for once more; one without history.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import attrs
import pytest
from tests.support.rules import rule
from tests.support.world import ERRORS, World, canary

from progressive import (
    Action,
    Budget,
    Limit,
    Metric,
    Phase,
    Tolerance,
    hours,
    minutes,
    percent,
    seconds,
)
from progressive.model import Measurement, NoAnswer
from progressive.model.traffic import Track
from progressive.rollout.commands import Measure
from progressive.rollout.events import Event, Measured


@attrs.define(kw_only=True)
class Glitch(World):
    """A system with history, which can't judge a window in which a bad moment lies."""

    bad_moments: list[datetime] = attrs.field(factory=list)
    most: timedelta = hours(10_000)
    says_query: bool = True

    def measurement(self, command: Measure, track: Track) -> Measurement:
        window = command.window
        if any(window.start <= moment <= window.end for moment in self.bad_moments):
            return NoAnswer("it falls from 200 to 199")
        if window.length > self.most:
            return NoAnswer("422: too many samples")
        return World.measurement(self, command, track)

    def _measure(self, command: Measure) -> Event:
        event = World._measure(self, command)
        assert isinstance(event, Measured)
        query = "sum(requests)" if self.says_query else ""
        return attrs.evolve(event, look=attrs.evolve(event.look, query=query))


def left_out(world: World) -> list[str]:
    return [note.why for note in world.said("unjudged") if "left out" in note.why]


@rule("R18")
def test_one_bad_moment_is_left_out_and_said() -> None:
    world = Glitch().until_weight(5)
    assert isinstance(world, Glitch)
    bad = world.now + seconds(40)
    world.bad_moments.append(bad)
    world.until_phase(Phase.PROMOTED)

    [gap] = left_out(world)
    start, _, end, *_ = gap.split(" ")
    assert datetime.fromisoformat(start) <= bad <= datetime.fromisoformat(end)
    assert datetime.fromisoformat(end) - datetime.fromisoformat(start) <= minutes(1)
    assert "it falls from 200 to 199" in gap


@rule("R18")
def test_a_version_that_is_bad_afterwards_goes_back() -> None:
    world = Glitch().until_weight(5)
    assert isinstance(world, Glitch)
    world.bad_moments.append(world.now + seconds(40))
    world.until(lambda world: bool(left_out(world)))
    world.bad, since = 0.3, world.now
    world.until_phase(Phase.ROLLED_BACK)

    assert "no_answer" not in world.rollout.progress.reason
    assert "falls" not in world.rollout.progress.reason
    assert world.now - since <= minutes(2)


@rule("R13")
def test_one_that_lasts_goes_back_as_it_did() -> None:
    world = Glitch().until_weight(5)
    assert isinstance(world, Glitch)
    began = world.now
    world.bad_moments += [began + seconds(5 * n) for n in range(1, 200)]
    world.until_phase(Phase.ROLLED_BACK)

    assert minutes(2) <= world.now - began <= minutes(4)
    assert "it falls from 200 to 199" in world.rollout.progress.reason


def test_a_bad_moment_at_the_very_end_of_a_bake_is_in_its_tail_or_closing_look() -> None:
    for late in (seconds(1), seconds(20), seconds(29)):
        lagging = attrs.evolve(ERRORS, lag=seconds(45))
        strategy = canary(checks=[Limit(lagging, at_most=percent(2))])
        world = Glitch(strategy=strategy).until_weight(5)
        assert isinstance(world, Glitch)
        world.bad_moments.append(world.now + minutes(2) - late)
        world.until_phase(Phase.PROMOTED)

        assert left_out(world)


def test_the_time_of_a_system_that_did_not_answer_is_asked_for_once_more() -> None:
    """That is no matter of its numbers."""
    world = Glitch(says_query=False).until_weight(5)
    assert isinstance(world, Glitch)
    bad = world.now + seconds(40)
    world.bad_moments.append(bad)
    world.until(lambda world: world.now > bad + minutes(1))
    assert left_out(world) == []
    world.bad_moments.clear()
    before = len(world.answers)
    world.until_phase(Phase.PROMOTED)

    asked = [(e.look.window.start, e.look.window.end) for e in world.answers[before:]]
    assert any(start <= bad < end for start, end in asked)


def test_a_counter_without_history_is_asked_since_its_last_reading() -> None:
    crashes = Metric("crashes", kind="ratio", counter=True)
    world = Glitch(strategy=canary(checks=[Limit(crashes, at_most=percent(2))])).until_weight(5)
    assert isinstance(world, Glitch)
    world.bad_moments.append(world.now + seconds(40))
    world.until_phase(Phase.ROLLED_BACK)

    assert left_out(world) == []


@rule("R18")
@pytest.mark.parametrize("gap", [hours(3), hours(30)], ids=str)
def test_a_long_time_is_asked_for_in_pieces(gap: timedelta) -> None:
    world = Glitch(most=minutes(61)).until_weight(5)
    assert isinstance(world, Glitch)
    world.advance(gap)
    back = world.now
    while world.tick() and world.rollout.wake_at == back:
        pass  # a tick has a number of rounds, and comes back at once for more
    asked = [e.look.window.length for e in world.answers]
    assert max(asked) == hours(1)
    assert len([length for length in asked if length == hours(1)]) == gap // hours(1)

    assert world.until_phase(Phase.PROMOTED).phase is Phase.PROMOTED


def test_a_long_interval_is_a_long_piece() -> None:
    world: Any = Glitch(strategy=canary(interval=minutes(30), watch_every=hours(1), bake=hours(2)))
    world.until_weight(5)
    world.advance(hours(5))
    world.tick()

    assert max(e.look.window.length for e in world.answers) > hours(4)


@rule("R13")
@pytest.mark.parametrize("lag", [0, 15, 45, 90])
@pytest.mark.parametrize("counter", [False, True])
@pytest.mark.parametrize("within", [True, False])
def test_who_is_blind_from_a_raise_on_goes_back_as_soon(
    lag: int, counter: bool, within: bool
) -> None:
    """What is asked for again and again then is the rest of the traffic before, which ends where it
    ended; or the first reading of a system without history.
    """
    lagging = Metric("error-rate", kind="ratio", lag=seconds(lag), counter=counter)
    budget = Budget(within=minutes(2), then=Action.ROLL_BACK)
    tolerance = Tolerance(no_answer=budget) if within else Tolerance()
    check = Limit(lagging, at_most=percent(2), tolerance=tolerance)
    world = World(strategy=canary(checks=[check])).until_weight(5)
    world.lag = seconds(5)
    world.until(lambda world: bool(world.coming))
    world.silent, world.bad, began = True, 0.5, world.now
    world.until_phase(Phase.ROLLED_BACK)

    assert world.now - began <= minutes(2) + seconds(45 + lag)
    assert "503 from the metrics system" in world.rollout.progress.reason


def test_bad_moments_of_a_time_in_which_nobody_came_are_left_out_one_by_one() -> None:
    """However long each of their pieces is, they were asked for within seconds."""
    world = Glitch().until_weight(5)
    assert isinstance(world, Glitch)
    world.bad_moments += [world.now + minutes(59), world.now + minutes(65)]
    world.advance(hours(3))

    assert world.until_phase(Phase.PROMOTED).phase is Phase.PROMOTED
    assert len(left_out(world)) == 2
