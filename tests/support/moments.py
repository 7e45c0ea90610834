"""Rollouts brought to a moment, and the words and steps that most of them have."""

from __future__ import annotations

from typing import Any

from tests.support.world import World, canary

from progressive import Hold, decide, minutes, percent
from progressive.plan.step import Step
from progressive.steps import Bake, SetWeight


def over(world: World, long: object) -> World:
    began = world.now
    return world.until(lambda w: w.now - began > long, ticks=20_000)  # type: ignore[operator]


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


def refused(world: World, event: Any) -> str:
    """What the trail says of an event that changes nothing of where it stands."""
    decision = decide(world.rollout, event)
    assert (decision.rollout.progress, decision.rollout.routing.desired) == (
        world.rollout.progress,
        world.rollout.routing.desired,
    )
    assert decision.notes[0].kind == "refused"
    return str(decision.notes[0])
