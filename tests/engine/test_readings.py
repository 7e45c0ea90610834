"""Clocks of drivers that differ: what was credited once is not credited again, bakes end, and
nothing is measured twice.

Brothers, tried here: two and three drivers in turn, ahead by less and by more than anything waits
for; one that stays away; pauses, bakes, holds and a router astray; a clock that was set back, once
and again; states from before readings were kept.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.rules import rule
from tests.support.world import ERRORS, START, World, canary

from progressive import (
    Hold,
    Limit,
    Metric,
    Phase,
    Tick,
    decide,
    hours,
    minutes,
    percent,
    seconds,
)
from progressive.engine.readings import credited
from progressive.model.replace import evolve
from progressive.rollout.state import Reading
from progressive.steps import Bake, Pause, SetWeight

AHEAD = [seconds(5), seconds(45), seconds(120), seconds(300), hours(1), hours(9)]
EVERY = seconds(30)
PATIENCE = minutes(2)
LONG = hours(2)


def in_turn(world: World, *ahead: timedelta, during: timedelta = LONG) -> timedelta:
    """Let drivers whose clocks are ahead by so much come in turn, until the rollout is over or the
    time is; return how long it really took.
    """
    real, began = world.now, world.now
    for offset in itertools.cycle(ahead):
        world.now = real + offset
        world.tick()
        if world.rollout.over or real - began >= during:
            world.now = real
            return real - began
        real += EVERY
    raise AssertionError("unreachable")


def paused(length: timedelta) -> World:
    steps = [SetWeight(percent(10)), Pause(length), SetWeight(percent(100)), Bake(minutes(1))]
    return World(strategy=canary(weights=(), steps=steps))


# ---------------------------------------------------------------------------------------- the law


@given(
    moves=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 400)), max_size=60),
    ahead=st.lists(st.integers(0, 4_000), min_size=4, max_size=4),
)
@rule("R28")
def test_no_more_is_credited_than_has_passed_while_the_furthest_clock_comes(
    moves: list[tuple[int, int]], ahead: list[int]
) -> None:
    """It comes between any two others, and whatever else comes in whatever turn."""
    real = START
    readings: tuple[Reading, ...] = (Reading(at=real + seconds(max(ahead) + 1)),)
    credit = timedelta()
    for driver, passed in moves:
        for offset in (ahead[driver], max(ahead) + 1):
            real += timedelta(seconds=passed)
            more, readings = credited(readings, real + timedelta(seconds=offset), PATIENCE)
            credit += more

        lost = timedelta(seconds=max(ahead) + 1 + 2 * max(passed for _, passed in moves))
        assert real - START - lost <= credit <= real - START


@given(moves=st.lists(st.integers(1, 400), max_size=60), back=st.integers(1, 9_000))
@rule("R28")
def test_a_clock_that_was_set_back_goes_on_at_its_own_pace(moves: list[int], back: int) -> None:
    now, readings = START, (Reading(at=START),)
    _, readings = credited(readings, now := now - timedelta(seconds=back), PATIENCE)
    passed = credit = timedelta()
    for move in moves:
        more, readings = credited(readings, now := now + timedelta(seconds=move), PATIENCE)
        passed, credit = passed + timedelta(seconds=move), credit + more

    lost = passed - credit
    longest = timedelta(seconds=max(moves, default=0))
    assert timedelta() <= lost <= PATIENCE + 3 * longest, "until the old reading is given up"


def test_what_a_clock_that_is_ahead_was_credited_is_taken_back_when_the_slower_one_comes() -> None:
    readings: tuple[Reading, ...] = (Reading(at=START),)
    credits = []
    for now in (30, 60 + 300, 90, 120 + 300, 150, 180 + 300):
        credit, readings = credited(readings, START + timedelta(seconds=now), PATIENCE)
        credits.append(credit)

    assert sum(credits, timedelta()) == seconds(150), "one interval less than has passed"
    assert [credit >= timedelta() for credit in credits] == [True, True, False, True, True, True]


# --------------------------------------------------------------------------------- drivers in turn


@rule("R28")
@pytest.mark.parametrize("ahead", AHEAD, ids=str)
def test_a_pause_is_as_long_as_it_says(ahead: timedelta) -> None:
    world = paused(minutes(30))
    took = in_turn(world, ahead, timedelta())

    assert world.phase is Phase.PROMOTED, world.rollout
    assert minutes(30) <= took <= minutes(37)


@rule("R28")
@pytest.mark.parametrize("ahead", AHEAD[:4], ids=str)
def test_a_driver_that_is_ahead_and_comes_second_is_found_out_by_the_next(
    ahead: timedelta,
) -> None:
    """Its first reading counts as time, as the other one may have been away; but not for long."""
    world = paused(minutes(30))
    took = in_turn(world, timedelta(), ahead)

    assert world.phase is Phase.PROMOTED, world.rollout
    assert minutes(30) - seconds(5) <= took <= minutes(37)


@rule("R28")
@pytest.mark.parametrize("ahead", AHEAD, ids=str)
@pytest.mark.parametrize("counter", [False, True])
def test_bakes_end_and_judge_at_every_weight(ahead: timedelta, counter: bool) -> None:
    metric = Metric("crashes", kind="ratio", counter=True) if counter else ERRORS
    world = World(strategy=canary(checks=[Limit(metric, at_most=percent(2))]))
    took = in_turn(world, timedelta(), ahead)

    assert world.phase is Phase.PROMOTED, world.rollout
    assert minutes(6) <= took <= minutes(18)


@rule("R28")
def test_three_drivers_and_one_that_stays_away() -> None:
    world = paused(minutes(30))
    in_turn(world, seconds(300), timedelta(), seconds(45), during=minutes(10))
    took = in_turn(world, seconds(45), timedelta())

    assert world.phase is Phase.PROMOTED, world.rollout
    assert minutes(19) <= took <= minutes(30)


@rule("R18", "R28")
@pytest.mark.parametrize("ahead", AHEAD, ids=str)
def test_nothing_is_measured_twice(ahead: timedelta) -> None:
    world = World()
    in_turn(world, timedelta(), ahead)
    windows = sorted(
        {
            (each.look.window.start, each.look.window.end)
            for each in world.answers
            if "preflight" not in each.analyses
        }
    )

    assert len(windows) > 5
    for (_, end), (start, _) in itertools.pairwise(windows):
        assert end <= start


@rule("R28")
@pytest.mark.parametrize("ahead", AHEAD, ids=str)
def test_a_bad_version_goes_back_as_soon_as_by_one_clock(ahead: timedelta) -> None:
    world = World(bad=0.3)
    took = in_turn(world, timedelta(), ahead)

    assert world.phase is Phase.ROLLED_BACK, world.rollout
    assert took <= minutes(3)


@rule("R30")
@pytest.mark.parametrize("ahead", AHEAD, ids=str)
def test_a_hold_lasts_as_long_as_it_may(ahead: timedelta) -> None:
    world = World().until_weight(5)
    in_turn(world, ahead, timedelta(), during=minutes(1))
    world.say(Hold(at=world.now, by="eve", why="lunch", within=minutes(40)))
    took = in_turn(world, ahead, timedelta())

    assert world.phase is Phase.ROLLED_BACK
    assert minutes(40) <= took <= minutes(42)


@rule("R30")
@pytest.mark.parametrize("ahead", AHEAD, ids=str)
def test_a_step_s_deadline_comes_when_it_says(ahead: timedelta) -> None:
    world = World(strategy=canary(checks=[Limit(ERRORS, at_most=percent(2))])).until_weight(5)
    world.night = True
    took = in_turn(world, timedelta(), ahead, during=hours(3))

    assert world.phase in (Phase.ROLLED_BACK, Phase.HELD), world.rollout
    assert took >= minutes(10)


@rule("R28", "R16")
@pytest.mark.parametrize("ahead", AHEAD, ids=str)
def test_a_driver_that_is_behind_and_alone_goes_on(ahead: timedelta) -> None:
    """The one that was ahead is gone, in a bake: looks go on by the other one's clock, and a
    version that turns bad goes back.
    """
    for bad, end in ((0.001, Phase.PROMOTED), (0.3, Phase.ROLLED_BACK)):
        world = World().until_weight(50)
        world.bad = bad
        world.now -= ahead
        began = world.now
        world.until_phase(end)

        assert world.now - began <= minutes(9)


def stage_of(world: World) -> tuple[Phase, int]:
    return world.phase, world.rollout.progress.step


def held() -> World:
    """A person holds it; if nobody resumes, it goes back."""
    world = World().until_weight(5)
    world.say(Hold(at=world.now, within=minutes(30), by="eve", why="a look at it"))
    return world


def without_answers() -> World:
    """The step's deadline comes, as no look has data."""
    world = World(strategy=canary(checks=[Limit(ERRORS, at_most=percent(2))])).until_weight(5)
    world.night = True
    return world


@rule("R24", "R28")
@pytest.mark.parametrize("ahead", [seconds(5), minutes(1), hours(1)], ids=str)
@pytest.mark.parametrize(
    "begun",
    [
        lambda: World().until_weight(50),
        lambda: paused(minutes(30)).until_weight(10),
        held,
        without_answers,
    ],
    ids=["bake", "pause", "hold", "deadline"],
)
def test_a_clock_that_is_set_back_a_moment_before_the_end_makes_nobody_come_every_moment(
    begun: Callable[[], World], ahead: timedelta
) -> None:
    """No time passes by the slower clock until it has come to the other one, or that one is gone,
    so a tick a moment later would be in vain, and so would the next sixty thousand.
    """
    world = begun()
    stage = stage_of(world)
    world.until(lambda world: stage_of(world) != stage)
    end = world.rollout.clocks.now
    world = begun().until(lambda world: (world.rollout.wake_at or end) >= end)
    world.now = end - timedelta(milliseconds=1)
    world.tick()

    assert stage_of(world) == stage
    world.now -= ahead
    before = world.events
    world.until(lambda world: stage_of(world) != stage, ticks=100)
    assert world.events - before < 100


@rule("R3")
@pytest.mark.parametrize("ahead", AHEAD, ids=str)
def test_a_write_back_waits_for_no_other_clock(ahead: timedelta) -> None:
    world = World(bad=0.3).until_weight(5)
    world.unwritable = True
    world.until_phase(Phase.ROLLING_BACK)
    for _ in range(4):
        world.tick()
        world.now = world.rollout.wake_at or world.now
    world.now -= ahead
    world.unwritable = False
    began = world.now
    world.until_phase(Phase.ROLLED_BACK)

    assert world.now - began <= minutes(1)


@settings(max_examples=25)
@given(
    ahead=st.lists(st.integers(0, 900), min_size=2, max_size=4),
    turns=st.lists(st.integers(0, 3), min_size=80, max_size=80),
)
@rule("R28")
def test_whoever_comes_when_a_pause_is_not_over_early(ahead: list[int], turns: list[int]) -> None:
    """The furthest clock comes between any two others."""
    world = paused(minutes(30))
    real = START
    at_ten = None
    clocks = sorted(ahead, reverse=True)
    for turn in (turn for each in turns for turn in (0, each)):
        world.now = real + timedelta(seconds=clocks[turn % len(clocks)])
        world.tick()
        if at_ten is None and world.candidate == percent(10):
            at_ten = real
        if world.candidate == percent(100):
            assert at_ten is not None
            assert real - at_ten >= minutes(30)
            return
        real += EVERY


# ----------------------------------------------------------------------------------- older states


def test_a_state_without_readings_goes_by_every_clock_as_it_did() -> None:
    world = World().until_weight(5)
    rollout = world.rollout
    older = evolve(rollout, clocks=evolve(rollout.clocks, readings=()))
    back = decide(older, Tick(at=world.now - seconds(45)))

    assert back.rollout.clocks.readings == ()
    assert any("stepped back" in str(note) for note in back.notes)


def test_more_clocks_than_are_told_apart_forget_the_furthest() -> None:
    readings: tuple[Reading, ...] = ()
    for behind in range(9):
        _, readings = credited(readings, START - timedelta(minutes=behind), PATIENCE)

    assert [each.at for each in readings] == [START - minutes(n) for n in (5, 6, 7, 8)]
