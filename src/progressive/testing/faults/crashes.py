"""Crash the driver at every point at which it can stop: a new one loads the stored rollout and goes
on, and the end must be the same.
"""

from __future__ import annotations

from datetime import datetime
from typing import Unpack

import attrs

from progressive.codec.documents import dumps, loads
from progressive.plan.plan import Strategy
from progressive.rollout.commands import Command
from progressive.rollout.events import Event
from progressive.runtime.protocol import Persist, Persisted
from progressive.testing.simulation.service import World
from progressive.testing.simulation.simulate import UNTIL, Run, RunOptions
from progressive.testing.simulation.story import Story

__all__ = ["Crashes", "crash_everywhere"]


@attrs.frozen(kw_only=True)
class Crashes:
    """The result: how many ``points`` the driver was stopped at, each in a run of its own, and the
    ``story`` without a crash, whose end all runs had.
    """

    points: int
    story: Story


def crash_everywhere(
    strategy: Strategy,
    world: World | None = None,
    *,
    seed: object = 0,
    every: int = 1,
    **options: Unpack[RunOptions],
) -> Crashes:
    """Stop the driver before and after every command and every save, once in each run, and require
    the end of an undisturbed run.

    All memory of the driver is lost; the next tick, at once, starts from the JSON that was saved
    last. ``every``: 10 tries each tenth point. Further keywords are those of `simulate`. Raises
    `AssertionError`, which names the point, if a run ends in another phase, or if the candidate was
    ever given more than in the undisturbed run.
    """
    world = World() if world is None else world
    undisturbed = _Crashing(strategy, world, seed, stop_at=None, **options)
    story = undisturbed.to_its_end(None, UNTIL)
    points = range(0, undisturbed.points, every)
    for point in points:
        run = _Crashing(strategy, world, seed, stop_at=point, **options)
        crashed = run.to_its_end(None, UNTIL)
        if crashed.phase is not story.phase:
            raise AssertionError(
                f"stopped {run.stopped}: it ended {crashed.phase.value}, and "
                f"{story.phase.value} without a crash\n{crashed.timeline()}"
            )
        if crashed.highest > story.highest:
            raise AssertionError(
                f"stopped {run.stopped}: the candidate had {crashed.highest}, and "
                f"{story.highest} without a crash\n{crashed.timeline()}"
            )
    return Crashes(points=len(points), story=story)


class _Crash(Exception):
    """The driver's process is gone."""


class _Crashing(Run):
    """A run whose driver stops once, at one of the points that it counts."""

    def __init__(
        self,
        strategy: Strategy,
        world: World,
        seed: object,
        *,
        stop_at: int | None,
        **options: Unpack[RunOptions],
    ) -> None:
        super().__init__(strategy, world, seed, **options)
        self.points = 0
        self.stopped = ""
        self._stop_at = stop_at
        self._text = dumps(self.rollout)

    def tick(self, *events: Event) -> datetime | None:
        """Tick once; after a crash tick again with the same events, which were not answered."""
        try:
            return super().tick(*events)
        except _Crash:
            self.rollout = loads(self._text)
            return super().tick(*events)

    def save(self, effect: Persist) -> Persisted:
        self._point("before a save")
        self._text = dumps(effect.rollout)
        saved = super().save(effect)
        self._point("after a save")
        return saved

    def do(self, command: Command) -> Event:
        self._point(f"before {command.kind}")
        answer = super().do(command)
        self._point(f"after {command.kind}, before its answer was heard")
        return answer

    def _point(self, what: str) -> None:
        if self.points == self._stop_at:
            self.stopped = f"at {self.simulated.ran} {what} (point {self.points})"
            self.points += 1
            raise _Crash(what)
        self.points += 1
