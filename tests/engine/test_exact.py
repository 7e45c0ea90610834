"""To the instant and to the word: when the engine comes back, what it says it waits for, and whose
deadline comes first.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, ClassVar

import attrs
import pytest
from tests.support.rules import rule
from tests.support.world import START, World, canary

from progressive import (
    Abort,
    Action,
    Deadline,
    Go,
    Hold,
    NotYet,
    Phase,
    Resume,
    Skip,
    Tick,
    decide,
    hours,
    minutes,
    percent,
    seconds,
)
from progressive.engine.clocks import LATEST_RETRY
from progressive.errors import Failure
from progressive.model.replace import evolve
from progressive.model.router_state import Served
from progressive.model.traffic import Traffic
from progressive.plan.step import Advance, Done, Situation, Step, Wait
from progressive.rollout.commands import Apply, Retire, RunHook
from progressive.rollout.events import CommandFailed, HookAnswered, RouterApplied, RouterRead
from progressive.rollout.notes import Drifted, Escalated, EventRecorded, PhaseEntered
from progressive.rollout.phases import TRANSITIONS, Retirement
from progressive.rollout.state import ClosedGate, Rollout
from progressive.steps import Bake, Hook, Pause, SetWeight


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


def in_the_first_bake(**changes: Any) -> World:
    """At 5 %, verified, in the bake."""
    return (
        World(strategy=canary(**changes))
        .until_weight(5)
        .until(lambda world: world.rollout.progress.step == 1)
    )


def steps(*between: Step) -> list[Step]:
    return [SetWeight(percent(5)), *between, SetWeight(percent(100)), Bake(minutes(1))]


def words(world: World, name: str, **more: Any) -> Hold:
    return Hold(at=world.now, by="eve", why=f"because of {name}", cause=name, **more)


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
    elsewhere = RouterRead(at=rollout.clocks.now, served=Served(traffic=Traffic()))

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
    rollout = in_the_first_bake(deadline=Deadline(within=hours(5))).rollout
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


# -------------------------------------------------------------------------------------------- steps


def test_the_trail_says_whether_a_step_was_done_or_skipped() -> None:
    world = in_the_first_bake()
    world.say(Skip(at=world.now, epoch=world.rollout.epoch, by="eve", why="in a hurry"))
    world.until(lambda world: world.rollout.progress.step == 3)
    entered = [note.why for note in world.notes if isinstance(note, PhaseEntered)]

    assert "weight-5 is done" in entered
    assert "bake-5 is skipped" in entered


@rule("R8")
def test_drift_below_is_put_right_once_in_every_step_and_not_once_in_all() -> None:
    world = in_the_first_bake()
    world.edit(1)
    world.until_weight(50).until(lambda world: world.rollout.progress.step == 3)
    assert not world.rollout.routing.reasserted

    world.edit(5)
    world.until_weight(50)

    assert world.phase is Phase.PROGRESSING
    assert world.rollout.routing.reasserted


def test_every_gate_that_is_asked_is_named() -> None:
    world = (
        World(strategy=canary(gates=["freeze", "budget"])).until_weight(5).until_next_tick_raises()
    )
    rollout, why = world.rollout, []
    events: list[Any] = [Tick(at=world.now)]
    while not any(isinstance(event, RouterApplied) for event in events):
        decision = decide(rollout, *events)
        world.ghost.ceiling = percent(50).ppm
        rollout = decision.rollout
        why += [rollout.progress.waiting.why] if rollout.progress.waiting is not None else []
        events = [world.do(command) for command in decision.commands]

    assert "gate freeze, budget to answer" in why


# -------------------------------------------------------------------------------------------- hooks


def at_the_hook(hook: Callable[[str], Any]) -> World:
    """At 5 %, and the hook has answered for the first time."""
    world = World(strategy=canary(weights=(), steps=steps(Hook("smoke"), Bake(minutes(2)))))
    world.hook = hook
    return world.until_weight(5).until(
        lambda world: world.rollout.progress.answer is not None or world.rollout.progress.step > 1
    )


def hooks(world: World, rollout: Any) -> list[RunHook]:
    return [
        command
        for command in decide(
            rollout, RouterRead(at=rollout.clocks.now, served=world.served())
        ).commands
        if isinstance(command, RunHook)
    ]


def test_a_hook_is_run_under_the_key_of_its_rollout_and_step() -> None:
    keys: list[str] = []

    def smoke(key: str) -> Go:
        keys.append(key)
        return Go()

    world = at_the_hook(smoke)

    assert keys == [f"{world.rollout.id}/hook-smoke"]


def test_a_hook_that_wants_to_be_asked_later_is_the_next_thing_to_come_back_for() -> None:
    later = START + seconds(7)
    world = at_the_hook(lambda key: NotYet(later, "warming up"))

    assert world.rollout.wake_at == later
    assert hooks(world, world.rollout) == []


@pytest.mark.parametrize("what", ["went", "skipped"])
def test_a_hook_that_has_answered_or_is_skipped_is_not_run_again_while_the_router_is_waited_for(
    what: str,
) -> None:
    world = at_the_hook(lambda key: NotYet(START + seconds(37), "warming up"))
    rollout = world.rollout
    changed = {"answer": Go()} if what == "went" else {"skipped": True, "answer": None}
    rollout = evolve(rollout, progress=evolve(rollout.progress, **changed))
    lower = Served(
        traffic=Traffic(candidate=percent(1)), version="7", marker=rollout.routing.observed.marker
    )  # type: ignore[union-attr]
    at = rollout.clocks.now + seconds(5)

    decision = decide(rollout, Tick(at=at), RouterRead(at=at, served=lower))

    assert decision.rollout.progress.step == rollout.progress.step, (
        "it may not go on: the router serves something else"
    )
    assert [command.kind for command in decision.commands if isinstance(command, RunHook)] == []
    assert any(isinstance(command, Apply) for command in decision.commands)


# --------------------------------------------------------------------------------------- retirement


def to_be_removed(**changes: Any) -> World:
    """Promoted, and the fleet was told to remove the old version; it does not."""
    world = World(strategy=canary(retire_after=minutes(1), **changes)).until_phase(Phase.PROMOTED)
    world.retire_fails = True
    return world.until(lambda world: world.rollout.progress.retirement is Retirement.ASKED)


def test_an_abort_that_keeps_the_old_version_is_in_the_trail() -> None:
    world = World(strategy=canary(retire_after=hours(24))).until_phase(Phase.PROMOTED)
    world.tick()
    assert world.rollout.progress.waiting is not None
    abort = Abort(at=world.now, by="eve", why="we may go back")

    decision = decide(world.rollout, abort)

    assert decision.notes == (EventRecorded(at=decision.rollout.clocks.now, event=abort),)
    assert decision.rollout.progress.waiting is None
    assert decision.rollout.over


def test_a_fleet_that_does_not_remove_is_asked_again_at_its_instant() -> None:
    world = to_be_removed().until(
        lambda world: world.said("happened")[-1].event.kind == "command_failed"
    )
    rollout = world.rollout
    again = rollout.routing.retry_at
    assert again is not None

    def asked(at: datetime) -> bool:
        """While the router can't be read: a read that answers means a new tick, which asks
        anyway.
        """
        unread = CommandFailed(
            at=at, command="read", epoch=0, failure=Failure.TRANSIENT, why="timed out"
        )
        return any(
            isinstance(command, Retire) for command in decide(rollout, Tick(at=at), unread).commands
        )

    assert not asked(again - timedelta(milliseconds=1))
    assert asked(again)


def test_a_fleet_that_never_removes_is_given_up_at_its_instant() -> None:
    world = to_be_removed()
    rollout = world.rollout
    asked = rollout.clocks.now - rollout.clocks.stepped

    waiting = decide(rollout, Tick(at=asked + minutes(2)))
    assert [note.why for note in waiting.notes if isinstance(note, Escalated)] == [
        "the fleet has not removed stable (v1) for 2 min"
    ]

    last = decide(rollout, Tick(at=asked + hours(24) - timedelta(milliseconds=1))).rollout
    assert last.progress.retirement is Retirement.ASKED
    given_up = decide(last, Tick(at=asked + hours(24)))

    assert given_up.rollout.over
    assert given_up.rollout.progress.waiting is None
    assert given_up.notes == (
        Escalated(
            at=asked + hours(24),
            why="stable (v1) was not removed: for 1 d the fleet did not say that it was done",
        ),
    )


# ---------------------------------------------------------------------------------------- the clock


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


@rule("R8")
def test_too_much_before_it_was_ever_verified_is_drift_and_what_we_wrote_ourselves_is_not() -> None:
    world = in_the_first_bake()
    rollout = evolve(
        world.rollout,
        routing=evolve(
            world.rollout.routing,
            verified_since=None,
            observed=Served(traffic=Traffic(), version="3"),
        ),
    )
    at, high = rollout.clocks.now, Served(traffic=Traffic(candidate=percent(80)), version="4")

    read = decide(rollout, RouterRead(at=at, served=high))
    wrote = decide(
        rollout,
        RouterApplied(at=at, epoch=rollout.epoch, traffic=rollout.routing.desired, served=high),
    )

    assert [note.why for note in read.notes if isinstance(note, Drifted)] == [
        "asked for 5 % candidate, the router serves 80 % candidate"
    ]
    assert not any(isinstance(note, Drifted) for note in wrote.notes)


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


# ---------------------------------------------------------------------------------------- the table


@rule("R24")
def test_every_transition_of_the_table_is_taken_by_some_rollout_and_no_other_is() -> None:
    taken: set[tuple[Phase, Phase]] = set()

    def live(world: World) -> None:
        taken.update(
            (old, new)
            for old, new in zip(world.ghost.phases, world.ghost.phases[1:], strict=False)
            if old is not new
        )

    def held(world: World) -> World:
        world.say(words(world, "lunch", within=minutes(5)))
        return world

    def resumed(world: World) -> World:
        world.say(Resume(at=world.now, by="eve", why="back", cause="lunch"))
        return world

    promoted = World()
    live(promoted.until_phase(Phase.PROMOTED))
    live(World(bad=0.3).until_phase(Phase.ROLLED_BACK))
    live(resumed(held(World())).until_phase(Phase.PROGRESSING))
    live(resumed(held(in_the_first_bake())))
    live(held(in_the_first_bake()).until_phase(Phase.ROLLED_BACK))
    before = World()
    before.permanent = True
    live(before.until_phase(Phase.ROLLED_BACK))
    for world in (
        in_the_first_bake(),
        held(in_the_first_bake()),
    ):  # superseded: over without a write
        assert world.marker is not None
        world.marker = evolve(world.marker, generation=9)
        live(world.until_phase(Phase.ROLLED_BACK))
    unsure = World(unwritable=True).until(
        lambda world: world.rollout.routing.any_write_sent
    )  # and nobody knows whether it was written
    unsure.say(Abort(at=unsure.now, by="eve", why="not today"))
    unsure.heal()
    live(unsure.until_phase(Phase.ROLLED_BACK))

    assert taken == {(old, new) for old, following in TRANSITIONS.items() for new in following}
