"""Notes: the audit trail of what each decision did and why; ``str(note)`` is a sentence.

Notes are stored with the rollout in one transaction, but not inside it. Every class has a stable
``kind``, which is never renamed.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import ClassVar, TypeAlias

import attrs

from progressive.model.actions import ClosedUntil, NotYet, Stop
from progressive.model.measurement import Counts, Histogram, NoAnswer, NoData
from progressive.model.router_state import Served
from progressive.model.traffic import Traffic

from .events import (
    Abort,
    Approve,
    CommandFailed,
    Event,
    GateAnswered,
    Hold,
    HookAnswered,
    Measured,
    PromoteNow,
    Reject,
    Resume,
    Skip,
    Superseded,
    Surveyed,
)


@attrs.frozen(kw_only=True)
class EventRecorded:
    """An event from outside, verbatim: every accepted look, answer and person's event.

    `replay` decides over these.
    """

    kind: ClassVar[str] = "happened"
    at: datetime
    event: Event

    def __str__(self) -> str:
        match self.event:
            case Measured(look=look):
                measured = ", ".join(
                    f"{track.value} {_brief(measurement)}" for track, measurement in look.tracks
                )
                return f"{look.metric}: {measured}"
            case (
                Approve()
                | Reject()
                | Hold()
                | Resume()
                | Skip()
                | PromoteNow()
                | Abort()
                | Superseded() as event
            ):
                return f"{event.by}: {event.kind.replace('_', ' ')} ({event.why})"
            case HookAnswered(step=step, answer=answer):
                return f"hook of {step}: {_brief(answer)}"
            case GateAnswered(gate=gate, answer=answer):
                return f"gate {gate}: {_brief(answer)}"
            case Surveyed(tracks=tracks):
                carried = [f"{track.value} can carry {capacity}" for track, capacity in tracks]
                return f"fleet: {', '.join(carried) or 'nothing'}"
            case CommandFailed(command=command, failure=failure, why=why):
                return f"{command} failed ({failure.value}): {why}"
            case other:
                return other.kind.replace("_", " ")


@attrs.frozen(kw_only=True)
class Judged:
    """The judgement of one check on one look, with the numbers that led to it."""

    kind: ClassVar[str] = "judged"
    at: datetime
    analysis: str
    check: str
    verdict: str
    why: str
    numbers: tuple[tuple[str, float], ...] = ()

    def __str__(self) -> str:
        return f"{self.analysis}/{self.check}: {self.verdict.upper()}: {self.why}"


@attrs.frozen(kw_only=True)
class PhaseEntered:
    """A phase or a step was entered, and why."""

    kind: ClassVar[str] = "entered"
    at: datetime
    phase: str
    step: str
    epoch: int
    why: str
    by: str = "engine"

    def __str__(self) -> str:
        return f"{self.phase}{f' {self.step}' if self.step else ''}: {self.why}"


@attrs.frozen(kw_only=True)
class Asked:
    """The traffic that is asked for was changed, and why."""

    kind: ClassVar[str] = "asked"
    at: datetime
    traffic: Traffic
    why: str

    def __str__(self) -> str:
        return f"asks for {self.traffic} ({self.why})"


@attrs.frozen(kw_only=True)
class Verified:
    """The router was read and serves what was asked for."""

    kind: ClassVar[str] = "verified"
    at: datetime
    traffic: Traffic
    version: str | None

    def __str__(self) -> str:
        return f"serves {self.traffic}, read back"


@attrs.frozen(kw_only=True)
class Drifted:
    """The router serves something that this rollout did not ask for."""

    kind: ClassVar[str] = "drifted"
    at: datetime
    asked: Traffic
    served: Served
    why: str

    def __str__(self) -> str:
        return f"drift: {self.why}"


@attrs.frozen(kw_only=True)
class Late:
    """The rollout was not watched for a while; that time does not count for a bake."""

    kind: ClassVar[str] = "late"
    at: datetime
    by: timedelta
    why: str

    def __str__(self) -> str:
        return self.why


@attrs.frozen(kw_only=True)
class Unjudged:
    """A check or some time is not judged, and why: dormant, warm-up, a gap, a changed query."""

    kind: ClassVar[str] = "unjudged"
    at: datetime
    analysis: str
    what: str
    why: str

    def __str__(self) -> str:
        return f"{self.analysis}/{self.what}: not judged: {self.why}"


@attrs.frozen(kw_only=True)
class Refused:
    """An event was refused, and why: stale, a duplicate, or not possible in this phase."""

    kind: ClassVar[str] = "refused"
    at: datetime
    event: str
    why: str

    def __str__(self) -> str:
        return f"{self.event.replace('_', ' ')} refused: {self.why}"


@attrs.frozen(kw_only=True)
class Escalated:
    """A person should look now.

    ``undo`` is a command line that takes all traffic back by hand, where the router has one.
    """

    kind: ClassVar[str] = "escalated"
    at: datetime
    why: str
    undo: str = ""

    def __str__(self) -> str:
        return f"NEEDS A PERSON: {self.why}" + (f"\n    by hand: {self.undo}" if self.undo else "")


@attrs.frozen(kw_only=True)
class Released:
    """A version carries no traffic any more and may be decommissioned: the old one after a
    promotion, the candidate after a way back.
    """

    kind: ClassVar[str] = "released"
    at: datetime
    version: str

    def __str__(self) -> str:
        return f"{self.version} may be decommissioned"


Note: TypeAlias = (
    EventRecorded
    | Judged
    | PhaseEntered
    | Asked
    | Verified
    | Drifted
    | Late
    | Unjudged
    | Refused
    | Escalated
    | Released
)
NOTES: tuple[type, ...] = (
    EventRecorded,
    Judged,
    PhaseEntered,
    Asked,
    Verified,
    Drifted,
    Late,
    Unjudged,
    Refused,
    Escalated,
    Released,
)


def _brief(value: object) -> str:
    """Describe a measurement or an answer in a short phrase."""
    match value:
        case Counts(events=events, trials=trials):
            return f"{events} of {trials}"
        case Histogram(sample=sample):
            return f"{sample} values"
        case NoData(why=why) | NoAnswer(why=why):
            return f"{'no data' if isinstance(value, NoData) else 'no answer'}: {why}"
        case NotYet(until=until, why=why):
            return f"not before {until.isoformat()}: {why}"
        case ClosedUntil(at=at, why=why):
            return f"closed until {at.isoformat()}: {why}"
        case Stop(why=why):
            return f"stop: {why}"
        case _:
            return type(value).__name__.lower()
