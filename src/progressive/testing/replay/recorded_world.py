"""A world that answers commands with what was recorded: the router, the metrics, the fleet, hooks
and gates of a rollout that was.

An answer that was recorded after the question, with nothing else in between, is the answer to it,
and the call took that long. Where there is none yet, the command stays open, as a call does that
has not come back.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

import attrs

from progressive.analysis.analysis import PREFLIGHT
from progressive.model.actions import ClosedUntil, GateAnswer, Open
from progressive.model.capacity import Capacity
from progressive.model.measurement import (
    Counts,
    Gauge,
    Histogram,
    Kind,
    Look,
    Measurement,
    Moments,
    NoAnswer,
    NoData,
    Window,
)
from progressive.model.router_state import Served
from progressive.model.traffic import Track, Traffic
from progressive.model.units import percent, seconds
from progressive.rollout.commands import (
    Apply,
    AskGate,
    Command,
    Inspect,
    Measure,
    Read,
    RunHook,
    Survey,
)
from progressive.rollout.events import (
    CommandFailed,
    Event,
    GateAnswered,
    HookAnswered,
    Inspected,
    Measured,
    RouterApplied,
    RouterRead,
    Surveyed,
)
from progressive.rollout.notes import Drifted, EventRecorded, Verified
from progressive.rollout.phases import Phase
from progressive.rollout.state import Rollout

from .recorded_looks import PROMPT
from .recorded_rollout import RecordedRollout

__all__ = ["RecordedWorld"]

CALL: Final = seconds(30)
"""What a look may take, as `Ports.timeout` has it if nobody says otherwise."""

ANYTHING: Final[dict[Kind, Measurement]] = {
    Kind.RATIO: Counts(events=0, trials=1),
    Kind.LATENCY: Histogram(edges=(1.0,), cumulative=(1, 1)),
    Kind.MEAN: Moments(n=1, mean=0.0, m2=0.0),
    Kind.VALUE: Gauge(samples=(0.0,)),
}
READY: Final = Capacity(percent(100))
"""What preflight is told, which asks whether metrics answer and stable is ready: the recorded
rollout has begun, so this one may.
"""


@attrs.define(kw_only=True)
class RecordedWorld:
    """It changes in one way only: the router goes on to the next state that was noted, when it is
    read or written at that time.

    ``gaps`` are the times that were asked about and in which nothing was recorded, by metric.
    """

    recording: RecordedRollout
    served: Served = Served(traffic=Traffic())
    gaps: list[tuple[str, Window]] = attrs.field(factory=list)
    _next: int = 0

    def answer(self, command: Command, rollout: Rollout, now: datetime) -> Event | None:
        """What came of this command; None: nothing yet. The event's time is ``now`` or a little
        later.
        """
        found: Event | None = ANSWERED[type(command)](self, command, rollout, now)
        return found

    def _at_once(self, at: datetime, now: datetime) -> bool:
        """Does what was noted at ``at`` answer what is asked now?"""
        if at <= now:
            return True
        moments = self.recording.moments
        return at <= now + PROMPT and bisect_left(moments, at) == bisect_right(moments, now)

    def _last(self, notes: Sequence[EventRecorded], now: datetime) -> EventRecorded | None:
        """The last of these answers that is there by now."""
        there = [note for note in notes if self._at_once(note.at, now)]
        return there[-1] if there else None

    def _inspect(self, command: Inspect, rollout: Rollout, now: datetime) -> Event:
        return Inspected(at=now, fleet=bool(self.recording.surveys))

    # ----------------------------------------------------------------------------------- the router

    def _read(self, command: Read, rollout: Rollout, now: datetime) -> Event:
        if (failed := self.unread(now)) is not None:
            return attrs.evolve(failed, at=now, epoch=rollout.epoch)
        self._pass_over(now)
        state = self._state
        # Drift comes by itself; what was asked for is served only once it is asked for here too.
        if (
            state is not None
            and state.at <= now
            and (isinstance(state, Drifted) or state.traffic == rollout.routing.desired)
        ):
            self._go_on(state)
        return RouterRead(at=now, served=self.served)

    def _apply(self, command: Apply, rollout: Rollout, now: datetime) -> Event | None:
        if rollout.phase is Phase.PENDING:
            return RouterApplied(
                at=now, epoch=command.epoch, traffic=command.traffic, served=self.served
            )
        for note in self.recording.unwritten:
            if (
                note.at >= now
                and self._at_once(note.at, now)
                and isinstance(note.event, CommandFailed)
            ):
                return attrs.evolve(note.event, at=note.at, epoch=command.epoch)
        self._pass_over(now)
        state = self._state
        if (
            not isinstance(state, Verified)
            or state.traffic != command.traffic
            or not self._at_once(state.at, now)
        ):
            return None
        self._go_on(state)
        return RouterApplied(
            at=max(state.at, now), epoch=command.epoch, traffic=command.traffic, served=self.served
        )

    def unread(self, now: datetime) -> CommandFailed | None:
        """Why the router could not be read at the last moment that is known; None if it could."""
        i = bisect_right(self.recording.moments, now)
        return self.recording.unread.get(self.recording.moments[i - 1]) if i else None

    @property
    def _state(self) -> Verified | Drifted | None:
        states = self.recording.served
        return states[self._next] if self._next < len(states) else None

    def _pass_over(self, now: datetime) -> None:
        """Notes that say once more what is served already, as the one does that follows on
        something edited and put back.
        """
        while isinstance(state := self._state, Verified) and state.at <= now:
            if (state.traffic, state.version) != (self.served.traffic, self.served.version):
                break
            self._next += 1

    def _go_on(self, state: Verified | Drifted) -> None:
        """The router serves this from now on. Markers are left out: who claims a router is not a
        matter of a replay.
        """
        self._next += 1
        if isinstance(state, Drifted):
            self.served = attrs.evolve(state.served, marker=None)
        else:
            self.served = Served(traffic=state.traffic, version=state.version)

    # ------------------------------------------------------------------------------------- the rest

    def _measure(self, command: Measure, rollout: Rollout, now: datetime) -> Event | None:
        if command.analyses == (PREFLIGHT,):
            there = (
                (Track.STABLE, ANYTHING[command.metric.kind]),
                (Track.CANDIDATE, NoData("not asked")),
            )
            return Measured(
                at=now,
                analyses=command.analyses,
                look=Look(metric=command.metric.name, window=command.window, tracks=there),
            )
        verified = rollout.routing.verified_at
        growing = verified is not None and command.window.end >= min(
            verified, now - command.metric.lag
        )
        moments = self.recording.moments
        i = bisect_right(moments, now)
        until = moments[i] if i < len(moments) and moments[i] <= now + CALL else now
        series = self.recording.series(command.metric, command.analyses)
        found = series.answer(command, now=now, until=until, growing=growing)
        if (
            found is not None
            and command.window.length
            and not any(isinstance(each, NoAnswer) for _, each in found.look.tracks)
        ):
            self.gaps += [(command.metric.name, gap) for gap in series.gaps(found.look.covered)]
        return found

    def _survey(self, command: Survey, rollout: Rollout, now: datetime) -> Event | None:
        """What the fleet said last; every answer that differed from the one before was noted."""
        surveys = self.recording.surveys
        there = bisect_right(surveys, now, key=lambda note: note.at)
        if rollout.phase is Phase.PENDING:
            tracks = next(
                (
                    note.event.tracks
                    for note in reversed(surveys[:there])
                    if isinstance(note.event, Surveyed)
                ),
                (),
            )
            return Surveyed(
                at=now,
                tracks={
                    **{track: Capacity(capacity.able) for track, capacity in tracks},
                    Track.STABLE: READY,
                },
            )
        event = surveys[there - 1].event if there else None
        return attrs.evolve(event, at=now) if isinstance(event, Surveyed | CommandFailed) else None

    def _run_hook(self, command: RunHook, rollout: Rollout, now: datetime) -> Event | None:
        """What the hook of this step said last, if it has not been heard yet."""
        last = self._last(self.recording.hook(command.step), now)
        if (
            last is None
            or not isinstance(last.event, HookAnswered)
            or last.event.answer == rollout.progress.answer
        ):
            return None
        return attrs.evolve(last.event, at=max(now, last.at), epoch=command.epoch)

    def _ask_gate(self, command: AskGate, rollout: Rollout, now: datetime) -> Event:
        """Closed for as long as it was, at most until traffic was raised. A gate that was always
        open left no note.
        """
        raised = self.recording.raised(now)
        noted = [
            note
            for note in self.recording.gate(command.gate)
            if raised is None or note.at <= max(now, raised)
        ]
        last = self._last(noted, now)
        at = now if last is None else max(now, last.at)
        answer: GateAnswer = Open()
        if (
            last is not None
            and isinstance(last.event, GateAnswered)
            and isinstance(said := last.event.answer, ClosedUntil)
        ):
            opened = self.recording.raised(last.at)
            until = said.at if opened is None else min(said.at, opened)
            answer = ClosedUntil(until, said.why) if at < until else answer
        return GateAnswered(at=at, epoch=command.epoch, gate=command.gate, answer=answer)


ANSWERED: Final[dict[type, Callable[[RecordedWorld, Any, Rollout, datetime], Event | None]]] = {
    Apply: RecordedWorld._apply,
    AskGate: RecordedWorld._ask_gate,
    Inspect: RecordedWorld._inspect,
    Measure: RecordedWorld._measure,
    Read: RecordedWorld._read,
    RunHook: RecordedWorld._run_hook,
    Survey: RecordedWorld._survey,
}
"""No way to retire anything: a rollout that is promoted is at its end here."""
