"""What is looked at, and what is left unjudged."""

from __future__ import annotations

from tests.support.moments import over
from tests.support.rules import rule
from tests.support.world import World

from progressive import minutes, seconds


@rule("R18")
def test_what_a_clock_that_steps_back_leaves_unjudged_is_noted() -> None:
    world = World().until_weight(5)
    over(world, seconds(45))
    world.now -= minutes(2)
    world.tick()

    assert any("stepped back" in note.why for note in world.said("unjudged"))
