"""Log what is decided: a record for each note, by the loggers of `progressive.adapters.logs`."""

from __future__ import annotations

from collections.abc import Sequence

from progressive.adapters.logs import ROLLOUT
from progressive.model.message import Severity
from progressive.rollout.notes import Note
from progressive.rollout.severity import severity_of
from progressive.rollout.state import Rollout

__all__ = ["log", "wanted"]


def wanted(notes: Sequence[Note], failed: str | None) -> bool:
    """Return whether anybody may be listening for one of these records."""
    levels = [severity_of(note) for note in notes]
    if failed is not None:
        levels.append(Severity.WARNING)
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
        level, extra = int(severity_of(note)), about | {"note": note.kind}
        ROLLOUT.log(level, "%s: %s", rollout.id, note, extra=extra)
    if failed is not None:
        words = "%s: not saved, nothing is raised meanwhile: %s"
        ROLLOUT.warning(words, rollout.id, failed, extra=about | {"note": "not_saved"})
