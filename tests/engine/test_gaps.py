"""Time from before is not time after: what a person said long after the last tick, a driver that
comes late, and a first tick long after the start bring no deadline forward.

Brothers, tried here: every word of people that begins a step or phase; every deadline of the
engine's (of steps, the whole, preflight, an unreadable router, the way back, the retirement); a
driver away for minutes, hours and days, and one that comes as a job at its own slow pace.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from tests.support.rules import rule
from tests.support.world import World, canary

from progressive import (
    Abort,
    Action,
    BlueGreen,
    Canary,
    Hold,
    Limit,
    Metric,
    NoWorse,
    Phase,
    PromoteNow,
    Reject,
    Resume,
    Skip,
    hours,
    minutes,
    percent,
    percents,
    seconds,
)
from progressive.model import Capacity
from progressive.model.traffic import Track, Traffic
from progressive.rollout import Event
from progressive.rollout.events import Approve
from progressive.rollout.notes import Escalated
from progressive.rollout.phases import Retirement
from progressive.steps import Approval

SAID: dict[str, Any] = {"by": "eve", "why": "she has looked"}
LONG = [minutes(3), minutes(11), hours(2), hours(30)]

CRASHES = Metric("crashes", kind="ratio", counter=True)


def asks(**changes: Any) -> World:
    """A blue-green that waits for a person before it switches."""
    approval = Approval("switch", within=hours(100), otherwise=Action.ROLL_BACK)
    world = World(strategy=BlueGreen(approval=approval, bake=minutes(2), **changes))
    return world.until(lambda world: world.rollout.waits_for_person)


def calls(world: World) -> list[str]:
    return [note.why for note in world.notes if isinstance(note, Escalated)]


# --------------------------------------------------------------------- a person's word after a gap


@rule("R14", "R30")
@pytest.mark.parametrize("gap", LONG, ids=str)
@pytest.mark.parametrize("then", [timedelta(), seconds(20)], ids=["at once", "soon"])
def test_an_approval_long_after_the_last_tick_switches(gap: timedelta, then: timedelta) -> None:
    world = asks()
    world.advance(gap)
    world.say(Approve(at=world.now, approval="switch", **SAID))
    world.advance(then)

    assert world.until_phase(Phase.PROMOTED).phase is Phase.PROMOTED


@rule("R14", "R30")
@pytest.mark.parametrize("gap", LONG, ids=str)
def test_a_skip_long_after_the_last_tick_goes_on(gap: timedelta) -> None:
    world = World().until_weight(5)
    world.until(lambda world: world.rollout.progress.step == 1)
    world.advance(gap)
    world.say(Skip(at=world.now, epoch=world.rollout.epoch, **SAID))
    world.tick()

    assert world.rollout.phase is Phase.PROGRESSING, world.rollout
    assert world.until_phase(Phase.PROMOTED)


@rule("R14", "R30")
@pytest.mark.parametrize("gap", LONG, ids=str)
def test_promote_now_long_after_the_last_tick_goes_on(gap: timedelta) -> None:
    world = World().until_weight(5)
    world.advance(gap)
    world.say(PromoteNow(at=world.now, **SAID))
    world.tick()

    assert world.rollout.phase is Phase.PROGRESSING, world.rollout
    assert world.candidate == percent(100)


@rule("R14", "R30")
@pytest.mark.parametrize("gap", LONG, ids=str)
def test_a_resume_long_after_the_last_tick_goes_on(gap: timedelta) -> None:
    world = World().until_weight(5)
    world.say(Hold(at=world.now, within=hours(200), **SAID))
    world.tick()
    world.advance(gap)
    world.say(Resume(at=world.now, cause="person", **SAID))
    world.tick()

    assert world.rollout.phase is Phase.PROGRESSING, world.rollout
    assert world.rollout.clocks.ran < minutes(5), "a hold is no time of the rollout's"


@rule("R22", "R30")
@pytest.mark.parametrize("gap", LONG, ids=str)
@pytest.mark.parametrize("word", ["abort", "reject"])
def test_nobody_is_called_for_a_way_back_that_is_written_in_its_first_tick(
    gap: timedelta, word: str
) -> None:
    world = asks() if word == "reject" else World().until_weight(50)
    world.advance(gap)
    said: dict[str, Callable[[], Event]] = {
        "abort": lambda: Abort(at=world.now, **SAID),
        "reject": lambda: Reject(at=world.now, approval="switch", **SAID),
    }
    world.say(said[word]())
    world.advance(seconds(1))
    world.tick()

    assert world.phase is Phase.ROLLED_BACK
    assert calls(world) == []


@rule("R6")
def test_an_abort_after_a_gap_goes_back_as_far_as_stable_can_carry() -> None:
    world = World()
    world.able = dict.fromkeys(Track, Capacity(percent(100)))
    world.until_weight(100)
    world.able[Track.STABLE] = Capacity(percent(60))
    world.advance(seconds(30))
    world.tick()
    world.advance(minutes(11))
    world.say(Abort(at=world.now, **SAID))
    world.advance(seconds(1))
    world.tick()

    assert world.candidate == percent(40)


@pytest.mark.parametrize("ahead", [minutes(1), hours(5)], ids=str)
def test_a_persons_clock_that_is_wrong_costs_one_tick(ahead: timedelta) -> None:
    world = World().until_weight(5)
    world.until(lambda world: world.rollout.progress.step == 1)
    world.say(Skip(at=world.now + ahead, epoch=world.rollout.epoch, **SAID))
    world.tick()

    assert world.rollout.clocks.since is None
    assert world.until_phase(Phase.PROMOTED)


# ------------------------------------------------------------------------------ who comes late


@rule("R30")
@pytest.mark.parametrize("gap", LONG, ids=str)
def test_the_first_tick_long_after_the_start_asks_first(gap: timedelta) -> None:
    world = World()
    world.advance(gap)
    world.tick()

    assert world.phase is Phase.PROGRESSING


@rule("R14", "R30")
@pytest.mark.parametrize("gap", [minutes(40), hours(2), hours(30), hours(24 * 7)], ids=str)
def test_a_driver_that_was_away_rolls_no_good_version_back(gap: timedelta) -> None:
    world = World(strategy=canary(bake=minutes(10))).until_weight(50)
    world.advance(gap)

    assert world.until_phase(Phase.PROMOTED).phase is Phase.PROMOTED


@rule("R14", "R30")
@pytest.mark.parametrize("every", [minutes(5), minutes(9)], ids=str)
def test_a_job_at_its_own_slow_pace_starts_and_ends(every: timedelta) -> None:
    strategy = Canary(
        weights=percents(10, 100),
        bake=minutes(20),
        checks=[NoWorse(CRASHES), Limit(CRASHES, at_most=percent(2))],
        watch_every=every + minutes(1),
        interval=every,
    )
    world = World(strategy=strategy)
    for _ in range(200):
        world.tick()
        if world.rollout.over:
            break
        world.advance(every)

    assert world.phase is Phase.PROMOTED


@rule("R30")
def test_a_job_at_its_own_slow_pace_is_timed_out_all_the_same() -> None:
    world = World(strategy=canary(watch_every=minutes(6), interval=minutes(6)), silent=True)
    for _ in range(8):
        world.tick()
        world.advance(minutes(5))

    assert world.phase is Phase.ROLLED_BACK
    assert "preflight took longer than" in world.rollout.progress.reason


@rule("R30")
def test_a_router_that_failed_once_before_a_gap_is_read_before_it_counts_as_lost() -> None:
    world = World().until_weight(50)
    world.unreadable = True
    world.advance(seconds(20))
    world.tick()
    world.unreadable = False
    world.advance(hours(2))
    world.tick()

    assert world.phase is Phase.PROGRESSING
    assert calls(world) == []


@rule("R22", "R30")
def test_who_comes_late_on_a_way_back_writes_before_anybody_is_called() -> None:
    world = World().until_weight(50)
    world.unwritable = True
    world.say(Abort(at=world.now, **SAID))
    world.tick()
    world.unwritable = False
    world.advance(hours(3))
    world.tick()

    assert world.phase is Phase.ROLLED_BACK
    assert calls(world) == []


@rule("R30")
def test_an_old_version_is_not_kept_for_good_because_nobody_came_for_a_day() -> None:
    world = World(strategy=canary(retire_after=minutes(30)))
    world.able = dict.fromkeys(Track, Capacity(percent(100)))
    world.until_phase(Phase.PROMOTED)
    world.advance(hours(40))
    world.tick()

    assert world.retired == 1
    assert world.rollout.progress.retirement is Retirement.DONE


@rule("R30")
def test_a_deadline_that_is_over_after_a_gap_is_acted_on_in_the_same_tick() -> None:
    world = World(strategy=canary(watch_every=hours(3))).until_weight(5)
    world.until(lambda world: world.rollout.progress.step == 1)
    world.night = True
    world.advance(hours(2))
    world.tick()

    assert world.phase is Phase.ROLLED_BACK
    assert "step bake-5 took longer than 1 h 2 min" in world.rollout.progress.reason
    assert not world.rollout.clocks.gap
    assert world.traffic == Traffic()
