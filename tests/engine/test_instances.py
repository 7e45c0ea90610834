"""What the fleet says of the candidate counts to the end: nothing is promoted, previewed or removed
while it can't carry what it serves.

Brothers, tried here: a canary at each weight and a blue-green; the last bake and the retirement;
hooks and checks of a preview; a fleet that is down at that moment.
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.rules import rule
from tests.support.world import ERRORS, World, canary

from progressive import (
    BlueGreen,
    Canary,
    Go,
    Limit,
    Phase,
    Traffic,
    hours,
    minutes,
    percent,
    percents,
    seconds,
)
from progressive.model import Capacity
from progressive.model.traffic import Track
from progressive.rollout.phases import Retirement

ALL = Capacity(percent(100))


def with_fleet(**changes: Any) -> World:
    world = World(**changes)
    world.able = dict.fromkeys(Track, ALL)
    return world


UNGUARDED = Canary(weights=percents(10, 100), bake=minutes(5), unguarded="instances are tried")
STRATEGIES = [
    canary(bake=minutes(5)),
    UNGUARDED,
    BlueGreen(bake=minutes(5), unguarded="instances are tried"),
]


@rule("R6", "R23")
@pytest.mark.parametrize("strategy", STRATEGIES, ids=["canary", "unguarded", "blue-green"])
@pytest.mark.parametrize("able", [0, 40])
def test_nothing_is_promoted_while_the_candidate_can_not_carry_what_it_serves(
    strategy: Any, able: float
) -> None:
    world = with_fleet(strategy=strategy).until_weight(100)
    assert world.able is not None
    world.able[Track.CANDIDATE] = Capacity(percent(able))
    for _ in range(60):
        world.advance(seconds(30))
        world.tick()
        assert world.phase is not Phase.PROMOTED
    world.able[Track.CANDIDATE] = ALL

    assert world.until_phase(Phase.PROMOTED)


@rule("R6")
def test_a_candidate_that_stays_away_at_the_end_is_taken_back() -> None:
    world = with_fleet(strategy=UNGUARDED).until_weight(100)
    assert world.able is not None
    world.able[Track.CANDIDATE] = Capacity(percent(0))

    world.until_phase(Phase.ROLLED_BACK)

    assert "to be ready" in world.rollout.progress.reason
    assert world.traffic == Traffic()


@rule("R6")
@pytest.mark.parametrize("trouble", ["lost", "fleet down"])
def test_the_old_version_stays_while_the_new_one_can_not_carry_everything(trouble: str) -> None:
    world = with_fleet(strategy=canary(retire_after=minutes(30))).until_phase(Phase.PROMOTED)
    assert world.able is not None
    if trouble == "lost":
        world.able[Track.CANDIDATE] = Capacity(percent(0))
    else:
        world.fleet_down = True
    for _ in range(20):
        world.advance(minutes(5))
        world.tick()
    assert world.retired == 0
    assert "before stable (v1) is removed" in str(world.rollout.progress.waiting)
    world.heal()
    world.until(lambda world: world.rollout.over)

    assert world.retired == 1
    assert world.rollout.progress.retirement is Retirement.DONE


@rule("R6")
def test_the_old_version_is_kept_for_good_after_a_day_of_that() -> None:
    world = with_fleet(strategy=canary(retire_after=minutes(30))).until_phase(Phase.PROMOTED)
    assert world.able is not None
    world.able[Track.CANDIDATE] = Capacity(percent(0))
    world.until(lambda world: world.rollout.over, ticks=4_000)

    assert world.retired == 0
    assert world.now > world.rollout.clocks.created + hours(24)


def test_a_preview_without_a_hook_waits_too() -> None:
    strategy = BlueGreen(
        preview_checks=[Limit(ERRORS, at_most=percent(1), min_sample=5)],
        unguarded="its preview is what is tried",
        pause=minutes(1),
        bake=minutes(2),
    )
    world = with_fleet(strategy=strategy, bad=1.0)
    assert world.able is not None
    world.able[Track.CANDIDATE] = Capacity(percent(0))
    for _ in range(6):
        world.tick()
        world.advance(seconds(20))
    assert world.phase is Phase.PROGRESSING
    assert not world.said("judged")

    world.able[Track.CANDIDATE], world.bad = ALL, 0.0
    assert world.until_phase(Phase.PROMOTED)


def test_a_preview_waits_until_an_instance_is_ready() -> None:
    asked: list[str] = []

    def smoke(key: str) -> Go:
        asked.append(key)
        return Go()

    strategy = BlueGreen(
        preview_hook="smoke",
        preview_checks=[Limit(ERRORS, at_most=percent(1), min_sample=5)],
        unguarded="its preview is what is tried",
        pause=minutes(1),
        bake=minutes(2),
    )
    world = with_fleet(strategy=strategy, hook=smoke, bad=1.0)
    assert world.able is not None
    world.able[Track.CANDIDATE] = Capacity(percent(0))
    for _ in range(6):
        world.tick()
        world.advance(seconds(20))
    assert asked == []
    assert world.phase is Phase.PROGRESSING
    assert "to have an instance ready" in str(world.rollout.progress.waiting)

    world.able[Track.CANDIDATE], world.bad = ALL, 0.0
    assert world.until_phase(Phase.PROMOTED)
    assert asked
