"""The quickstart's voice: what happens to a rollout, line by line, and the summary at the end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import attrs

from progressive import Phase, Rollout, percent, seconds
from progressive.model import Percent
from progressive.rollout import Note
from progressive.rollout.notes import (
    Asked,
    Drifted,
    Escalated,
    Judged,
    Late,
    PhaseEntered,
    Released,
    Verified,
)

Notes = Iterable[tuple[str, Note]]
"""Notes as a store gives them, each with its id."""


@attrs.define
class Story:
    """Tells the notes of one rollout as they come; ``since`` is when the quickstart began."""

    candidate: str
    since: datetime
    _told: int = attrs.field(default=0, init=False)
    _passed: set[str] = attrs.field(factory=set, init=False)
    _reason: str = attrs.field(default="", init=False)

    def tell(self, notes: Notes) -> None:
        """Tell those that were not told yet. ``notes`` are all of the rollout, oldest first."""
        for _, note in list(notes)[self._told :]:
            self._told += 1
            line = self._line(note)
            if line:
                self.say(note.at, line)

    def say(self, at: datetime, line: str) -> None:
        """One line, with the time at which it happened."""
        print(f"{(at - self.since).total_seconds():7.1f} s  {line}", flush=True)

    def _line(self, note: Note) -> str:
        """A note in words; nothing for one that a newcomer need not see."""
        match note:
            case Asked(traffic=traffic):
                return f"{self.candidate} shall get {traffic.candidate}"
            case Verified(traffic=traffic):
                self._passed.clear()
                return f"{self.candidate} gets {traffic.candidate}, as read back from the router"
            case Judged(check=check, verdict="pass", why=why):
                first = check not in self._passed
                self._passed.add(check)
                return f"    pass  {check}: {_brief(why)}" if first else ""
            case Judged(check=check, verdict="fail" | "inconclusive" | "error" as verdict, why=why):
                return f"    {verdict.upper()}  {check}: {_brief(why)}"
            case PhaseEntered(phase="progressing", why=why):
                return why if why.startswith("preflight") else ""
            case PhaseEntered(phase=phase, why=why):
                again, self._reason = why == self._reason, why
                return phase.replace("_", " ").upper() + ("" if again else f": {_brief(why)}")
            case Drifted() | Late() | Escalated() | Released():
                return str(note)
            case _:
                return ""


def _brief(why: str) -> str:
    """A reason without its fine print."""
    return why.partition(";")[0]


KILL_AT = percent(25)
"""Where the driver of the third act is killed."""


def half_baked(rollout: Rollout, weight: Percent) -> bool:
    """Is it in the middle of the bake at ``weight``?"""
    return rollout.status.step == f"bake-{weight.number}" and rollout.clocks.watched >= seconds(2)


def highest(notes: Notes) -> Percent:
    """The highest weight that the candidate ever had."""
    return max(
        (note.traffic.candidate for _, note in notes if isinstance(note, Verified)),
        default=percent(0),
    )


def back_at_zero(notes: Notes) -> datetime | None:
    """When the router was last read to give the candidate nothing."""
    times = [
        note.at
        for _, note in notes
        if isinstance(note, Verified) and not note.traffic.candidate.ppm
    ]
    return max(times, default=None)


def asked_since(notes: Notes, at: datetime) -> list[Percent]:
    """The weights that were asked for after ``at``, in order."""
    return [note.traffic.candidate for _, note in notes if isinstance(note, Asked) and note.at > at]


@attrs.frozen(kw_only=True)
class Killed:
    """A rollout whose driver was killed: at which weight, how long nobody drove, and which weights
    were asked for afterwards.
    """

    weight: Percent
    alone: timedelta
    asked: Sequence[Percent]

    @property
    def went_on(self) -> bool:
        """Was nothing done twice, and nothing begun anew?"""
        return bool(self.asked) and min(self.asked) > self.weight


@attrs.frozen(kw_only=True)
class Result:
    """How one act ended, in numbers, and whether that is what was promised."""

    title: str
    promise: Phase
    phase: Phase
    served: int
    by_candidate: int
    harmed: int
    highest: Percent
    first_harm: datetime | None = None
    back_at_zero: datetime | None = None
    killed: Killed | None = None

    @property
    def harm_lasted(self) -> timedelta | None:
        """From the first harmed request until the candidate was verified to get nothing."""
        if (
            self.first_harm is None
            or self.back_at_zero is None
            or self.phase is not Phase.ROLLED_BACK
        ):
            return None
        return self.back_at_zero - self.first_harm

    @property
    def broken(self) -> str:
        """What was promised and did not happen; nothing if all is well."""
        if self.phase is not self.promise:
            return (
                f"{self.title}: it should have ended {_words(self.promise)}, and it ended "
                f"{_words(self.phase)}"
            )
        if self.promise is Phase.ROLLED_BACK and self.harm_lasted is None:
            return f"{self.title}: nobody was harmed, so it proves nothing"
        if self.killed is not None and not self.killed.went_on:
            return (
                f"{self.title}: it did not go on from {self.killed.weight}, but asked for "
                f"{_weights(self.killed)}"
            )
        return ""


def _words(phase: Phase) -> str:
    return phase.value.replace("_", " ")


def summary(results: Sequence[Result]) -> str:
    """The table at the end: one column for each act."""
    rows = [
        ("", [result.title for result in results]),
        ("it ended", [_words(result.phase) for result in results]),
        ("requests served", [f"{result.served:,}" for result in results]),
        ("  of these by the new version", [f"{result.by_candidate:,}" for result in results]),
        ("requests harmed", [f"{result.harmed:,}" for result in results]),
        ("highest weight of the new version", [str(result.highest) for result in results]),
        (
            "first harmed request to 0 % verified",
            [_seconds(result.harm_lasted) for result in results],
        ),
        (
            "driver killed with SIGKILL at",
            [str(result.killed.weight) if result.killed else "-" for result in results],
        ),
        (
            "until somebody drove again",
            [_seconds(result.killed.alone if result.killed else None) for result in results],
        ),
        ("and went on with", [_weights(result.killed) for result in results]),
    ]
    return "\n".join(
        f"{name:38}" + "".join(f"{cell:>22}" for cell in cells) for name, cells in rows
    )


def _seconds(time: timedelta | None) -> str:
    return "-" if time is None else f"{time.total_seconds():.1f} s"


def _weights(killed: Killed | None) -> str:
    return ", ".join(map(str, killed.asked)) if killed else "-"
