"""When the router is written to, with which marker, and what becomes of a write."""

from __future__ import annotations

import itertools

import pytest
from tests.support.rules import rule
from tests.support.world import World, canary

from progressive import (
    Abort,
    ClosedUntil,
    Phase,
    Traffic,
    decide,
    minutes,
    percent,
    percents,
    seconds,
)
from progressive.errors import ConflictError, Failure
from progressive.model.router_state import Marker, Served
from progressive.rollout.commands import Apply
from progressive.rollout.events import CommandFailed, RouterApplied, Tick


@rule("R5")
def test_a_write_without_an_answer_is_read_before_it_is_repeated() -> None:
    world = World().until_weight(5)
    world.lose_reply = True
    world.until_weight(50)

    assert [traffic.candidate for _, traffic in world.writes] == list(percents(0, 5, 50))


@rule("R5")
def test_a_lagging_router_is_not_written_twice_in_one_retry_time() -> None:
    world = World(lag=seconds(9)).until_phase(Phase.PROMOTED)

    assert [traffic.candidate for _, traffic in world.writes] == list(percents(0, 5, 50, 100))


@rule("R5")
def test_a_router_that_never_obeys_is_asked_again_and_given_up_at_the_step_s_deadline() -> None:
    world = World().until_weight(5)
    world.lag = minutes(600)
    world.until_phase(Phase.ROLLING_BACK, ticks=2_000)

    assert "weight-50 took longer than 10 min" in world.rollout.progress.reason
    assert len([1 for _, traffic in world.writes if traffic.candidate == percent(50)]) > 10


@rule("R23")
def test_an_abort_writes_even_where_0_percent_is_read_already() -> None:
    world = World().until_next_tick_raises()
    slow = world.moves()
    for move in slow:
        if getattr(move, "commands", ()) and move.commands[-1].kind == "apply":
            break
    world.edit(0)
    world.say(Abort(at=world.now, by="eve", why="now"))
    before = len(world.writes)
    world.until_phase(Phase.ROLLED_BACK)
    with pytest.raises(ConflictError):
        for _ in slow:
            pass

    assert len(world.writes) > before
    assert world.candidate == percent(0)


@rule("R11", "R23")
def test_a_rollback_is_retried_for_ever_with_backoff_and_calls_a_person() -> None:
    world = World().until_weight(50)
    world.unwritable = world.unreadable = True
    world.say(Abort(at=world.now, by="eve", why="now"))
    began = world.now
    world.until(lambda world: world.now - began > minutes(60), ticks=5_000)

    assert world.phase is Phase.ROLLING_BACK
    called = [note.at - began for note in world.said("escalated")]
    assert minutes(1) < called[0] <= minutes(2)
    assert all(
        minutes(15) <= later - earlier <= minutes(16)
        for earlier, later in itertools.pairwise(called)
    )
    assert world.said("escalated")[0].undo == "undo by hand"
    world.heal()
    world.until_phase(Phase.ROLLED_BACK)
    assert world.candidate == percent(0)


def test_a_late_reply_to_an_older_write_counts_as_nothing() -> None:

    world = World().until_weight(5)
    late = RouterApplied(at=world.now, epoch=1, traffic=Traffic(), served=Served(traffic=Traffic()))
    decision = decide(world.rollout, late)

    assert decision.rollout.routing.verified_since == world.rollout.routing.verified_since
    assert decision.notes[0].kind == "refused"


@rule("R5", "R23")
def test_a_router_that_never_answers_a_write_is_believed_when_it_shows_our_marker() -> None:
    world = World(lose_reply=True)
    world.until_phase(Phase.PROMOTED)
    world = World(lose_reply=True, bad=0.5)
    world.until_phase(Phase.ROLLED_BACK)

    assert len(world.writes) == 3


@rule("R5")
def test_without_a_marker_a_write_is_repeated_with_backoff_until_it_is_answered() -> None:
    world = World(carries_marker=False).until_weight(5)
    world.lose_reply = True
    world.say(Abort(at=world.now, by="eve", why="now"))
    began = world.now
    world.until(lambda w: w.now - began > minutes(10), ticks=2_000)
    assert world.phase is Phase.ROLLING_BACK
    assert len(world.writes) < 25
    world.heal()
    world.until_phase(Phase.ROLLED_BACK)


def test_what_only_lowers_is_not_refused_by_our_own_marker() -> None:
    world = World().until_weight(5)
    assert world.marker is not None
    world.marker = Marker(generation=world.marker.generation, serial=5_000)
    world.edit(100)
    world.until(lambda w: w.candidate <= percent(5), ticks=20)


def test_a_raise_that_a_crash_left_over_asks_the_gate_again() -> None:
    world = World(strategy=canary(gates=["freeze"])).until_next_tick_raises()
    for move in world.moves():
        if any(isinstance(command, Apply) for command in getattr(move, "commands", ())):
            break
    assert world.rollout.routing.desired.candidate == percent(50)
    shut = world.now + minutes(1) + seconds(20)
    world.gate = lambda now: ClosedUntil(shut, "night")
    world.advance(minutes(1))
    world.tick()

    assert world.candidate == percent(5)
    assert world.rollout.wake_at == shut, "nobody polls the router behind a closed gate"
    assert decide(world.rollout, Tick(at=shut)).wake_at == shut, (
        "at its instant the gate is asked again, at once"
    )


def test_a_write_of_an_older_epoch_that_failed_changes_nothing() -> None:
    world = World().until_weight(5)
    late = CommandFailed(
        at=world.now, command="apply", epoch=1, failure=Failure.PERMANENT, why="403"
    )
    decision = decide(world.rollout, late)

    assert decision.rollout.phase is Phase.PROGRESSING
    assert decision.rollout.routing == world.rollout.routing
