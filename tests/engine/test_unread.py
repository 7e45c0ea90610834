"""While the router can't be read, the candidate is judged all the same: a failure counts, a pass
does not, and the first write of a way back is not made to wait.
"""

from __future__ import annotations

import attrs
import pytest
from tests.support.rules import rule
from tests.support.world import World, canary

from progressive import (
    Abort,
    Hold,
    Phase,
    PromoteNow,
    Resume,
    Served,
    Tick,
    Traffic,
    decide,
    minutes,
    seconds,
)
from progressive.errors import Failure
from progressive.rollout import Event
from progressive.rollout.commands import Apply
from progressive.rollout.events import CommandFailed


@rule("R11", "R17")
@pytest.mark.parametrize("weight", [5, 50])
def test_harm_is_seen_while_the_router_can_not_be_read(weight: float) -> None:
    world = World(strategy=canary(bake=minutes(20))).until_weight(weight)
    world.unreadable = True
    world.bad = 0.5
    began = world.now
    world.until_phase(Phase.ROLLING_BACK, Phase.ROLLED_BACK)

    assert world.now - began < minutes(2)
    assert world.traffic == Traffic(), "what lowers waits for no read"


@rule("R15")
def test_what_passes_meanwhile_raises_nothing_and_is_no_pass_at_this_weight() -> None:
    world = World(strategy=canary(bake=minutes(2))).until_weight(5)
    world.until(lambda world: world.rollout.progress.step == 1)
    passes = [state.passes for state in world.rollout.evidence.check_states]
    world.unreadable = True
    for _ in range(8):
        world.advance(seconds(30))
        world.tick()

    assert world.candidate.number == 5
    assert [state.passes for state in world.rollout.evidence.check_states] == passes
    world.unreadable = False
    assert world.until_phase(Phase.PROMOTED)


@rule("R11")
def test_the_first_write_of_a_way_back_that_never_came_back_is_sent_again_at_once() -> None:
    lost = []

    class Loses(World):
        def _apply(self, command: Apply) -> Event:
            if command.traffic == Traffic() and self.rollout.routing.ownership_confirmed:
                lost.append(command)
            if len(lost) != 1:
                return super()._apply(command)
            why, epoch = "no answer within 30 s", command.epoch
            return CommandFailed(
                at=self.now, command="apply", epoch=epoch, failure=Failure.UNKNOWN, why=why
            )

    world = Loses().until_weight(50)
    world.say(Abort(at=world.now, by="eve", why="enough"))
    world.tick()

    assert len(lost) == 2
    assert world.phase is Phase.ROLLED_BACK
    assert world.traffic == Traffic()


@rule("R11", "R17")
@pytest.mark.parametrize("held", [False, True], ids=["write fails", "held"])
def test_harm_is_seen_while_it_is_not_known_what_is_served(held: bool) -> None:
    """A raise that can't be written for long, or a hold for a router that does not settle."""

    class Unsettled(World):
        def served(self) -> Served:
            found = super().served()
            return attrs.evolve(found, converged=not self.lose_reply)

    world = Unsettled(strategy=canary(bake=minutes(20))).until_weight(50)
    if held:
        world.say(Hold(at=world.now, by="eve", why="lunch"))
    world.lose_reply = True  # and it does not settle any more
    world.advance(seconds(20))
    world.tick()
    assert world.rollout.routing.verified_since is None
    world.bad = 0.5
    began = world.now
    world.until(lambda world: world.phase in (Phase.ROLLING_BACK, Phase.ROLLED_BACK), ticks=300)

    assert world.now - began < minutes(3)
    assert world.traffic == Traffic()


@rule("R15")
def test_what_passes_in_such_a_time_is_no_pass_and_its_windows_end_with_it() -> None:
    class Unsettled(World):
        def served(self) -> Served:
            return attrs.evolve(super().served(), converged=not self.permanent)

    world = Unsettled(strategy=canary(bake=minutes(3))).until_weight(5)
    world.until(lambda world: world.rollout.progress.step == 1)
    passes = [state.passes for state in world.rollout.evidence.check_states]
    world.permanent = True
    for _ in range(8):
        world.advance(seconds(30))
        world.tick()
    assert [state.passes for state in world.rollout.evidence.check_states] == passes
    world.permanent = False
    for cause in world.rollout.progress.causes:
        world.say(Resume(at=world.now, cause=cause.name, by="eve", why="it settles again"))

    assert world.until_phase(Phase.PROMOTED)


def test_a_decision_that_asks_for_other_traffic_unseen_is_whole() -> None:
    """At the same instant a second tick finds nothing left to do."""
    world = World(strategy=canary(bake=minutes(20), warmup=seconds(20))).until_weight(5)
    world.unreadable = True
    for _ in range(5):
        world.advance(seconds(30))
        world.tick()
    world.say(PromoteNow(at=world.now, by="eve", why="it is fine"))

    again = decide(world.rollout, Tick(at=world.rollout.clocks.now))
    assert again.notes == ()
    assert again.rollout.progress == world.rollout.progress
