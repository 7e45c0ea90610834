"""Log what is decided: a record for each note, by the loggers of `progressive.adapters.logs`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from progressive.adapters.logs import ROLLOUT
from progressive.rollout.events import PEOPLE, CommandFailed
from progressive.rollout.notes import (
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
from progressive.rollout.phases import Phase
from progressive.rollout.state import Rollout

__all__ = ["level_of", "log", "wanted"]

_WARNINGS: Final = (Drifted, Late, Refused)
_WARNING_PHASES: Final = (Phase.HELD.value, Phase.ROLLING_BACK.value, Phase.ROLLED_BACK.value)


def level_of(note: Note) -> int:
    """Return how serious a note is, as a level of `logging`."""
    match note:
        case Escalated():
            return logging.ERROR
        case Judged(verdict=verdict):
            return logging.DEBUG if verdict in ("pass", "no_data") else logging.WARNING
        case PhaseEntered(phase=phase):
            return logging.WARNING if phase in _WARNING_PHASES else logging.INFO
        case EventRecorded(event=CommandFailed()):
            return logging.WARNING
        case EventRecorded(event=event):
            return logging.INFO if isinstance(event, PEOPLE) else logging.DEBUG
        case Unjudged():
            return logging.DEBUG
        case _:
            return logging.WARNING if isinstance(note, _WARNINGS) else logging.INFO


def wanted(notes: Sequence[Note], failed: str | None) -> bool:
    """Return whether anybody may be listening for one of these records."""
    levels = [level_of(note) for note in notes]
    if failed is not None:
        levels.append(logging.WARNING)
    return bool(levels) and ROLLOUT.isEnabledFor(max(levels))


def log(rollout: Rollout, notes: Sequence[Note], failed: str | None) -> None:
    """Log the notes of a decision, and why it could not be saved, if so.

    Each record has the rollout's id, its service, serial, phase and step, and the note's kind, as
    attributes: ``rollout``, ``service``, ``serial``, ``phase``, ``step``, ``note``.
    """
    about = {
        "rollout": rollout.id,
        "service": rollout.release.service,
        "serial": rollout.serial,
        "phase": rollout.phase.value,
        "step": rollout.plan.steps[rollout.progress.step].id,
    }
    for note in notes:
        ROLLOUT.log(level_of(note), "%s: %s", rollout.id, note, extra=about | {"note": note.kind})
    if failed is not None:
        words = "%s: not saved, nothing is raised meanwhile: %s"
        ROLLOUT.warning(words, rollout.id, failed, extra=about | {"note": "not_saved"})
