"""What happened in a simulated rollout, as a value: to read, to compare, to look at."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cached_property

import attrs

from progressive.model.measurement import Look
from progressive.model.traffic import Track, Traffic
from progressive.model.units import Percent, format_duration, percent
from progressive.rollout.events import Measured
from progressive.rollout.notes import Escalated, EventRecorded, Judged, Note, PhaseEntered
from progressive.rollout.phases import Phase
from progressive.rollout.state import Rollout

from .picture import clock, draw

__all__ = ["Exposure", "Slice", "Story"]


@attrs.frozen(kw_only=True)
class Exposure:
    """Whom a version met: ``requests`` and how many of them ``failed``, distinct ``users`` and how
    many of them saw a failure.

    Only requests whose answers users saw: neither mirrored ones nor those of a load test.
    """

    requests: int = 0
    failed: int = 0
    users: int = 0
    harmed: int = 0

    def __str__(self) -> str:
        return (
            f"{self.requests:,} requests of {self.users:,} users; {self.failed:,} failed, seen "
            f"by {self.harmed:,}"
        )


@attrs.frozen
class Slice:
    """One stretch of the simulation for a picture: from ``start`` to ``end``, requests and failures
    of one track.
    """

    track: Track
    start: timedelta
    end: timedelta
    requests: int
    failed: int


@attrs.frozen(kw_only=True, repr=False)
class Story:
    """One simulated rollout from its start to its end. Two of the same strategy, world and seed are
    equal.

    ``weights``: the traffic that the service really had, each with the time since the start from
    which on. ``notes``: everything that the engine noted. ``exposed``: the candidate's requests and
    users; ``spared``: stable's. ``slices``: requests and failures over time.
    """

    strategy: str
    seed: object
    rollout: Rollout
    began: datetime
    weights: tuple[tuple[timedelta, Traffic], ...]
    notes: tuple[Note, ...]
    exposed: Exposure
    spared: Exposure
    slices: tuple[Slice, ...]

    # --------------------------------------------------------------------------------- how it ended

    @property
    def phase(self) -> Phase:
        """Where it ended; a phase that is not final if it was stopped before (``until=``)."""
        return self.rollout.phase

    @property
    def promoted(self) -> bool:
        """Did the candidate become the stable version?"""
        return self.phase is Phase.PROMOTED

    @property
    def rolled_back(self) -> bool:
        """Has stable all the traffic again, verified?"""
        return self.phase is Phase.ROLLED_BACK

    @property
    def why(self) -> str:
        """Why it ended so, in one sentence."""
        return self.rollout.progress.reason or str(self.rollout.status)

    # ------------------------------------------------------------------------------------- how long

    @property
    def duration(self) -> timedelta:
        """From the start to the promotion or to the verified 0 %; to where it was stopped if it
        came to neither.
        """
        return self._since(
            self._entered(Phase.PROMOTED, Phase.ROLLED_BACK) or self.rollout.clocks.now
        )

    @cached_property
    def detected(self) -> timedelta | None:
        """From the candidate's first traffic to the decision to take it back; None if there was
        none, or it never had any.
        """
        turned, first = self._entered(Phase.ROLLING_BACK), self._first
        return None if turned is None or first is None else self._since(turned) - first

    @cached_property
    def to_zero(self) -> timedelta | None:
        """From the decision to take it back until 0 % was read back; None if that never was."""
        turned, back = self._entered(Phase.ROLLING_BACK), self._entered(Phase.ROLLED_BACK)
        return None if turned is None or back is None else back - turned

    @cached_property
    def _first(self) -> timedelta | None:
        return next((at for at, traffic in self.weights if traffic.reaches(Track.CANDIDATE)), None)

    def _entered(self, *phases: Phase) -> datetime | None:
        return next(
            (
                note.at
                for note in self.notes
                if isinstance(note, PhaseEntered) and note.phase in phases
            ),
            None,
        )

    def _since(self, at: datetime) -> timedelta:
        return at - self.began

    # ----------------------------------------------------------------------------------------- what

    @property
    def highest(self) -> Percent:
        """The highest weight that the candidate ever had."""
        return max((traffic.candidate for _, traffic in self.weights), default=percent(0))

    @cached_property
    def looks(self) -> tuple[Look, ...]:
        """Every measurement that the engine took, in order."""
        return tuple(
            note.event.look
            for note in self.notes
            if isinstance(note, EventRecorded) and isinstance(note.event, Measured)
        )

    @property
    def judgements(self) -> tuple[Judged, ...]:
        """What the checks made of them, in order."""
        return tuple(note for note in self.notes if isinstance(note, Judged))

    @cached_property
    def escalations(self) -> tuple[Escalated, ...]:
        """Every call for a person."""
        return tuple(note for note in self.notes if isinstance(note, Escalated))

    # -------------------------------------------------------------------------------------- looking

    def timeline(self, *, all: bool = False) -> str:
        """What happened and when, a line each; ``all=True``: every measurement and every pass
        too.
        """
        shown = [note for note in self.notes if all or not _ordinary(note)]
        return "\n".join(f"{clock(self._since(note.at))}  {note}" for note in shown)

    def svg(self) -> str:
        """One picture: weight, error rates, verdicts and phases over time. A notebook shows it by
        itself.
        """
        return draw(self)

    def _repr_svg_(self) -> str:
        return self.svg()

    def __repr__(self) -> str:
        return f"<Story: {self}>"

    def __str__(self) -> str:
        return (
            f"{self.phase.value.replace('_', ' ')} after "
            f"{format_duration(_whole(self.duration))} at most "
            f"{self.highest} ({self.why}); {self.exposed}"
        )


def _ordinary(note: Note) -> bool:
    return isinstance(note, EventRecorded) or (
        isinstance(note, Judged) and note.verdict in ("pass", "no_data")
    )


def _whole(duration: timedelta) -> timedelta:
    """Without what is less than a second."""
    return timedelta(seconds=int(duration.total_seconds()))
