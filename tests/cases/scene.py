"""A rollout in a simulated world that is taken from one moment to the next, so that a case of
another system can be set up in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import attrs

from progressive import Phase, Rollout, Track
from progressive.model.capacity import Capacity
from progressive.model.traffic import Traffic
from progressive.model.units import percent
from progressive.plan.plan import Strategy
from progressive.rollout import Event
from progressive.rollout.notes import Note
from progressive.testing import World
from progressive.testing.simulation.simulate import Run

READY = Capacity(percent(100))


@attrs.frozen
class Instances:
    """A fleet whose tracks can carry what ``able`` says at the time; it removes nothing."""

    clock: Callable[[], datetime]
    able: Callable[[Track, datetime], float]

    def survey(self, release: Any) -> Mapping[Track, Capacity]:
        return {track: Capacity(percent(self.able(track, self.clock()))) for track in Track}


class Scene:
    """``strategy`` in ``world``, as far as it was taken. Nothing happens by itself: `until` lets
    time pass, `tick` is one tick now.
    """

    def __init__(
        self,
        strategy: Strategy,
        world: World,
        *,
        able: Callable[[Track, datetime], float] | None = None,
        hooks: Mapping[str, Callable[..., Any]] | None = None,
        gates: Mapping[str, Callable[..., Any]] | None = None,
    ) -> None:
        self._run = Run(strategy, world, 0, hooks=hooks, gates=gates)
        if able is not None:
            self._run.ports = attrs.evolve(
                self._run.ports, fleet=Instances(self._run.simulated.clock, able)
            )
        self._wake: datetime | None = world.start

    def __str__(self) -> str:
        return self._run.story().timeline(all=True)

    def until(self, to: datetime) -> Scene:
        """Everything that is due before ``to``; then the clock stands at ``to``, and nobody has
        looked yet.
        """
        while self._wake is not None and self._wake < to:
            self._run.simulated.pass_time(self._wake)
            self.tick()
        self._run.simulated.pass_time(max(to, self.now))
        return self

    def tick(self, *events: Event) -> Scene:
        """One tick, now."""
        self._wake = self._run.tick(*events)
        return self

    def say(self, kind: Callable[..., Event], **said: Any) -> Scene:
        """A person's word, and the tick that hears it."""
        return self.tick(kind(at=self.now, by="eve", why="the case says so", **said))

    def on(self, while_: Callable[[Rollout], bool], *, at_most: timedelta) -> Scene:
        """From tick to tick while this holds, for ``at_most``."""
        end = self.now + at_most
        while while_(self.rollout) and self._wake is not None and self._wake <= end:
            self._run.simulated.pass_time(max(self._wake, self.now))
            self.tick()
        return self

    @property
    def now(self) -> datetime:
        return self._run.simulated.clock.now

    @property
    def wake_at(self) -> datetime | None:
        return self._wake

    @property
    def rollout(self) -> Rollout:
        return self._run.rollout

    @property
    def phase(self) -> Phase:
        return self.rollout.phase

    @property
    def notes(self) -> list[Note]:
        return self._run.notes

    @property
    def traffic(self) -> Traffic:
        """What the service has now."""
        return self._run.simulated.traffic

    @property
    def changes(self) -> list[Traffic]:
        """Every traffic that the service had, in order."""
        return [traffic for _, traffic in self._run.simulated.weights]

    def at(self, moment: datetime) -> Traffic:
        """What the service had at a moment."""
        since = moment - self._run.world.start
        return (
            [traffic for after, traffic in self._run.simulated.weights if after <= since][-1]
            if since >= timedelta()
            else Traffic()
        )
