"""The candidate after a way back: left and said, or removed once nobody can need it.

Brothers, tried here: every way to come back (evidence, a person, a takeover, a rollout that never
wrote), the words that keep it, a fleet that refuses, a stable that can't carry its traffic.
"""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from tests.support.moments import over
from tests.support.rules import rule
from tests.support.world import World, canary

from progressive import Abort, Hold, Phase, hours, minutes, percent, seconds
from progressive.model import Capacity, Marker
from progressive.model.traffic import Track
from progressive.rollout.phases import Retirement

FULL = Capacity(percent(100))


def bad(**changes: Any) -> World:
    """A version that is taken back by its evidence, with a fleet."""
    world = World(strategy=canary(**changes), able=dict.fromkeys(Track, FULL), bad=0.3)
    return world.until_phase(Phase.ROLLED_BACK)


def released(world: World) -> list[str]:
    return [str(note) for note in world.said("released")]


def test_by_default_it_is_left_and_a_note_says_that_it_may_go() -> None:
    world = bad()

    assert world.rollout.over
    assert world.retired == 0
    assert released(world) == ["candidate (v2) may be decommissioned"]


def test_nobody_hears_that_it_may_go_where_it_never_had_traffic_or_another_has_the_router() -> None:
    world = World(strategy=canary(), night=True)
    world.tick()
    world.tick(Abort(at=world.now, by="eve", why="wrong one"))
    assert world.phase is Phase.ROLLED_BACK
    assert released(world) == []

    world = World(strategy=canary(remove_candidate_after=seconds(0))).until_weight(5)
    world.marker = Marker(generation=9, owner="another")
    world.until(lambda world: world.rollout.over)
    assert world.phase is Phase.ROLLED_BACK
    assert released(world) == []


@pytest.mark.parametrize("by", ["evidence", "a person", "a hold that ends"])
def test_it_is_removed_when_its_time_has_come(by: str) -> None:
    strategy = canary(remove_candidate_after=minutes(10))
    world = World(strategy=strategy, able=dict.fromkeys(Track, FULL)).until_weight(5)
    if by == "evidence":
        world.bad = 0.3
    elif by == "a person":
        world.tick(Abort(at=world.now, by="eve", why="no"))
    else:
        world.say(Hold(at=world.now, by="eve", why="no", within=minutes(2)))
    world.until_phase(Phase.ROLLED_BACK)
    [back] = [note.at for note in world.said("entered") if note.phase == "rolled_back"]
    assert world.rollout.progress.retirement is Retirement.DUE
    assert world.retired == 0
    world.until(lambda world: world.rollout.over)

    assert minutes(10) <= world.now - back <= minutes(11)
    assert world.retired == 1
    assert world.rollout.progress.retirement is Retirement.DONE
    assert released(world) == ["candidate (v2) may be decommissioned"]


def test_an_abort_keeps_it() -> None:
    world = bad(remove_candidate_after=hours(1))
    world.say(Abort(at=world.now, by="eve", why="I want to look at it"))

    assert world.rollout.over
    assert world.retired == 0


def test_it_stays_while_the_router_leads_to_it_or_stable_can_t_carry_all() -> None:
    world = bad(remove_candidate_after=minutes(2))
    world.edit(5)
    over(world, minutes(20))
    assert world.retired == 0
    assert "the candidate can't be removed: the router does not serve stable alone" in str(
        world.said("escalated")[-1]
    )
    world.edit(0)
    assert world.able is not None
    world.able[Track.STABLE] = Capacity(percent(70), why="7 of 10")
    over(world, minutes(20))
    assert world.retired == 0
    world.able[Track.STABLE] = FULL
    world.until(lambda world: world.rollout.over)

    assert world.retired == 1


@rule("R30")
def test_a_fleet_that_never_removes_it_is_given_up() -> None:
    world = bad(remove_candidate_after=minutes(1), watch_every=minutes(40))
    world.retire_fails = True
    world.until(lambda world: world.rollout.over, ticks=20_000)

    assert "candidate (v2) was not removed" in world.said("escalated")[-1].why
    assert world.retired == 0


def test_another_rollout_that_has_the_router_since_keeps_it() -> None:
    world = bad(remove_candidate_after=minutes(5))
    assert world.marker is not None
    world.marker = attrs.evolve(world.marker, generation=7, owner="another")
    world.until(lambda world: world.rollout.over)

    assert world.retired == 0
    assert "another rollout" in world.said("escalated")[-1].why
