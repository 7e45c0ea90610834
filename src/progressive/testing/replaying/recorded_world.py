"""A world that answers commands from a recording: its router, metrics, fleet, hooks and gates.

An answer that was recorded after the question, with nothing else in between, is the answer to it,
and the call took that long. Where there is none yet, the command stays open, like a call that has
not returned.
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
from progressive.model.router_state import Marker, Served
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
"""The longest time of a look, as the default of `Ports.timeout`."""

ANYTHING: Final[dict[Kind, Measurement]] = {
    Kind.RATIO: Counts(events=0, trials=1),
    Kind.LATENCY: Histogram(edges=(1.0,), cumulative=(1, 1)),
    Kind.MEAN: Moments(n=1, mean=0.0, m2=0.0),
    Kind.VALUE: Gauge(samples=(0.0,)),
}
READY: Final = Capacity(percent(100))
"""The answer to the preflight's survey; `ANYTHING` is that to its looks. The recorded rollout has
begun, so this one may begin too.
"""


@attrs.define(kw_only=True)
class RecordedWorld:
    """The ports of a recorded rollout.

    Its only change is that the router goes on to the next state that was noted, when it is read or
    written at that time. ``gaps`` are the times, by metric, that were asked for and in which
    nothing was recorded.
    """

    recording: RecordedRollout
    served: Served = Served(traffic=Traffic())
    marker: Marker | None = None
    gaps: list[tuple[str, Window]] = attrs.field(factory=list)
    _next: int = 0

    def answer(self, command: Command, rollout: Rollout, now: datetime) -> Event | None:
        """Return the recorded answer to a command, at ``now`` or a little later; None if there is
        none yet.
        """
        event: Event | None = ANSWERED[type(command)](self, command, rollout, now)
        return event

    def _at_once(self, at: datetime, now: datetime) -> bool:
        """Return whether a note of ``at`` answers a question of ``now``."""
        if at <= now:
            return True
        moments = self.recording.moments
        return at <= now + PROMPT and bisect_left(moments, at) == bisect_right(moments, now)

    def _last(self, notes: Sequence[EventRecorded], now: datetime) -> EventRecorded | None:
        """Return the last of these answers that is there by now."""
        answered = [note for note in notes if self._at_once(note.at, now)]
        return answered[-1] if answered else None

    def _inspect(self, command: Inspect, rollout: Rollout, now: datetime) -> Event:
        return Inspected(at=now, fleet=bool(self.recording.surveys))

    # ----------------------------------------------------------------------------------- the router

    def _read(self, command: Read, rollout: Rollout, now: datetime) -> Event:
        if (failed := self.unread(now)) is not None:
            return attrs.evolve(failed, at=now, epoch=rollout.epoch)
        self._pass_over(now)
        state = self._state
        # Drift comes by itself; other traffic is served only once it is asked for here too.
        if (
            state is not None
            and state.at <= now
            and (isinstance(state, Drifted) or state.traffic == rollout.routing.desired)
        ):
            self._go_on(state)
        self._forget(now)
        return RouterRead(at=now, served=self.served)

    def _apply(self, command: Apply, rollout: Rollout, now: datetime) -> Event | None:
        if rollout.phase is Phase.PENDING:
            self._mark(command.marker)
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
        self._mark(command.marker)
        self._go_on(state)
        return RouterApplied(
            at=max(state.at, now), epoch=command.epoch, traffic=command.traffic, served=self.served
        )

    def unread(self, now: datetime) -> CommandFailed | None:
        """Return the failed read at the last moment that is known; None if it did not fail."""
        i = bisect_right(self.recording.moments, now)
        return self.recording.unread.get(self.recording.moments[i - 1]) if i else None

    @property
    def _state(self) -> Verified | Drifted | None:
        states = self.recording.served
        return states[self._next] if self._next < len(states) else None

    def _pass_over(self, now: datetime) -> None:
        """Skip notes of a state that is served already, such as the one after an edit that was put
        back.
        """
        while isinstance(state := self._state, Verified) and state.at <= now:
            if (state.traffic, state.version) != (self.served.traffic, self.served.version):
                break
            self._next += 1

    def _go_on(self, state: Verified | Drifted) -> None:
        """Make the router serve this state, under our own marker: whose it was is not replayed, but
        that it was lost is.
        """
        self._next += 1
        if state.at in self.recording.lost:
            self.marker = None
        if isinstance(state, Drifted):
            self.served = attrs.evolve(state.served, marker=self.marker)
        else:
            self.served = Served(traffic=state.traffic, version=state.version, marker=self.marker)

    def _forget(self, now: datetime) -> None:
        """Lose the marker where it was found lost at this moment, and nothing else was noted of the
        router: then only what was said of it tells what it served.
        """
        why = self.recording.lost.get(now)
        if why is None or self.marker is None:
            return
        known = (Traffic(), self.served.traffic, *(note.traffic for note in self.recording.asked))
        serves = (traffic for traffic in known if f"serves {traffic}. " in why)
        self.marker = None
        self.served = attrs.evolve(
            self.served, marker=None, traffic=next(serves, self.served.traffic)
        )

    def _mark(self, marker: Marker) -> None:
        self.marker = marker
        self.served = attrs.evolve(self.served, marker=marker)

    # ------------------------------------------------------------------------------------- the rest

    def _measure(self, command: Measure, rollout: Rollout, now: datetime) -> Event | None:
        if command.analyses == (PREFLIGHT,):
            tracks = (
                (Track.STABLE, ANYTHING[command.metric.kind]),
                (Track.CANDIDATE, NoData("not asked")),
            )
            return Measured(
                at=now,
                analyses=command.analyses,
                look=Look(metric=command.metric.name, window=command.window, tracks=tracks),
            )
        verified = rollout.routing.verified_at
        growing = verified is not None and command.window.end >= min(
            verified, now - command.metric.lag
        )
        moments = self.recording.moments
        i = bisect_right(moments, now)
        until = moments[i] if i < len(moments) and moments[i] <= now + CALL else now
        series = self.recording.series(command.metric, command.analyses)
        event = series.answer(command, now=now, until=until, growing=growing)
        if (
            event is not None
            and command.window.length
            and not any(isinstance(each, NoAnswer) for _, each in event.look.tracks)
        ):
            self.gaps += [(command.metric.name, gap) for gap in series.gaps(event.look.covered)]
        return event

    def _survey(self, command: Survey, rollout: Rollout, now: datetime) -> Event | None:
        """Return the last survey; every answer that differed from the one before was noted."""
        surveys = self.recording.surveys
        count = bisect_right(surveys, now, key=lambda note: note.at)
        if rollout.phase is Phase.PENDING:
            tracks = next(
                (
                    note.event.tracks
                    for note in reversed(surveys[:count])
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
        event = surveys[count - 1].event if count else None
        return attrs.evolve(event, at=now) if isinstance(event, Surveyed | CommandFailed) else None

    def _run_hook(self, command: RunHook, rollout: Rollout, now: datetime) -> Event | None:
        """Return the last answer of the hook of this step, unless the rollout has it already."""
        last = self._last(self.recording.hook(command.step), now)
        if (
            last is None
            or not isinstance(last.event, HookAnswered)
            or last.event.answer == rollout.progress.answer
        ):
            return None
        return attrs.evolve(last.event, at=max(now, last.at), epoch=command.epoch)

    def _ask_gate(self, command: AskGate, rollout: Rollout, now: datetime) -> Event:
        """Return whether the gate was open: closed for as long as it was, at most until traffic was
        raised. A gate that was always open left no note.
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
            and isinstance(closed := last.event.answer, ClosedUntil)
        ):
            opened = self.recording.raised(last.at)
            until = closed.at if opened is None else min(closed.at, opened)
            answer = ClosedUntil(until, closed.why) if at < until else answer
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
"""There is none for `Retire`: a replay ends with the promotion."""
