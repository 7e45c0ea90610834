"""Soak a strategy: drive thousands of random rollouts through a world of faults, which then heals,
and require that each rollout ends.

A seed and the arguments are the whole reproducer. With all faults each seed enables a random third
of them: with all of them at once most rollouts would end early. Of faults that were named each seed
has all.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Any, Final

import attrs

from progressive.errors import ConflictError, StrategyError
from progressive.model import fields
from progressive.model.actions import ClosedUntil, Go, NotYet, Open
from progressive.model.capacity import Capacity
from progressive.model.traffic import ALL_STABLE, Track
from progressive.model.units import hours, minutes, percent, seconds
from progressive.plan.plan import Strategy
from progressive.plan.step import Kinds
from progressive.rollout.events import Abort, Approve, Hold, PromoteNow, Resume, Skip
from progressive.rollout.notes import Note
from progressive.rollout.phases import Phase

from .fault_world import FaultWorld

__all__ = ["FAULTS", "Failing", "Soaked", "ended", "soak", "soak_one"]

FAULTS: Final = (
    "unreadable",
    "unwritable",
    "lose_reply",
    "silent",
    "idle",
    "night",
    "store_down",
    "duplicate",
    "lag",
    "kill",
    "pause",
    "clock_back",
    "clock_forward",
    "edit",
    "edit_and_revert",
    "forget",
    "abort",
    "hold",
    "skip",
    "promote_now",
    "bad",
    "stable_bad",
    "rollback_now",
    "no_compare",
    "late",
    "shuffle",
    "rival",
    "two_clocks",
)
"""The names of all faults, in the order in which they are drawn.

Most are switches of `FaultWorld`; ``kill`` and ``pause`` stop a driver anywhere, ``late`` lets it
come late, ``two_clocks`` lets two drivers come in turn, of which one is ahead.
"""

SWITCHES: Final = FAULTS[:8]
"""The faults that are boolean fields of `FaultWorld`."""

STEPS: Final = 60

BY: Final[dict[str, Any]] = {"by": "eve", "why": "a soak"}


@attrs.frozen
class Failing:
    """A seed in which a promise did not hold, or something raised.

    ``why`` is the first line of the error, ``notes`` are the last ones. `soak_one` raises the error
    itself.
    """

    seed: int
    why: str
    notes: tuple[Note, ...] = attrs.field(repr=False)


@attrs.frozen(kw_only=True, repr=False)
class Soaked:
    """The result of a soak.

    * ``events``: how many were decided.
    * ``ended``: how many rollouts ended in each phase.
    * ``failing``: the seeds in which a promise did not hold.
    * ``arguments``: those that were not the defaults, for a call that repeats a seed.
    """

    strategy: str
    seeds: int
    events: int
    ended: tuple[tuple[Phase, int], ...]
    failing: tuple[Failing, ...]
    arguments: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every promise held in every seed."""
        return not self.failing

    def __repr__(self) -> str:
        ended = (
            ", ".join(f"{count:,} {phase.value}" for phase, count in self.ended)
            or "none to its end"
        )
        head = f"{self.strategy}: {self.seeds:,} seeds, {self.events:,} events; {ended}"
        also = "".join(f", {argument}" for argument in self.arguments)
        failing = [
            f"seed {each.seed}: {each.why}\n  once more: soak(strategy, seeds=[{each.seed}]{also})"
            for each in self.failing
        ]
        if not failing:
            return f"<Soaked: {head}>"
        return "\n".join([f"<Soaked: {head}; a promise did not hold:", *failing, ">"])


def soak(
    strategy: Strategy,
    *,
    seeds: Iterable[int] = range(100),
    steps: int = STEPS,
    faults: Iterable[str] = FAULTS,
    kinds: Kinds | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Soaked:
    """Drive ``strategy`` through a world of faults, once for each seed, and check the promises at
    every write and every save.

    After at most ``steps`` ticks with faults everything heals, persons answer, and the rollout must
    end, with the router serving it.

    * ``faults``: names of ``progressive.testing.faults.soaking.FAULTS``, in any order. With all of
      them, the default, each seed has about a third; with some, as ``["bad", "late"]``, each seed
      has all of these; with none, ``()``, only hooks, gates and instances make it wait.
    * ``kinds``: your own kinds of steps and checks.
    * ``progress``: called as ``progress(seeds, events)`` after each seed.

    A broken promise, or an error of a step, a check or the engine, is not raised: use
    ``assert soak(...).ok``. Raises `StrategyError` for unknown faults, for a seed that is no whole
    number, and for a step or check whose kind is not in ``kinds``.
    """
    named = _named(faults, "soak(faults)")
    done = events = 0
    ends: Counter[Phase] = Counter()
    failing: list[Failing] = []
    for seed in _checked_seeds(seeds):
        world = _world(strategy, seed, kinds)
        try:
            _run(world, seed, steps, named)
            ends[world.phase] += 1
        except Exception as error:
            failing.append(Failing(seed, _why(error), tuple(world.notes[-25:])))
        done, events = done + 1, events + world.events
        if progress is not None:
            progress(done, events)
    return Soaked(
        strategy=strategy.plan.strategy,
        seeds=done,
        events=events,
        ended=tuple(sorted(ends.items())),
        failing=tuple(failing),
        arguments=tuple(_arguments(steps, named, kinds)),
    )


def soak_one(
    strategy: Strategy,
    seed: int,
    *,
    steps: int = STEPS,
    faults: Iterable[str] = FAULTS,
    kinds: Kinds | None = None,
) -> FaultWorld:
    """Soak one seed, and return its world after it.

    Raises `AssertionError` (mostly `PromiseBroken`) if a promise does not hold.
    """
    named = _named(faults, "soak_one(faults)")
    world = _world(strategy, seed, kinds)
    _run(world, seed, steps, named)
    return world


def _named(faults: Iterable[str], what: str) -> tuple[str, ...]:
    """Return the faults in the order of `FAULTS`: the draws must not depend on the order given."""
    there = f"there are {', '.join(FAULTS)}"
    if isinstance(faults, str) or not isinstance(faults, Iterable):
        hint = f"faults=[{faults!r}]" if faults in FAULTS else 'faults=["bad", "late"]'
        raise StrategyError(
            f"{what}: {fields.brief(faults)} is no list of names; use {hint}; {there}"
        )
    asked = list(faults)
    for name in asked:
        if name not in FAULTS:
            raise StrategyError(f"{what}: {fields.brief(name)} is no fault; {there}")
    return tuple(name for name in FAULTS if name in asked)


def _checked_seeds(seeds: Any) -> Iterator[int]:
    """Yield the seeds, each checked when its turn comes: they may be endless."""
    if isinstance(seeds, str) or not isinstance(seeds, Iterable):
        count = seeds if type(seeds) is int and seeds > 0 else 100
        raise StrategyError(
            f"soak(seeds): {fields.brief(seeds)} is no list of seeds; use seeds=range({count})"
        )
    for n, seed in enumerate(seeds):
        if type(seed) is not int:
            raise StrategyError(
                f"soak(seeds)[{n}]: {fields.brief(seed)} is not a whole number; use "
                "seeds=range(100), or seeds=[7] for one"
            )
        yield seed


def _why(error: Exception) -> str:
    """Return the first line of an error, after its class's name unless it is a broken promise."""
    why = str(error).partition("\n")[0]
    if isinstance(error, AssertionError) and why:
        return why
    return f"{type(error).__name__}: {why}" if why else type(error).__name__


def _arguments(steps: int, faults: tuple[str, ...], kinds: Kinds | None) -> Iterator[str]:
    if steps != STEPS:
        yield f"steps={steps}"
    if faults != FAULTS:
        yield f"faults={list(faults)}"
    if kinds is not None:
        yield "kinds=kinds"


def _world(strategy: Strategy, seed: int, kinds: Kinds | None) -> FaultWorld:
    world = FaultWorld(strategy, kinds=kinds or Kinds())
    # The fleet has a generator of its own, so that it changes nothing in seeds without one.
    plan = strategy.plan
    if seed % 4 == 3 or (plan.retire_after or plan.remove_candidate_after) is not None:
        world.able = dict.fromkeys(Track, Capacity(percent(100)))
    return world


def _run(world: FaultWorld, seed: int, steps: int, faults: tuple[str, ...]) -> None:
    rng = random.Random(seed)  # noqa: S311 - nothing is secret here
    # Drawn for every name: later draws must not depend on how many were asked for.
    drawn = {fault for fault in FAULTS[:-2] if rng.random() < 0.3}
    # These have generators of their own, so that they change nothing in seeds without them.
    rival, clocks = random.Random(seed + 3), random.Random(seed + 4)  # noqa: S311
    if rival.random() < 0.1:
        drawn.add("rival")
    if clocks.random() < 0.1:
        drawn.add("two_clocks")
    ahead = seconds(clocks.choice((1, 45, 120, 300, 3_600)))
    enabled = drawn if faults == FAULTS else set(faults)
    world.hook = lambda key: (
        Go() if rng.random() < 0.5 else NotYet(world.now + seconds(20), "still warming up")
    )
    world.gate = lambda now: (
        Open() if rng.random() < 0.5 else ClosedUntil(now + minutes(7), "lunch")
    )
    if "shuffle" in enabled:
        world.shuffle = random.Random(seed + 1)  # noqa: S311
    world.compare_and_set = "no_compare" not in enabled
    fleet = random.Random(seed + 2) if seed % 4 == 3 else None  # noqa: S311
    paused: list[Any] = []
    for _ in range(steps):
        if fleet is not None:
            _instances(fleet, world)
        _one_fault(rng, enabled, world)
        if "rival" in enabled and rival.random() < 0.05 and world.served().shows(ALL_STABLE):
            world.claim_by_another()
        if "two_clocks" in enabled and clocks.random() < 0.5:
            world.now, ahead = world.now + ahead, -ahead
        _person_events(rng, enabled, world)
        _other_drivers(rng, enabled, world, paused)
        world.tick(
            kill_before=rng.randrange(6) if "kill" in enabled and rng.random() < 0.2 else None
        )
        wake = world.rollout.wake_at
        if wake is None:
            break
        slack = (
            timedelta(seconds=rng.choice((0, 0, 0, 1, 200))) if "late" in enabled else timedelta()
        )
        world.now = max(world.now + timedelta(milliseconds=1), wake + slack)
    ended(world)


def _other_drivers(
    rng: random.Random, enabled: set[str], world: FaultWorld, paused: list[Any]
) -> None:
    """Let a driver stop in the middle of its tick, or let one that stopped go on from there."""
    if "pause" in enabled and rng.random() < 0.1:
        moves = world.moves()
        for _ in range(rng.randrange(1, 5)):
            if next(moves, None) is None:
                break
        else:
            paused.append(moves)
    elif paused and rng.random() < 0.2:
        moves = paused.pop(rng.randrange(len(paused)))
        try:
            for _ in moves:
                pass
        except ConflictError:
            return  # another driver has saved meanwhile


def ended(world: FaultWorld) -> None:
    """Heal every fault, let persons answer, and require that the rollout ends.

    Raises `AssertionError` if it does not.
    """
    world.heal()
    while world.phase is Phase.HELD:
        cause = world.rollout.progress.causes[0].name
        before = world.rollout.progress.causes
        world.say(Resume(at=world.now, cause=cause, **BY))
        if world.rollout.progress.causes == before:
            world.say(Abort(at=world.now, **BY))
    for name in _approvals(world):
        world.say(Approve(at=world.now, approval=name, **BY))
    plan = world.strategy.plan
    ticks = max(1_500, int(plan.deadline.within / plan.read_every))
    world.until(lambda world: world.phase in (Phase.PROMOTED, Phase.ROLLED_BACK), ticks=ticks)
    if world.phase is Phase.PROMOTED:
        world.edit(100)
    world.until(lambda world: world.rollout.over, ticks=ticks)
    final = world.rollout
    assert final.wake_at is None, "R24: it is over, and is to be ticked again"
    if (
        final.phase is Phase.ROLLED_BACK
        and "superseded" not in final.progress.reason
        and final.routing.any_write_sent
    ):
        assert not world.candidate.ppm, (
            f"R23: rolled back, and the candidate still has {world.candidate}"
        )


def _approvals(world: FaultWorld) -> list[str]:
    return [step.approval for step in world.strategy.plan.steps if step.approval is not None]


def _instances(rng: random.Random, world: FaultWorld) -> None:
    """Change the fleet: instances come and go, run another version, or it does not answer."""
    assert world.able is not None
    if rng.random() < 0.1:
        world.fleet_down = not world.fleet_down
    if rng.random() < 0.3:
        identity = rng.choice((None, None, None, world.release.candidate.identity, "another"))
        world.able[Track.CANDIDATE] = Capacity(
            percent(rng.choice((0, 1, 5, 30, 100, 100))), identity=identity
        )
        world.able[Track.STABLE] = Capacity(percent(rng.choice((0, 20, 60, 99.5, 100, 100))))


def _one_fault(rng: random.Random, enabled: set[str], world: FaultWorld) -> None:
    for name in SWITCHES:
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
        world.now += rng.choice((seconds(45), hours(1)))
    weight = rng.choice((0, 1, 5, 50, 100)) if "edit" in enabled else None
    # After a way back nothing is written any more, while the candidate is to be removed.
    if weight is not None and world.phase is not Phase.ROLLED_BACK:
        world.edit(weight)
    if "edit_and_revert" in enabled:
        before = world.candidate
        world.edit(100)
        world.edit(float(before.number))
    if "forget" in enabled:
        world.forget()
    if (
        "rollback_now" in enabled
        and rng.random() < 0.3
        and world.rollout.routing.ownership_confirmed
    ):
        world.rollback_now()


def _person_events(rng: random.Random, enabled: set[str], world: FaultWorld) -> None:
    if world.store_down or rng.random() > 0.2:
        return
    rollout, at = world.rollout, world.now
    if "hold" in enabled:
        if rollout.phase is Phase.HELD and rng.random() < 0.7:
            world.say(Resume(at=at, cause=rollout.progress.causes[0].name, **BY))
        elif rng.random() < 0.3:
            world.say(Hold(at=at, **BY))
    if "skip" in enabled and rng.random() < 0.3:
        world.say(Skip(at=at, epoch=rollout.epoch, **BY))
    if "promote_now" in enabled and rng.random() < 0.1:
        world.say(PromoteNow(at=at, **BY))
    if "abort" in enabled and rng.random() < 0.2:
        world.say(Abort(at=at, **BY))
    world.say(Approve(at=at, approval=rng.choice(("nothing", *_approvals(world))), **BY))
