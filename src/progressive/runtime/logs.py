"""Log what is decided: a record for each note, by the loggers of `progressive.adapters.logs`."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from progressive.adapters.logs import ROLLOUT
from progressive.model.message import Severity, one_line
from progressive.rollout.notes import Note
from progressive.rollout.severity import severity_of
from progressive.rollout.state import Rollout

__all__ = ["hears", "log", "log_of_others", "log_submitted", "submitting", "wanted"]


_SUBMITTED: Final[deque[tuple[str, int]]] = deque(maxlen=1_000)
"""What this process has submitted and logged, by id and serial."""


def wanted(notes: Sequence[Note], failed: str | None) -> bool:
    """Return whether anybody may be listening for one of these records."""
    levels = [severity_of(note) for note in notes]
    if failed is not None:
        levels.append(Severity.WARNING)
    return bool(levels) and ROLLOUT.isEnabledFor(max(levels))


def hears() -> bool:
    """Return whether anybody may be listening for a word of a person."""
    return ROLLOUT.isEnabledFor(Severity.INFO)


def submitting(rollout: Rollout) -> None:
    """Remember that this process is about to save what it has decided of an event, and logs it: a
    driver beside it may see it before that.
    """
    _SUBMITTED.append((rollout.id, rollout.serial))


def log_submitted(rollout: Rollout, notes: Sequence[Note]) -> None:
    """Log what was decided of an event that this process has submitted."""
    if wanted(notes, None):
        log(rollout, notes, None)


def log_of_others(rollout: Rollout, notes: Sequence[tuple[int, Note]]) -> None:
    """Log what others have saved, by serial; what this process has submitted it has logged."""
    log(rollout, [note for n, note in notes if (rollout.id, n) not in _SUBMITTED], None)


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
        if ROLLOUT.isEnabledFor(level):
            ROLLOUT.log(level, "%s: %s", rollout.id, one_line(str(note)), extra=extra)
    if failed is not None:
        words = "%s: not saved, nothing is raised meanwhile: %s"
        ROLLOUT.warning(words, rollout.id, one_line(failed), extra=about | {"note": "not_saved"})
