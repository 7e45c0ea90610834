"""The story of a simulated rollout: a value to read, to compare and to draw."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cached_property

import attrs

from progressive.model.measurement import Look
from progressive.model.traffic import Track, Traffic
from progressive.model.units import Percent, format_duration, percent
from progressive.reports import report
from progressive.rollout.events import PEOPLE, CommandFailed, GateAnswered, HookAnswered, Measured
from progressive.rollout.notes import Escalated, EventRecorded, Judged, Note, PhaseEntered
from progressive.rollout.phases import Phase
from progressive.rollout.state import Rollout

__all__ = ["Exposure", "Slice", "Story"]


@attrs.frozen(kw_only=True)
class Exposure:
    """The requests and users that a version met.

    * ``requests``, ``failed``: only requests whose answers users saw, so neither mirrored ones nor
      those of a load test.
    * ``users``: distinct users.
    * ``harmed``: those of them who saw a failure.
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
    """The requests and failures of one track from ``start`` to ``end``, counted from the start of
    the simulation.
    """

    track: Track
    start: timedelta
    end: timedelta
    requests: int
    failed: int


@attrs.frozen(kw_only=True, repr=False)
class Story:
    """One simulated rollout from its start to its end.

    Two of the same strategy, world and seed are equal.

    * ``weights``: the traffic that the service really had, each after the time at which it began,
      counted from the start.
    * ``notes``: all notes of the engine.
    * ``exposed``, ``spared``: the requests and users of the candidate, and of stable.
    * ``slices``: requests and failures over time.
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
        """The phase in which it ended; not a final one if it was stopped before (``until=``)."""
        return self.rollout.phase

    @property
    def promoted(self) -> bool:
        """Whether the candidate was promoted."""
        return self.phase is Phase.PROMOTED

    @property
    def rolled_back(self) -> bool:
        """Whether it was rolled back: stable has all the traffic again, verified."""
        return self.phase is Phase.ROLLED_BACK

    @property
    def why(self) -> str:
        """Why it ended so, in one sentence."""
        return self.rollout.progress.reason or str(self.rollout.status)

    # ------------------------------------------------------------------------------------- how long

    @property
    def duration(self) -> timedelta:
        """The time from the start to the promotion or to the verified 0 %; to the end of the
        simulation if it came to neither.
        """
        return self._since(
            self._entered(Phase.PROMOTED, Phase.ROLLED_BACK) or self.rollout.clocks.now
        )

    @cached_property
    def detected(self) -> timedelta | None:
        """The time from the candidate's first traffic to the decision to roll back; None if there
        was no such decision, or no traffic.
        """
        decided, first = self._entered(Phase.ROLLING_BACK), self._first
        return None if decided is None or first is None else self._since(decided) - first

    @cached_property
    def to_zero(self) -> timedelta | None:
        """The time from the decision to roll back until 0 % was read back; None if it never was."""
        decided, back = self._entered(Phase.ROLLING_BACK), self._entered(Phase.ROLLED_BACK)
        return None if decided is None or back is None else back - decided

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
        """Every look that was taken, in order."""
        return tuple(
            note.event.look
            for note in self.notes
            if isinstance(note, EventRecorded) and isinstance(note.event, Measured)
        )

    @property
    def judgements(self) -> tuple[Judged, ...]:
        """The judgements of the checks, in order."""
        return tuple(note for note in self.notes if isinstance(note, Judged))

    @cached_property
    def escalations(self) -> tuple[Escalated, ...]:
        """Every call for a person."""
        return tuple(note for note in self.notes if isinstance(note, Escalated))

    # -------------------------------------------------------------------------------------- looking

    def timeline(self, *, all: bool = False) -> str:
        """Return the notes as text, one a line with its time.

        Measurements, passes, looks without data, and an answer of a hook or a gate that is the same
        as the one before are left out, unless ``all`` is True.
        """
        shown, said = list[Note](), ""
        for note in self.notes:
            repeated = _is_answer(note) and str(note) == said
            said = str(note) if _is_answer(note) else said
            if all or not (repeated or _ordinary(note)):
                shown.append(note)
        return "\n".join(f"{clock(self._since(note.at))}  {note}" for note in shown)

    def svg(self) -> str:
        """Draw weight, verdicts and what each check measured, over time. A notebook shows it by
        itself; ``progressive.reports.report(story).html()`` is a whole page.
        """
        return report(self).svg()

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


def clock(time: timedelta) -> str:
    """Format a time as ``1:02:03``."""
    whole = int(time.total_seconds())
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def _is_answer(note: Note) -> bool:
    return isinstance(note, EventRecorded) and isinstance(note.event, HookAnswered | GateAnswered)


def _ordinary(note: Note) -> bool:
    if isinstance(note, EventRecorded):
        return not isinstance(note.event, (*PEOPLE, CommandFailed, HookAnswered, GateAnswered))
    return isinstance(note, Judged) and note.verdict in ("pass", "no_data")


def _whole(duration: timedelta) -> timedelta:
    """Cut a duration to whole seconds."""
    return timedelta(seconds=int(duration.total_seconds()))
