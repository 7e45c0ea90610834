"""Clocks that jump, drivers that sleep, deadlines: time that nobody watched is not bake time, and
nothing waits for ever.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from tests.support.moments import in_the_first_bake, over
from tests.support.rules import rule
from tests.support.world import ERRORS, START, World, canary

from progressive import (
    Abort,
    Action,
    Approve,
    BlueGreen,
    Budget,
    ClosedUntil,
    Deadline,
    Go,
    Hold,
    Limit,
    NotYet,
    Open,
    Phase,
    Resume,
    StrategyError,
    Tick,
    Tolerance,
    decide,
    hours,
    minutes,
    percent,
    percents,
    seconds,
)
from progressive.engine.clocks import LATEST_RETRY
from progressive.model.replace import evolve
from progressive.rollout.events import RouterRead
from progressive.rollout.state import ClosedGate
from progressive.steps import Approval, Bake, Hook, Pause, SetWeight

WAITS = Budget(then=Action.WAIT)
"""Only the step's deadline decides."""


@rule("R28")
@pytest.mark.parametrize("jump", [seconds(45), hours(1)])
def test_a_clock_that_steps_back_credits_nothing_and_does_not_stop_the_bake(
    jump: timedelta,
) -> None:
    world = World().until_weight(5)
    world.advance(seconds(30))
    world.tick()
    world.now -= jump
    back = world.now
    world.tick()
    assert world.rollout.clocks.watched <= seconds(60)
    world.until_phase(Phase.PROMOTED)

    assert world.now - back < minutes(10)


@rule("R28")
def test_time_that_nobody_watched_is_not_bake_time() -> None:
    world = World().until_weight(5)
    world.advance(minutes(30))
    world.tick()

    assert world.rollout.clocks.watched <= seconds(30)
    assert "not counted as watched" in str(world.said("late")[-1])
    assert world.candidate == percent(5)
    assert world.phase is Phase.PROGRESSING


@rule("R28")
@pytest.mark.parametrize("held", [seconds(7), seconds(40), minutes(10)])
def test_holds_however_many_earn_no_bake(held: timedelta) -> None:
    """Reads go on in a hold; the first one after a resume credits what has passed since the resume,
    not since the read before.
    """
    world = World().until_weight(5)
    ran = timedelta()
    for _ in range(4):
        world.say(Hold(at=world.now, by="eve", why="lunch", cause="lunch"))
        world.until(lambda world, end=world.now + held: world.now >= end)  # type: ignore[misc]
        world.say(Resume(at=world.now, by="eve", why="back", cause="lunch"))
        world.advance(seconds(3))
        ran += seconds(3)
        world.tick()
        before = ran

        assert world.rollout.clocks.watched <= before


@rule("R30", "R31")
def test_words_by_a_clock_that_is_years_ahead_stop_no_deadline() -> None:
    world = World().until_weight(5)
    ahead = timedelta(days=20_000)
    world.say(Hold(at=world.now + ahead, by="eve", why="lunch", cause="lunch", within=minutes(10)))
    began = world.now
    world.until(lambda world: world.rollout.over)
    assert world.now - began <= minutes(12)

    world = World(
        strategy=canary(
            checks=[Limit(ERRORS, at_most=percent(2), tolerance=Tolerance(no_answer=WAITS))]
        )
    )
    world.until_weight(5)
    world.silent = True
    world.say(Hold(at=world.now, by="eve", why="lunch", cause="lunch"))
    world.say(Resume(at=world.now + ahead, by="eve", why="back", cause="lunch"))
    began = world.now
    world.until(lambda world: world.rollout.over)

    assert world.now - began <= hours(2)


@rule("R29")
def test_a_bake_begins_when_the_traffic_is_verified() -> None:
    world = World(lag=seconds(9)).until_weight(5)
    verified = next(
        note.at for note in world.said("verified") if note.traffic.candidate == percent(5)
    )
    world.until_weight(50)
    raised = next(note.at for note in world.said("asked") if note.traffic.candidate == percent(50))

    assert raised - verified >= minutes(2)


@rule("R29")
def test_the_last_bake_is_at_full_traffic_and_an_abort_works_until_it_is_over() -> None:
    world = World().until_weight(100)
    world.advance(seconds(40))
    world.tick(Abort(at=world.now, by="eve", why="now"))

    assert world.phase is Phase.ROLLED_BACK


@rule("R30")
@pytest.mark.parametrize("then", [Action.ROLL_BACK, Action.HOLD])
def test_a_step_that_takes_too_long(then: Action) -> None:
    steps = [
        SetWeight(percent(10)),
        Bake(minutes(1), deadline=Deadline(within=minutes(3), then=then)),
        SetWeight(percent(100)),
        Bake(minutes(1)),
    ]
    world = World(strategy=canary(weights=(), steps=steps)).until_weight(10)
    world.night = True
    world.until_phase(Phase.ROLLED_BACK, Phase.HELD)

    assert world.phase is (Phase.ROLLED_BACK if then is Action.ROLL_BACK else Phase.HELD)
    assert "bake-10 took longer than 3 min" in world.rollout.progress.reason
    assert minutes(3) <= world.now - START <= minutes(4)


@rule("R30")
def test_a_deadline_that_only_waits_calls_a_person_and_leaves_it_to_the_whole_s() -> None:
    steps = [
        SetWeight(percent(10)),
        Bake(minutes(1), deadline=Deadline(within=minutes(3), then=Action.WAIT)),
        SetWeight(percent(100)),
        Bake(minutes(1)),
    ]
    strategy = canary(weights=(), steps=steps, deadline=Deadline(within=minutes(20)))
    world = World(strategy=strategy).until_weight(10)
    world.night = True
    world.until_phase(Phase.ROLLED_BACK)

    assert len(world.said("escalated")) == 1
    assert "the rollout took longer than 20 min" in world.rollout.progress.reason


@rule("R30")
def test_the_whole_s_clock_stops_in_approvals_freezes_and_a_person_s_hold() -> None:
    steps = [
        SetWeight(percent(10)),
        Approval("go", within=hours(48), otherwise=Action.HOLD),
        SetWeight(percent(100)),
        Bake(minutes(1)),
    ]
    world = World(
        strategy=canary(
            weights=(),
            steps=steps,
            deadline=Deadline(within=minutes(30)),
            gates=["freeze"],
            interval=minutes(2),
            watch_every=minutes(4),
        )
    )
    shut = START + hours(7)
    world.until_weight(10)
    world.until(lambda w: w.now - START > hours(2), ticks=1_000)
    world.gate = lambda now: Open() if now >= shut else ClosedUntil(shut, "office hours")
    world.say(Hold(at=world.now, by="eve", why="lunch"))
    world.until(lambda w: w.now - START > hours(4), ticks=1_000)
    world.say(Resume(at=world.now, by="eve", why="back"))
    world.say(Approve(at=world.now, approval="go", by="eve", why="good"))
    world.until(lambda w: "gate freeze" in str(w.rollout.status), ticks=5)
    world.until_phase(Phase.PROMOTED, ticks=1_000)

    assert world.now > shut
    assert world.rollout.clocks.ran < minutes(10)


@rule("R30")
@pytest.mark.parametrize(("person", "after"), [(True, hours(24)), (False, hours(1))])
def test_a_hold_ends_by_itself(person: bool, after: timedelta) -> None:
    if person:
        seldom = canary(bake=minutes(1), interval=minutes(15), watch_every=minutes(30))
        world = World(strategy=seldom).until_weight(5)
        world.say(Hold(at=world.now, by="eve", why="lunch"))
    else:
        world = World(
            strategy=canary(checks=[Limit(ERRORS, at_most=percent(2))]), bad=0.3, stable_bad=0.3
        )
        world.until_phase(Phase.HELD)
    began = next(note.at for note in world.said("entered") if note.phase == "held")
    world.until_phase(Phase.ROLLED_BACK, ticks=5_000)

    assert after <= world.now - began <= after + minutes(1)


@rule("R31")
def test_times_without_a_zone_are_refused() -> None:
    with pytest.raises(StrategyError, match="has no time zone"):
        Tick(at=datetime(2026, 3, 1))  # noqa: DTZ001


@rule("R31")
def test_any_zone_is_the_same_moment() -> None:
    from zoneinfo import ZoneInfo

    there = START.astimezone(ZoneInfo("Asia/Tokyo"))

    assert Tick(at=there) == Tick(at=START)


def test_the_progress_law() -> None:
    """A good version, no fault, ticked at ``wake_at``, is promoted by the latest time that
    `describe` names, and close to the earliest.
    """
    strategies = [
        canary(),
        canary(weights=percents(1, 5, 10, 25, 50, 100), bake=minutes(10), warmup=minutes(1)),
        BlueGreen(
            preview_hook="smoke", checks=[Limit(ERRORS, at_most=percent(2))], pause=minutes(3)
        ),
        canary(weights=percents(100), bake=seconds(1)),
    ]
    for strategy in strategies:
        said = strategy.describe()
        world = World(strategy=strategy).until_phase(Phase.PROMOTED, ticks=2_000)

        assert said.earliest <= world.now - START <= said.latest
        assert world.now - START <= said.earliest + minutes(1) * (1 + len(said.steps))


def test_a_pause_is_by_the_clock_and_its_own_deadline_never_comes_first() -> None:
    steps = [SetWeight(percent(10)), Pause(minutes(10)), SetWeight(percent(100)), Bake(minutes(1))]
    world = World(strategy=canary(weights=(), steps=steps)).until_weight(100)

    assert minutes(10) <= world.now - START <= minutes(11)


def test_guards_go_on_behind_a_closed_gate() -> None:
    world = World(strategy=canary(gates=["freeze"])).until_weight(5)
    world.gate = lambda now: ClosedUntil(START + hours(10), "night")
    world.until(lambda w: w.now - START > hours(1))
    world.bad = 0.5
    world.until_phase(Phase.ROLLED_BACK)

    assert world.now - START < hours(1) + minutes(2)


@rule("R30")
def test_a_freeze_that_is_over_stops_no_clock() -> None:
    world = World(strategy=canary(gates=["freeze"])).until_weight(5)
    world.gate = lambda now: ClosedUntil(now + minutes(5), "lunch")
    over(world, minutes(4))
    world.unwritable = True
    world.edit(100)
    world.gate = lambda now: Open()
    over(world, minutes(30))

    assert world.phase is Phase.ROLLING_BACK
    assert any("the router serves 100 %" in note.why for note in world.said("escalated"))


@rule("R27", "R28")
def test_a_person_s_clock_moves_no_clock_of_ours() -> None:
    world = World().until_weight(5)
    before = world.rollout.clocks
    world.say(
        Approve(at=world.now + hours(2), approval="nonsense", by="eve", why="my laptop is ahead")
    )
    world.say(Hold(at=world.now + hours(30), by="eve", why="mine too"))

    assert world.rollout.clocks.now == before.now
    world.tick()
    assert world.phase is Phase.HELD


@rule("R28")
def test_a_clock_that_steps_back_asks_a_hook_again() -> None:
    steps = [Hook("smoke"), SetWeight(percent(100)), Bake(minutes(1))]
    world = World(strategy=canary(weights=(), steps=steps))
    world.hook = lambda key: NotYet(world.now + minutes(5), "warming up")
    over(world, minutes(2))
    world.now -= hours(3)
    world.hook = lambda key: Go()
    began = world.now
    world.until_phase(Phase.PROMOTED)

    assert world.now - began < minutes(5)


@rule("R28")
def test_a_clock_that_steps_back_moves_retries_and_freezes_with_it() -> None:
    rollout = in_the_first_bake(gates=["freeze"]).rollout
    now = rollout.clocks.now
    frozen = evolve(rollout.progress, closed_gate=ClosedGate("freeze", "night", now + hours(9)))
    waits = evolve(
        rollout, routing=evolve(rollout.routing, retry_at=now + minutes(5)), progress=frozen
    )
    soon = evolve(rollout, routing=evolve(rollout.routing, retry_at=now - hours(1) + seconds(2)))

    back = decide(waits, Tick(at=now - hours(1))).rollout

    assert back.routing.retry_at == now - hours(1) + LATEST_RETRY
    assert back.progress.closed_gate is None
    assert decide(soon, Tick(at=now - hours(1))).rollout.routing.retry_at == now - hours(
        1
    ) + seconds(2)


def test_watched_time_survives_a_resume() -> None:
    world = World().until_weight(5)
    world.advance(seconds(30))
    world.tick()
    world.advance(seconds(30))
    world.tick()
    watched = world.rollout.clocks.watched
    assert watched >= seconds(30)
    world.say(Hold(at=world.now, by="eve", why="lunch"))
    world.until(lambda w: w.now - START > minutes(30))
    assert world.rollout.clocks.watched == watched, "held time is not bake time"
    world.say(Resume(at=world.now, by="eve", why="back"))
    resumed = world.now
    world.until_weight(50)

    assert world.now - resumed <= minutes(2) - watched + seconds(60)


def test_a_read_from_before_the_last_answer_counts_only_with_a_tick_as_early() -> None:
    rollout = World().until_weight(5).rollout
    last, served = rollout.routing.read_at, rollout.routing.observed
    assert last is not None and served is not None
    late = RouterRead(at=last - seconds(5), served=served)
    alone = decide(rollout, late)

    assert alone.rollout.routing == rollout.routing
    assert "before the last answer" in str(alone.notes[0])
    with_a_tick = decide(rollout, Tick(at=late.at), late)
    assert with_a_tick.rollout.routing.read_at == late.at
    assert not with_a_tick.notes
