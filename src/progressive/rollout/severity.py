"""How serious a note is: for logs and notifications."""

from __future__ import annotations

from typing import Final

from progressive.model.message import Severity

from .events import PEOPLE, CommandFailed
from .notes import (
    Drifted,
    Escalated,
    EventRecorded,
    Judged,
    Late,
    Note,
    PhaseEntered,
    Refused,
    Unjudged,
)
from .phases import Phase

__all__ = ["severity_of"]

_WARNINGS: Final = (Drifted, Late, Refused)
_WARNING_PHASES: Final = (Phase.HELD.value, Phase.ROLLING_BACK.value, Phase.ROLLED_BACK.value)


def severity_of(note: Note) -> Severity:
    """Return how serious a note is.

    An error needs a person; a warning is whatever did not go as planned; looks and verdicts that
    changed nothing are for debugging.
    """
    match note:
        case Escalated():
            return Severity.ERROR
        case Judged(verdict=verdict):
            return Severity.DEBUG if verdict in ("pass", "no_data") else Severity.WARNING
        case PhaseEntered(phase=phase):
            return Severity.WARNING if phase in _WARNING_PHASES else Severity.INFO
        case EventRecorded(event=CommandFailed()):
            return Severity.WARNING
        case EventRecorded(event=event):
            return Severity.INFO if isinstance(event, PEOPLE) else Severity.DEBUG
        case Unjudged():
            return Severity.DEBUG
        case _:
            return Severity.WARNING if isinstance(note, _WARNINGS) else Severity.INFO
