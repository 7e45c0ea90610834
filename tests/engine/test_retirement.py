"""The old version after a promotion: removed, kept, or given up."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from tests.support.rules import rule
from tests.support.world import World, canary

from progressive import Abort, Phase, Tick, decide, hours, minutes
from progressive.errors import Failure
from progressive.rollout.commands import Retire
from progressive.rollout.events import CommandFailed
from progressive.rollout.notes import Escalated, EventRecorded
from progressive.rollout.phases import Retirement


def test_an_abort_keeps_an_old_version_that_is_due_to_be_removed() -> None:
    world = World(strategy=canary(retire_after=hours(24))).until_phase(Phase.PROMOTED)
    world.say(Abort(at=world.now, by="eve", why="we may go back"))

    assert world.rollout.over
    assert world.retired == 0


@rule("R30")
def test_a_fleet_that_never_removes_calls_a_person_and_is_given_up() -> None:
    world = World(strategy=canary(retire_after=minutes(1), watch_every=minutes(40)))
    world.until_phase(Phase.PROMOTED)
    world.retire_fails = True
    world.until(lambda w: w.rollout.over, ticks=20_000)

    assert "the fleet did not say that it was done" in world.said("escalated")[-1].why


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
    world = to_be_removed(watch_every=hours(60))
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


def test_the_old_version_is_removed_after_its_time_and_only_while_the_new_one_serves_alone() -> (
    None
):
    world = World(strategy=canary(retire_after=minutes(30))).until_phase(Phase.PROMOTED)
    promoted = world.now
    world.until(lambda w: w.now - promoted > minutes(20))
    assert world.retired == 0
    world.edit(0)
    world.until(lambda w: w.now - promoted > minutes(50))
    assert world.retired == 0
    assert "can't be removed" in world.said("escalated")[-1].why
    world.edit(100)
    world.until(lambda w: w.rollout.over)

    assert world.retired == 1
    refused = decide(world.rollout, Abort(at=world.now, by="eve", why="oh no")).notes[0]
    assert "nothing to go back to" in str(refused)


def test_an_old_version_that_can_t_be_removed_is_kept_in_the_end() -> None:
    world = World(strategy=canary(retire_after=minutes(1), watch_every=minutes(40))).until_phase(
        Phase.PROMOTED
    )
    world.edit(0)
    world.until(lambda w: w.rollout.over, ticks=2_000)

    assert world.retired == 0
    assert "was not removed" in world.said("escalated")[-1].why
