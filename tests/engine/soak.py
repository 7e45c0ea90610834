"""One seeded run through the world of faults: random events under a random subset of fault classes, then healing, then an end."""

from __future__ import annotations

import random
from datetime import timedelta

from world import ERRORS, World, canary

from progressive import (
    Abort,
    Action,
    Approve,
    BlueGreen,
    Capacity,
    ClosedUntil,
    Go,
    Hold,
    Limit,
    NotYet,
    Open,
    Phase,
    PromoteNow,
    Resume,
    Skip,
    Track,
    hours,
    minutes,
    percent,
    seconds,
)
from progressive.errors import ConflictError
from progressive.steps import Approval

FAULTS = (
    "unreadable", "unwritable", "lose_reply", "silent", "idle", "night", "store_down", "duplicate", "lag", "kill", "pause",
    "clock_back", "clock_forward", "edit", "edit_and_revert", "forget", "abort", "hold", "skip", "promote_now", "bad", "stable_bad",
    "rollback_now", "no_compare", "late", "shuffle",
)  # fmt: skip


STRATEGIES = (
    canary(),
    canary(gates=["freeze"], warmup=seconds(20), retire_after=minutes(30)),
    BlueGreen(
        preview_hook="smoke",
        approval=Approval("go", within=hours(4), otherwise=Action.ROLL_BACK),
        bake=minutes(3),
        checks=[Limit(ERRORS, at_most=percent(2))],
        gates=["freeze"],
        retire_after=minutes(1),
    ),
)
"""With and without everything that waits for somebody."""


def run(seed: int, steps: int = 60) -> World:
    """The run of one seed. Raises `Broken` (or AssertionError) where a promise does not hold."""
    rng = random.Random(seed)
    enabled = {fault for fault in FAULTS if rng.random() < 0.3}
    world = World(strategy=STRATEGIES[seed % len(STRATEGIES)])
    world.hook = lambda key: Go() if rng.random() < 0.5 else NotYet(world.now + seconds(20), "still warming up")
    world.gate = lambda now: Open() if rng.random() < 0.5 else ClosedUntil(now + minutes(7), "lunch")
    if "shuffle" in enabled:
        world.shuffle = random.Random(seed + 1)
    if "no_compare" in enabled:
        world.compare_and_set = False
    # Dice of its own, so that the runs without a fleet stay the same.
    fleet = random.Random(seed + 2) if seed % 4 == 3 else None
    if fleet is not None:
        world.able = dict.fromkeys(Track, Capacity(percent(100)))
    paused = []
    for _ in range(steps):
        if fleet is not None:
            _instances(fleet, world)
        _one_fault(rng, enabled, world)
        _one_word(rng, enabled, world)
        if "pause" in enabled and rng.random() < 0.1:
            moves = world.moves()
            for _ in range(rng.randrange(1, 5)):
                if next(moves, None) is None:
                    break
            else:
                paused.append(moves)
        elif paused and rng.random() < 0.2:
            try:
                for _ in paused.pop(rng.randrange(len(paused))):
                    pass
            except ConflictError:
                pass
        kill = rng.randrange(6) if "kill" in enabled and rng.random() < 0.2 else None
        world.tick(kill_before=kill)
        rollout = world.rollout
        if rollout.wake_at is None:
            break
        slack = timedelta(seconds=rng.choice((0, 0, 0, 1, 200))) if "late" in enabled else timedelta()
        world.now = max(world.now + timedelta(milliseconds=1), rollout.wake_at + slack)
    return ended(world)


def ended(world: World) -> World:
    """Every fault ends, people say what they are asked for, and then the rollout must come to an end."""
    world.heal()
    while world.phase is Phase.HELD:
        cause = world.rollout.progress.causes[0].name
        before = world.rollout.progress.causes
        world.say(Resume(at=world.now, cause=cause, by="eve", why="healed"))
        if world.rollout.progress.causes == before:
            world.say(Abort(at=world.now, by="eve", why="proven harm"))
    world.say(Approve(at=world.now, approval="go", by="eve", why="healed"))
    world.until_phase(Phase.PROMOTED, Phase.ROLLED_BACK, ticks=1_500)
    if world.phase is Phase.PROMOTED:
        world.edit(100)
    world.until(lambda world: world.rollout.over)
    final = world.rollout
    assert final.wake_at is None and final.over
    if final.phase is Phase.ROLLED_BACK and "superseded" not in final.progress.reason and final.routing.touched:
        assert not world.candidate.ppm, f"rolled back, and the candidate still has {world.candidate}"
    return world


def _instances(rng: random.Random, world: World) -> None:
    """Instances come and go, run something else, or nobody knows."""
    assert world.able is not None
    if rng.random() < 0.1:
        world.fleet_down = not world.fleet_down
    if rng.random() < 0.3:
        identity = rng.choice((None, None, None, "v2", "v7"))
        world.able[Track.CANDIDATE] = Capacity(percent(rng.choice((0, 1, 5, 30, 100, 100))), identity=identity)
        world.able[Track.STABLE] = Capacity(percent(rng.choice((0, 20, 60, 99.5, 100, 100))))


def _one_fault(rng: random.Random, enabled: set[str], world: World) -> None:
    for name in ("unreadable", "unwritable", "lose_reply", "silent", "idle", "night", "store_down", "duplicate"):
        if name in enabled and rng.random() < 0.15:
            setattr(world, name, not getattr(world, name))
    if "lag" in enabled and rng.random() < 0.1:
        world.lag = rng.choice((timedelta(), seconds(1), seconds(5), seconds(30)))
    if "bad" in enabled and rng.random() < 0.05:
        world.bad = 0.2
    if "stable_bad" in enabled and rng.random() < 0.05:
        world.stable_bad = world.bad = 0.2
    if rng.random() > 0.15:
        return
    if "clock_back" in enabled:
        world.now -= rng.choice((seconds(45), minutes(60)))
    if "clock_forward" in enabled and rng.random() < 0.5:
        world.now += rng.choice((seconds(45), minutes(60)))
    if "edit" in enabled:
        world.edit(rng.choice((0, 1, 5, 50, 100)))
    if "edit_and_revert" in enabled:
        before = world.candidate
        world.edit(100)
        world.edit(float(before.number))
    if "forget" in enabled:
        world.edit(0)
        world.marker = None
        # With its marker gone, a take-back by hand that nobody had seen yet is gone too.
        world.aborted = world.rollout.phase in (Phase.ROLLING_BACK, Phase.ROLLED_BACK)
    if "rollback_now" in enabled and rng.random() < 0.3 and world.rollout.routing.claimed:
        world.rollback_now()


def _one_word(rng: random.Random, enabled: set[str], world: World) -> None:
    if world.store_down or rng.random() > 0.2:
        return
    rollout, at = world.rollout, world.now
    if "hold" in enabled:
        if rollout.phase is Phase.HELD and rng.random() < 0.7:
            world.say(Resume(at=at, cause=rollout.progress.causes[0].name, by="eve", why="go on"))
        elif rng.random() < 0.3:
            world.say(Hold(at=at, by="eve", why="lunch"))
    if "skip" in enabled and rng.random() < 0.3:
        world.say(Skip(at=at, epoch=rollout.epoch, by="eve", why="in a hurry"))
    if "promote_now" in enabled and rng.random() < 0.1:
        world.say(PromoteNow(at=at, by="eve", why="in a hurry"))
    if "abort" in enabled and rng.random() < 0.2:
        world.say(Abort(at=at, by="eve", why="enough"))
    world.say(Approve(at=at, approval=rng.choice(("nothing", "go")), by="eve", why="looks good"))
