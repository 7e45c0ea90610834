"""The simulated ports: a router, a metrics provider and a fleet around one `Service`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import attrs

from progressive.errors import ConflictError, Failure, MetricsError, RouterError
from progressive.model.capacity import Capacity
from progressive.model.measurement import Look, Measurement, Metric, NoAnswer, NoData, Window
from progressive.model.release import Release, Version
from progressive.model.router_state import Capabilities, Marker, Served
from progressive.model.traffic import Track, Traffic
from progressive.model.units import MILLION, Percent, percent
from progressive.testing.doubles import ALL, VirtualClock

from .running import TRACKS, ZERO, Service
from .service import World
from .troubles import (
    HalfObeys,
    Lags,
    LosesReplies,
    MetricsDown,
    NotANumber,
    NotReady,
    RouterDown,
    RouterEdited,
    RouterForgets,
    SeriesMissing,
    Skewed,
    SlowAnswers,
    Trouble,
    WritesFail,
    going_on,
)

__all__ = ["Simulated"]


class Simulated:
    """The router, the metrics provider and the fleet of a `World`, with its troubles."""

    def __init__(
        self, world: World, metrics: Sequence[Metric], seed: object, *, preview: bool
    ) -> None:
        self.world = world
        self.clock = VirtualClock(now=world.start)
        self.service = Service(world, seed, preview=preview)
        self.metrics = tuple(metrics)
        self.traffic = Traffic()
        self.weights: list[tuple[timedelta, Traffic]] = [(ZERO, self.traffic)]
        self.converged = True
        self._asked = self.traffic
        self._coming: list[tuple[datetime, Traffic, bool]] = []
        self._marker: Marker | None = None
        self._revision = 1
        once = [
            trouble
            for trouble in world.troubles
            if isinstance(trouble, RouterForgets | RouterEdited)
        ]
        self._once = sorted(once, key=lambda trouble: trouble.after)

    # ----------------------------------------------------------------------------------------- time

    @property
    def ran(self) -> timedelta:
        """How long the simulation has run."""
        return self.clock.now - self.world.start

    def pass_time(self, to: datetime) -> None:
        """Let time pass up to ``to``, with every change of traffic and trouble in its order."""
        while True:
            turns = [when for when, _, _ in self._coming[:1]] + [
                self.world.start + trouble.after for trouble in self._once[:1]
            ]
            when = min([turn for turn in turns if turn <= to], default=None)
            if when is None:
                break
            self.service.go_on(when, self._flowing)
            if self._coming and self._coming[0][0] == when:
                _, traffic, converged = self._coming.pop(0)
                self._serve(traffic, converged, when)
            else:
                self._strike(self._once.pop(0), when)
        self.service.go_on(to, self._flowing)
        self.clock.until(to)

    @property
    def _flowing(self) -> Traffic:
        """The traffic that really flows, whatever the router reports."""
        skewed = self._trouble(Skewed)
        if skewed is None or not self.traffic.candidate.ppm:
            return self.traffic
        most = MILLION - self.traffic.baseline.ppm
        return attrs.evolve(
            self.traffic,
            candidate=Percent(min(most, round(self.traffic.candidate.ppm * skewed.by))),
        )

    def _strike(self, trouble: Trouble, when: datetime) -> None:
        self._coming.clear()
        self._revision += 1
        if isinstance(trouble, RouterEdited):
            baseline = Percent(min(self._asked.baseline.ppm, MILLION - trouble.to.ppm))
            self._asked = attrs.evolve(self._asked, candidate=trouble.to, baseline=baseline)
        else:
            self._asked, self._marker = Traffic(), None
        self._serve(self._asked, True, when)

    def _serve(self, traffic: Traffic, converged: bool, when: datetime) -> None:
        self.converged = converged
        if traffic != self.traffic:
            self.traffic = traffic
            self.weights.append((when - self.world.start, traffic))

    def _trouble(self, kind: type[Any]) -> Any:
        return going_on(self.world.troubles, kind, self.ran) if self.world.troubles else None

    def _takes(self, long: timedelta) -> None:
        if long:
            self.pass_time(self.clock.now + long)

    # ----------------------------------------------------------------------------------- the router

    @property
    def capabilities(self) -> Capabilities:
        return attrs.evolve(ALL, sticky=self.world.users.sticky)

    def read(self, release: Release) -> Served:
        self._takes(self.world.answering)
        if self._trouble(RouterDown):
            raise RouterError("simulated: it can't be read")
        return self._served()

    def apply(
        self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        self._takes(self.world.answering)
        if self._trouble(RouterDown) or self._trouble(WritesFail):
            raise RouterError("simulated: it can't be written")
        if expect is not None and expect != str(self._revision):
            raise ConflictError(
                f"simulated: revision {expect} was expected, it is {self._revision}"
            )
        present = self._marker
        if present is not None and present.forbids(marker):
            raise ConflictError(
                f"simulated: the marker there, {present!r}, is newer than {marker!r}"
            )
        self._asked, self._marker = traffic, marker
        self._revision += 1
        self._obey(traffic)
        if self._trouble(LosesReplies):
            raise RouterError("simulated: the answer was lost", failure=Failure.UNKNOWN)
        return self._served()

    def _obey(self, traffic: Traffic) -> None:
        now, lags, half = self.clock.now, self._trouble(Lags), self._trouble(HalfObeys)
        self._coming.clear()
        if half is not None:
            middle = Percent((self.traffic.candidate.ppm + traffic.candidate.ppm) // 2)
            self._serve(attrs.evolve(traffic, candidate=middle), traffic.candidate == middle, now)
            self._coming.append((self.world.start + half.after + half.lasting, traffic, True))
        elif lags is not None:
            self._coming.append((now + lags.by, traffic, True))
        else:
            self._serve(traffic, True, now)

    def _served(self) -> Served:
        traffic = self.traffic
        if not self.converged:
            traffic = attrs.evolve(traffic, candidate=max(traffic.candidate, self._asked.candidate))
        return Served(
            traffic=traffic,
            version=str(self._revision),
            marker=self._marker,
            converged=self.converged,
        )

    def undo(self, release: Release) -> str:
        return f"give {release.service} back to {Track.STABLE.label(release)}"

    # ---------------------------------------------------------------------------------- the metrics

    def measure(
        self,
        release: Release,
        metric: Metric,
        tracks: Sequence[Track],
        window: Window,
        since: str | None,
    ) -> Look:
        self._takes(self.world.answering)
        slow = self._trouble(SlowAnswers)
        if slow is not None:
            self._takes(slow.by)
        if self._trouble(MetricsDown):
            raise MetricsError("simulated: the metrics can't be asked")
        measured = tuple((track, self._measured(metric, track, window)) for track in tracks)
        return Look(
            metric=metric.name,
            window=window,
            tracks=measured,
            reading="scraped" if metric.counter else None,
        )

    def _measured(self, metric: Metric, track: Track, window: Window) -> Measurement:
        if self._trouble(NotANumber):
            return NoAnswer("NaN")
        missing = self._trouble(SeriesMissing)
        if missing is not None and missing.track is track:
            return NoData("no series")
        return self.service.measured(metric, track, window)

    # ------------------------------------------------------------------------------------ the fleet

    def survey(self, release: Release) -> Mapping[Track, Capacity]:
        capacities = dict.fromkeys(TRACKS, Capacity(percent(100)))
        for trouble in self.world.troubles:
            if (
                isinstance(trouble, NotReady)
                and trouble.now(self.ran)
                and trouble.able < capacities[trouble.track].able
            ):
                capacities[trouble.track] = Capacity(
                    trouble.able, why="not all of its instances are ready"
                )
        return capacities

    def retire(self, release: Release, version: Version) -> None:
        self._takes(self.world.answering)
