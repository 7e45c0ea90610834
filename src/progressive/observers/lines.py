"""What a rollout does, in lines for a person: what changes, and nothing twice."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from datetime import UTC, datetime

from progressive.rollout.events import PEOPLE, CommandFailed, GateAnswered, HookAnswered
from progressive.rollout.notes import EventRecorded, Judged, Note, Unjudged, Verified
from progressive.rollout.state import Rollout
from progressive.rollout.status import Waiting

__all__ = ["Lines", "clock", "in_words"]


class Lines:
    """The lines of one rollout. A look that says what the one before it said has none."""

    def __init__(self) -> None:
        self._said: dict[Hashable, object] = {}
        """What was said last of each subject."""

    def begin(self, rollout: Rollout) -> Iterator[str]:
        """Yield what rollout this is, and where it stands if it has begun before; once."""
        if not self._changed("begun", True):
            return
        release, steps = rollout.release, len(rollout.plan.steps)
        yield (
            f"{rollout.id}: {release.service} from {release.stable} to {release.candidate} in "
            f"{steps} steps; times are UTC"
        )
        if rollout.clocks.ticked is not None:
            yield f"{clock(rollout.clocks.now)}  goes on: {rollout.status}"

    def of(self, rollout: Rollout, notes: Sequence[Note]) -> Iterator[str]:
        """Yield the lines of a decision, each with its time in UTC."""
        yield from self.begin(rollout)
        if rollout.routing.read_at == rollout.routing.last_attempt_at:
            self._said.pop(("failed", "read"), None)  # said again if it happens again
        for note in notes:
            if self._is_news(note):
                yield f"{clock(note.at)}  {note}{_tolerated(rollout, note)}"
        waiting, epoch = rollout.progress.waiting, rollout.epoch
        if waiting is None or rollout.over:
            return
        if self._changed("waiting", (epoch, waiting.why)):
            yield f"{clock(rollout.clocks.now)}  {in_words(waiting)}"

    def _is_news(self, note: Note) -> bool:
        match note:
            case Judged(analysis=analysis, check=check, verdict=verdict):
                return self._changed(("judged", analysis, check), verdict) or verdict == "fail"
            case Unjudged(analysis=analysis, what=what, why=why):
                return self._changed(("unjudged", analysis, what), why)
            case EventRecorded(event=CommandFailed(command=command, why=why)):
                return self._changed(("failed", command), why)
            case EventRecorded(event=HookAnswered() | GateAnswered() as event):
                return self._changed(("answered", type(event)), str(note))
            case EventRecorded(event=event):
                return isinstance(event, PEOPLE)
            case Verified():
                self._said.pop(("failed", "apply"), None)
                return True
            case _:
                return True

    def _changed(self, subject: Hashable, said: object) -> bool:
        changed = self._said.get(subject) != said
        self._said[subject] = said
        return changed


def _tolerated(rollout: Rollout, note: Note) -> str:
    """Say of a failure that does not decide yet how many in a row do."""
    if not isinstance(note, Judged) or note.verdict != "fail":
        return ""
    for planned, state in zip(rollout.plan.checks, rollout.evidence.check_states, strict=True):
        needed = planned.check.tolerance.in_a_row
        if planned.key == f"{note.analysis}/{note.check}" and not state.failed and needed > 1:
            return f" ({state.consecutive_failures} of {needed} in a row)"
    return ""


def in_words(waiting: Waiting) -> str:
    """Say what is waited for, until when, and what happens then."""
    line = f"waits for {waiting.why}"
    if waiting.until is not None:
        until = waiting.until.astimezone(UTC)
        day = "" if until.date() == waiting.since.astimezone(UTC).date() else f"{until:%Y-%m-%d} "
        line += f", until {day}{clock(until)}"
        if waiting.then:
            line += f", then {waiting.then}"
    return line


def clock(at: datetime) -> str:
    """The time of day in UTC."""
    return f"{at.astimezone(UTC):%H:%M:%S}"
