"""The record of one rollout by time: its desired traffic, the traffic that was served, its looks,
persons' events and the answers of hooks, gates and the fleet.

Reads that showed no change leave no note; so the moments at which it is known to have been driven
are the times of notes and the ends of windows.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import cached_property
from statistics import median_low
from typing import Any, Final, TypeVar

import attrs

from progressive.engine.ownership import FORGOTTEN
from progressive.model.measurement import Counts, Gauge, Histogram, Kind, Metric, Moments
from progressive.model.traffic import Traffic
from progressive.plan.plan import Plan
from progressive.rollout.events import (
    PEOPLE,
    CommandFailed,
    GateAnswered,
    HookAnswered,
    Measured,
    Skip,
    Surveyed,
)
from progressive.rollout.notes import (
    Asked,
    Drifted,
    EventRecorded,
    Judged,
    Late,
    Note,
    PhaseEntered,
    Verified,
)
from progressive.rollout.phases import FINAL, Phase

from .recorded_looks import PROMPT, Series, Taken, taken
from .recorded_notes import Written, as_asked, by_time, in_order
from .replayed import Ending

__all__ = ["RecordedRollout"]

KINDS: Final = {Counts: Kind.RATIO, Histogram: Kind.LATENCY, Moments: Kind.MEAN, Gauge: Kind.VALUE}

Answer = TypeVar("Answer", bound=Any)


@attrs.frozen(kw_only=True)
class RecordedRollout:
    """The notes of one rollout in the order of time, with questions about each moment."""

    written: Written

    @classmethod
    def of(cls, given: Iterable[Note | tuple[str, Note]]) -> RecordedRollout:
        """Make it of notes, or of pairs of id and note as a store gives them.

        Raises `StrategyError` if they are not those of one rollout, from its beginning on.
        """
        return cls(written=in_order(given))

    @property
    def notes(self) -> tuple[Note, ...]:
        return self.written.notes

    @property
    def torn(self) -> datetime | None:
        """The moment from which on the order of notes is not known; None if it is to the end."""
        return self.written.torn

    def _all(self, kind: type[Answer]) -> tuple[Answer, ...]:
        return tuple(note for note in self.notes if isinstance(note, kind))

    # ----------------------------------------------------------------------------------- its course

    @cached_property
    def entered(self) -> tuple[PhaseEntered, ...]:
        """Its phases and steps, in the order of their epochs."""
        return tuple(sorted(self._all(PhaseEntered), key=lambda note: note.epoch))

    @cached_property
    def lost(self) -> Mapping[datetime, str]:
        """When the router was found without the rollout's marker, with what was said of it."""
        holds = (note for note in self.entered if note.why.startswith(f"{FORGOTTEN}: "))
        return {note.at: note.why for note in holds}

    @cached_property
    def asked(self) -> tuple[Asked, ...]:
        """Every change of the traffic that it asked for."""
        return self._all(Asked) if self.written.exact else tuple(as_asked(self._all(Asked)))

    @cached_property
    def judged(self) -> tuple[Judged, ...]:
        return self._all(Judged)

    @cached_property
    def began(self) -> datetime | None:
        """When its preflight was over; None if it never was."""
        return next((note.at for note in self.entered if note.phase == Phase.PROGRESSING), None)

    @cached_property
    def ending(self) -> Ending:
        """How it ended, or how it stood at its last note."""
        ends = [
            note for note in self.entered if note.phase == Phase.ROLLING_BACK or note.phase in FINAL
        ]
        if ends:
            return Ending.of(ends[0])
        if self.entered and self.entered[-1].phase == Phase.HELD:
            return Ending.of(self.entered[-1])
        phase = Phase(self.entered[-1].phase) if self.entered else Phase.PENDING
        return Ending(phase=phase, at=self.last, why="the recording ends here")

    @cached_property
    def last(self) -> datetime:
        return self.notes[-1].at

    def phase(self, at: datetime) -> Phase:
        """Return the phase that it was in, once everything of this moment had happened."""
        entered = [note for note in self.entered if note.at <= at]
        return Phase(entered[-1].phase) if entered else Phase.PENDING

    def traffic(self, at: datetime) -> Traffic:
        """Return the traffic that it asked for at this moment."""
        i = bisect_right(self.asked, at, key=lambda note: note.at)
        return self.asked[i - 1].traffic if i else Traffic()

    def raised(self, since: datetime) -> datetime | None:
        """Return when it first raised its traffic since this moment; every gate was open then."""
        return next((note.at for note in self._raises if note.at >= since), None)

    @cached_property
    def _raises(self) -> tuple[Asked, ...]:
        before = [Traffic(), *(note.traffic for note in self.asked)]
        return tuple(
            note for note, had in zip(self.asked, before, strict=False) if note.traffic.exceeds(had)
        )

    # ----------------------------------------------------------------------------------- its driver

    @cached_property
    def moments(self) -> tuple[datetime, ...]:
        """Every moment at which it is known to have been driven."""
        read = [each.horizon for looks in self.looks.values() for each in looks]
        return tuple(sorted({*read, *(note.at for note in self.notes)}))

    def visits(self, plan: Plan) -> tuple[datetime, ...]:
        """Return the moments at which it was driven, with the lags of the metrics of ``plan``: a
        look is taken that long after the end of its window.

        Such a window ends at a visit only where a raise or an end waits for the look up to the last
        read: where one came of it, or where it is too short to have been due. One that goes on from
        no other begins, after the warm-up, with the traffic or at a visit: where it was not known
        what is served.
        """
        lags = {metric.name: metric.lag for metric in plan.metrics}
        warmups = {s.metric.name: s.analysis.warmup for s in plan.series}
        due = {s.metric.name: s.analysis.interval for s in plan.series if not s.early}
        turns = {note.at for note in self.entered}
        visits = {note.at for note in self.notes}
        for name, looks in self.looks.items():
            lag, least = lags.get(name, timedelta()), due.get(name, timedelta())
            visits |= {each.horizon + lag for each in looks}
            ends, warmup = {each.end for each in looks}, warmups.get(name, timedelta())
            visits |= {each.start - warmup for each in looks if each.start not in ends}
            visits |= {
                each.horizon
                for each in looks
                if each.at in turns or each.look.window.length < least
            }
        return tuple(sorted(visits))

    def lateness(self, plan: Plan) -> timedelta:
        """Return how late its driver may have come, by the intervals of ``plan``.

        Zero if most looks were taken when they were due. Otherwise the usual length of a look, at
        most ``watch_every``; a driver that came later than that left a note.
        """
        intervals = {series.metric.name: series.analysis.interval for series in plan.series}
        due = [
            (each.look.window.length, interval)
            for name, interval in intervals.items()
            for each in self.looks.get(name, ())
        ]
        late = [(length - interval, length) for length, interval in due if length >= interval]
        by, length = median_low(late) if late else (timedelta(), timedelta())
        return min(length, plan.watch_every) if by > PROMPT else timedelta()

    def away(self, watch_every: timedelta) -> tuple[tuple[datetime, datetime], ...]:
        """Return the times, as (start, end), in which nobody drove it, by the notes of lateness.

        ``watch_every`` is the time between two reads that still counts as watched.
        """
        return tuple((note.at - note.by - watch_every, note.at) for note in self._all(Late))

    # ------------------------------------------------------------------------------------ its world

    @cached_property
    def served(self) -> tuple[Verified | Drifted, ...]:
        """Every state of the router that was noted.

        Within one moment drift comes first, because it ended there, then the traffic that was asked
        for, in order.
        """
        states = tuple(note for note in self.notes if isinstance(note, Verified | Drifted))

        def turn(note: Verified | Drifted) -> int:
            if isinstance(note, Drifted):
                return -2
            asked = [
                i
                for i, asked in enumerate(self.asked)
                if asked.traffic == note.traffic and asked.at <= note.at
            ]
            return asked[-1] if asked else -1

        if self.written.exact:
            return states
        return tuple(sorted(states, key=lambda note: (note.at, turn(note))))

    @cached_property
    def looks(self) -> dict[str, tuple[Taken, ...]]:
        """The looks at each metric, by its name."""
        by_metric: dict[str, list[Measured]] = {}
        for note in self._events:
            if isinstance(note.event, Measured):
                by_metric.setdefault(note.event.look.metric, []).append(note.event)
        return {
            name: looks for name, events in sorted(by_metric.items()) if (looks := taken(events))
        }

    def series(self, metric: Metric, analyses: tuple[str, ...]) -> Series:
        """Return the looks that answer these analyses for this metric."""
        key = (metric.name, metric.lag, analyses)
        if key not in self._series:
            self._series[key] = Series.of(self.looks.get(metric.name, ()), analyses, metric.lag)
        return self._series[key]

    @cached_property
    def _series(self) -> dict[tuple[str, timedelta, tuple[str, ...]], Series]:
        return {}

    def kind(self, metric: str) -> Kind | None:
        """Return the kind of a recorded metric; None if it was never answered with data."""
        measurements = (
            measured for each in self.looks.get(metric, ()) for _, measured in each.look.tracks
        )
        kinds = (KINDS[type(each)] for each in measurements if type(each) in KINDS)
        return next(kinds, None)

    @cached_property
    def _events(self) -> tuple[EventRecorded, ...]:
        return self._all(EventRecorded)

    @cached_property
    def person_events(self) -> tuple[tuple[EventRecorded, bool], ...]:
        """The persons' events by time, each with whether it was decided after the tick of that
        moment, not with it.

        An event that is submitted between two ticks is decided at the time of the first, which is
        earlier than its own.
        """
        found = []
        before: Note | None = None
        for note in self.notes:
            if isinstance(note, EventRecorded) and isinstance(note.event, PEOPLE):
                later = before is not None and before.at == note.at and self.written.exact
                end = self.ending.phase is Phase.PROMOTED and self.ending.at == note.at
                found.append((note, note.event.at > note.at or later or end))
            else:
                before = note
        return tuple(found)

    def step_of(self, event: Skip) -> str:
        """Return the step that a skip was meant for."""
        steps = [note.step for note in self.entered if note.epoch <= event.epoch and note.step]
        return steps[-1] if steps else ""

    def failed(self, command: str) -> tuple[EventRecorded, ...]:
        """Return the failures of one kind of command."""
        return tuple(
            note
            for note in self._events
            if isinstance(note.event, CommandFailed) and note.event.command == command
        )

    @cached_property
    def unread(self) -> dict[datetime, CommandFailed]:
        """The reads of the router that failed, by their time."""
        return {
            note.at: note.event
            for note in self.failed("read")
            if isinstance(note.event, CommandFailed)
        }

    @cached_property
    def unwritten(self) -> tuple[EventRecorded, ...]:
        """The writes that failed."""
        return self.failed("apply")

    @cached_property
    def surveys(self) -> tuple[EventRecorded, ...]:
        """The answers of the fleet that differed from the one before, and the failed surveys."""
        answered = (note for note in self._events if isinstance(note.event, Surveyed))
        return tuple(sorted((*answered, *self.failed("survey")), key=by_time))

    def hook(self, step: str) -> tuple[EventRecorded, ...]:
        """Return the answers of the hook of a step that differed from the one before."""
        return tuple(
            note
            for note in self._events
            if isinstance(note.event, HookAnswered) and note.event.step == step
        )

    def gate(self, gate: str) -> tuple[EventRecorded, ...]:
        """Return the answers of a gate that were noted: closed, and open for the first time after
        that.
        """
        return tuple(
            note
            for note in self._events
            if isinstance(note.event, GateAnswered) and note.event.gate == gate
        )
