"""What one decision is: when the engine comes back, what it says it waits for, whose deadline comes
first, and what of it is told and stored.
"""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

import attrs
import pytest
from tests.support.moments import in_the_first_bake, steps, words
from tests.support.rules import rule
from tests.support.world import World, canary

from progressive import (
    Action,
    Canary,
    Deadline,
    Hold,
    NotYet,
    Phase,
    Skip,
    Tick,
    decide,
    hours,
    minutes,
    percent,
    seconds,
)
from progressive.model.replace import evolve
from progressive.model.traffic import Traffic
from progressive.plan.step import Advance, Done, Situation, Step, Wait
from progressive.rollout.events import HookAnswered, RouterRead
from progressive.rollout.notes import EventRecorded, PhaseEntered
from progressive.rollout.state import Rollout
from progressive.steps import Bake, Pause, SetWeight


@attrs.frozen
class Own(Step):
    """A step of one's own."""

    kind: ClassVar[str] = "own"

    answer: Advance
    hook: str | None = None
    deadline: Deadline | None = None
    span: timedelta = minutes(7)
    id: str = "own"

    def advance(self, situation: Situation) -> Advance:
        return self.answer


def in_an_own_step(own: Own) -> Rollout:
    """In a step of one's own after the first weight, which was asked for and not seen yet."""
    rollout = (
        World(strategy=canary(weights=(), steps=steps(Bake(minutes(2)))))
        .until_weight(5)
        .until(lambda world: world.rollout.progress.step == 1)
    )
    found = rollout.rollout
    plan = attrs.evolve(
        found.plan, steps=tuple(own if step.id == "bake-5" else step for step in found.plan.steps)
    )
    return attrs.evolve(found, plan=plan)


# ---------------------------------------------------------------------------------------- deadlines


@rule("R30")
def test_a_step_without_a_deadline_has_an_hour_more_than_its_span() -> None:
    world = in_the_first_bake()
    waiting = world.rollout.progress.waiting

    assert waiting is not None and waiting.until is not None
    assert waiting.until - world.rollout.clocks.entered == minutes(2) + hours(1)
    assert waiting.then == "roll back"


@rule("R30")
def test_a_step_of_one_s_own_without_a_deadline_has_an_hour_more_than_its_span() -> None:
    rollout = in_an_own_step(Own(Done()))
    assert rollout.routing.observed is not None
    served = attrs.evolve(rollout.routing.observed, traffic=Traffic())
    elsewhere = RouterRead(at=rollout.clocks.now, served=served)

    waiting = decide(rollout, elsewhere).rollout.progress.waiting

    assert waiting is not None
    assert waiting.until == rollout.clocks.now + minutes(7) + hours(1) - rollout.clocks.stepped


def test_a_hook_of_a_step_of_one_s_own_is_come_back_for() -> None:
    rollout = in_an_own_step(Own(Wait("for itself"), hook="smoke"))
    soon = rollout.clocks.now + seconds(3)
    later = HookAnswered(
        at=rollout.clocks.now, epoch=rollout.epoch, step="own", answer=NotYet(soon, "warming up")
    )

    assert decide(rollout, later).wake_at == soon


@rule("R30")
@pytest.mark.parametrize("then", [Action.ROLL_BACK, Action.HOLD])
def test_a_step_s_deadline_is_over_at_its_instant_and_not_after_it(then: Action) -> None:
    world = World(
        strategy=canary(
            weights=(),
            steps=steps(Bake(minutes(2), deadline=Deadline(within=minutes(3), then=then))),
            watch_every=minutes(10),
        )
    )
    world.until_weight(5).until(lambda world: world.rollout.progress.step == 1)
    world.night = True
    entered = world.rollout.clocks.entered
    rollout = decide(
        world.rollout, Tick(at=entered + minutes(3) - timedelta(milliseconds=1))
    ).rollout
    assert rollout.phase is Phase.PROGRESSING

    late = decide(rollout, Tick(at=entered + minutes(3))).rollout

    assert late.phase is (Phase.ROLLING_BACK if then is Action.ROLL_BACK else Phase.HELD)
    assert late.progress.waiting is not None, "it says at once what it waits for now"
    assert "step bake-5 took longer than 3 min: waited for " in late.progress.reason
    assert [cause.name for cause in late.progress.causes] == (
        [] if then is Action.ROLL_BACK else ["deadline:bake-5"]
    )


@rule("R30")
def test_the_whole_s_deadline_wakes_to_the_instant_and_names_what_was_waited_for() -> None:
    strategy = canary(
        weights=(),
        steps=steps(Pause(hours(1))),
        watch_every=minutes(30),
        interval=minutes(30),
        deadline=Deadline(within=seconds(437)),
    )
    world = (
        World(strategy=strategy)
        .until_weight(5)
        .until(lambda world: world.rollout.progress.step == 1)
    )
    rollout = world.rollout
    ends = rollout.clocks.now + (seconds(437) - rollout.clocks.ran)

    decision = decide(
        rollout, Tick(at=ends - seconds(5)), RouterRead(at=ends - seconds(5), served=world.served())
    )
    assert decision.rollout.phase is Phase.PROGRESSING
    assert decision.wake_at == ends or decision.commands
    waited = decision.rollout.progress.waiting
    assert waited is not None

    over = decide(decision.rollout, Tick(at=ends)).rollout

    assert over.phase is Phase.ROLLING_BACK
    assert (
        over.progress.reason == f"the rollout took longer than 7 min 17 s: waited for {waited.why}"
    )


@rule("R30")
def test_a_rollout_that_has_not_said_what_it_waits_for_waited_for_its_steps() -> None:
    strategy = {"deadline": Deadline(within=hours(5)), "watch_every": hours(10)}
    rollout = in_the_first_bake(**strategy).rollout
    rollout = evolve(rollout, progress=evolve(rollout.progress, waiting=None))

    over = decide(rollout, Tick(at=rollout.clocks.now + hours(5))).rollout

    assert over.progress.reason == "the rollout took longer than 5 h: waited for its steps"


@rule("R30")
def test_an_unreachable_router_goes_back_at_its_instant_whatever_else_is_well() -> None:
    world = in_the_first_bake()
    world.unreadable = True
    began = world.now
    world.until_phase(Phase.ROLLED_BACK)
    [turned] = [note for note in world.said("entered") if note.phase == "rolling_back"]

    assert turned.why == "the router could not be read for 15 min"
    assert turned.at - began <= minutes(15) + seconds(30)


# -------------------------------------------------------------------------------------------- holds


@rule("R30")
def test_of_two_holds_the_one_that_ends_first_counts() -> None:
    world = in_the_first_bake()
    world.say(words(world, "first", within=minutes(60)))
    began = world.now
    world.now += minutes(50)
    world.tick()
    world.say(words(world, "second", within=minutes(30)))
    world.tick()
    waiting = world.rollout.progress.waiting
    first, second = (cause.name for cause in world.rollout.progress.causes)

    assert waiting is not None
    assert waiting.why == f"somebody to resume {first}, {second} (because of first)"
    assert (waiting.until, waiting.then) == (began + minutes(60), "roll back")

    at_the_end = decide(world.rollout, Tick(at=began + minutes(60))).rollout

    assert at_the_end.phase is Phase.ROLLING_BACK
    assert at_the_end.progress.waiting is not None, "it says at once what it waits for now"
    assert (
        at_the_end.progress.reason
        == f"held for {first} for 1 h and nobody resumed: because of first"
    )


@rule("R30")
def test_a_hold_is_over_at_its_instant_and_not_before() -> None:
    world = in_the_first_bake()
    world.say(words(world, "lunch", within=minutes(20)))
    rollout = world.rollout

    assert (
        decide(rollout, Tick(at=world.now + minutes(20) - timedelta(milliseconds=1))).rollout.phase
        is Phase.HELD
    )
    assert decide(rollout, Tick(at=world.now + minutes(20))).rollout.phase is Phase.ROLLING_BACK


def test_the_trail_says_whether_a_step_was_done_or_skipped() -> None:
    world = in_the_first_bake()
    world.say(Skip(at=world.now, epoch=world.rollout.epoch, by="eve", why="in a hurry"))
    world.until(lambda world: world.rollout.progress.step == 3)
    entered = [note.why for note in world.notes if isinstance(note, PhaseEntered)]

    assert "weight-5 is done" in entered
    assert "bake-5 is skipped" in entered


# ------------------------------------------------------------------------------------- what changes


@rule("R24", "R36")
def test_a_decision_that_changes_nothing_gives_back_the_rollout_that_it_was_given() -> None:
    rollout = in_the_first_bake().rollout

    assert decide(rollout).rollout is rollout


def test_a_decision_that_only_comes_back_at_another_time_is_stored() -> None:
    rollout = in_the_first_bake().rollout
    assert rollout.wake_at is not None
    moved = evolve(rollout, wake_at=rollout.wake_at + seconds(1))

    decision = decide(moved)

    assert decision.rollout.wake_at == rollout.wake_at
    assert decision.rollout.serial == moved.serial + 1


@rule("R5")
def test_a_step_that_is_done_waits_for_the_router_before_the_next_one() -> None:
    steps = [SetWeight(percent(5)), Pause(minutes(2)), SetWeight(percent(100)), Bake(minutes(1))]
    world = World(strategy=Canary(steps=steps, unguarded="a law")).until_weight(5)
    world.lag = minutes(3)
    world.edit(1)
    world.until(lambda w: w.rollout.clocks.stepped > minutes(2))

    assert world.rollout.status.step == "pause-5"
    assert "the router to serve 5 % candidate" in str(world.rollout.status)
    world.lag = seconds(0)
    world.until_weight(100)


@rule("R46")
def test_every_decision_explains_itself() -> None:
    world = World(bad=0.3).until_phase(Phase.ROLLED_BACK)
    reasons = [note for note in world.notes if note.kind in ("entered", "asked", "judged")]

    assert reasons
    assert all(note.why for note in reasons)
    failing = next(
        note
        for note in world.said("judged")
        if note.verdict == "fail" and note.check == "error-rate-no-worse"
    )
    assert {
        "candidate_events",
        "candidate_trials",
        "control_events",
        "control_trials",
        "log_evidence",
        "alpha",
    } <= dict(failing.numbers).keys()


@rule("R46")
def test_every_look_and_every_word_from_outside_is_in_the_trail_word_for_word() -> None:
    world = World().until_weight(5)
    hold = Hold(at=world.now, by="eve", why="lunch")
    world.say(hold)
    told = [note.event for note in world.said("happened") if isinstance(note, EventRecorded)]

    assert hold in told
    assert [event for event in told if event.kind == "measured"] == world.answers
