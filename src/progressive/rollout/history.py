"""What became of a rollout that has ended: how, when, by whose word and by what evidence."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import attrs

from progressive.model.release import Release
from progressive.model.units import Percent, percent

from .events import Abort, Approve, Hold, PersonEvent, PromoteNow, Reject, Resume, Skip
from .notes import EventRecorded, Judged, Note, PhaseEntered, Verified
from .phases import FINAL, Phase
from .state import Rollout

__all__ = ["Ended", "ended_of"]


@attrs.frozen(kw_only=True)
class Ended:
    """A rollout that has ended; ``str(ended)`` is a line for a person.

    * ``release``: from which version to which.
    * ``phase``: PROMOTED or ROLLED_BACK.
    * ``began``, ``ended``: when it was started, and when it had ended, read back from the router.
    * ``by``, ``why``: who decided how it ends (``engine``, or a person's name), and why. Of a way
      back that is what began it.
    * ``evidence``: the last judgement of each check before that was decided, in their order.
    * ``people``: what people said, in their order, and was not refused: holds, approvals, an abort.
    * ``exposure``: the highest share that the candidate was seen to serve.
    """

    id: str
    release: Release
    phase: Phase
    began: datetime
    ended: datetime
    by: str
    why: str
    evidence: tuple[Judged, ...] = ()
    people: tuple[PersonEvent, ...] = ()
    exposure: Percent = percent(0)

    @property
    def promoted(self) -> bool:
        """Whether the candidate has become the stable version."""
        return self.phase is Phase.PROMOTED

    def __str__(self) -> str:
        return (
            f"{self.ended:%Y-%m-%d %H:%M:%S} {self.id}: {self.release.stable} -> "
            f"{self.release.candidate} {self.phase.value.replace('_', ' ')} by {self.by} after "
            f"{self.exposure} ({self.why})"
        )


def ended_of(rollout: Rollout, notes: Iterable[Note]) -> Ended | None:
    """Return what became of a rollout, out of it and all of its notes, oldest first.

    None if it has not ended. Without notes, as when they were archived, it is told by the state
    alone: without evidence, people and exposure, and ``by`` is empty.
    """
    if rollout.phase not in FINAL:
        return None
    decided: PhaseEntered | None = None
    ended, exposure = rollout.clocks.entered, percent(0)
    judged: dict[tuple[str, str], Judged] = {}
    people: list[PersonEvent] = []
    for note in notes:
        match note:
            case PhaseEntered(phase=phase) if phase == rollout.phase:
                ended, decided = note.at, decided or note
            case PhaseEntered(phase=Phase.ROLLING_BACK.value):
                decided = decided or note
            case Judged() if decided is None:
                judged.pop((note.analysis, note.check), None)
                judged[note.analysis, note.check] = note
            case Verified(traffic=traffic):
                exposure = max(exposure, traffic.candidate)
            case EventRecorded(
                event=Approve()
                | Reject()
                | Hold()
                | Resume()
                | Skip()
                | PromoteNow()
                | Abort() as said
            ):
                people.append(said)
    return Ended(
        id=rollout.id,
        release=rollout.release,
        phase=rollout.phase,
        began=rollout.clocks.created,
        ended=ended,
        by="" if decided is None else decided.by,
        why=rollout.progress.reason if decided is None else decided.why,
        evidence=tuple(judged.values()),
        people=tuple(people),
        exposure=exposure,
    )
