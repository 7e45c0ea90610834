"""From phase to phase: which transitions there are."""

from __future__ import annotations

import attrs
import pytest
from tests.support.moments import in_the_first_bake, words
from tests.support.rules import rule
from tests.support.world import World

from progressive import Abort, Phase, Resume, minutes
from progressive.engine.draft import Draft
from progressive.engine.transitions import roll_back
from progressive.model.replace import evolve
from progressive.rollout.phases import TRANSITIONS


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


@pytest.mark.parametrize("phase", [Phase.ROLLING_BACK, Phase.ROLLED_BACK, Phase.PROMOTED])
def test_what_goes_back_or_is_over_does_not_turn_round_again(phase: Phase) -> None:
    rollout = World().until_weight(5).rollout
    there = attrs.evolve(rollout, progress=attrs.evolve(rollout.progress, phase=phase))
    turn = Draft(there, there.clocks.now)
    roll_back(turn, "once more")

    assert turn.progress is there.progress
    assert turn.notes == []
