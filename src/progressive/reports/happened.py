"""What happened beside the looks: what was decided, what people said, what hooks, gates and the
fleet answered, and what went wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

from progressive.rollout.events import (
    Abort,
    Approve,
    CommandFailed,
    GateAnswered,
    Hold,
    HookAnswered,
    Measured,
    PromoteNow,
    Reject,
    Resume,
    Retired,
    Skip,
    Superseded,
    Surveyed,
)
from progressive.rollout.notes import (
    Asked,
    Drifted,
    Escalated,
    EventRecorded,
    Judged,
    Late,
    Note,
    PhaseEntered,
    Refused,
    Released,
    Unjudged,
    Verified,
)

from .record import Entry, Record
from .times import Span

__all__ = ["ROWS", "Flag", "Sort", "flags", "happened", "is_look", "sort_of"]


@attrs.frozen
class Sort:
    """One sort of notes.

    * ``word``: how it is called, in the singular.
    * ``letter``: what stands for it in the picture; empty if it is not drawn there.
    * ``row``: the row in which it is drawn; empty if it is not.
    """

    word: str
    letter: str = ""
    row: str = ""


ROWS: Final = ("people", "hooks and gates", "trouble")
"""The rows of flags below the weight."""

_PEOPLE, _TASKS, _TROUBLE = ROWS

_EVENTS: Final[dict[type, Sort]] = {
    Measured: Sort("look"),
    Approve: Sort("approval", "A", _PEOPLE),
    Reject: Sort("rejection", "J", _PEOPLE),
    Hold: Sort("hold", "H", _PEOPLE),
    Resume: Sort("resumption", "R", _PEOPLE),
    Skip: Sort("skip", "S", _PEOPLE),
    PromoteNow: Sort("promotion", "P", _PEOPLE),
    Abort: Sort("abort", "X", _PEOPLE),
    HookAnswered: Sort("hook", "h", _TASKS),
    GateAnswered: Sort("gate", "g", _TASKS),
    Surveyed: Sort("fleet"),
    Retired: Sort("retirement"),
    Superseded: Sort("superseded", "U", _PEOPLE),
    CommandFailed: Sort("failure", "f", _TROUBLE),
}
_NOTES: Final[dict[type, Sort]] = {
    Judged: Sort("verdict"),
    PhaseEntered: Sort("decision"),
    Asked: Sort("traffic asked"),
    Verified: Sort("traffic served"),
    Drifted: Sort("drift", "d", _TROUBLE),
    Late: Sort("late", "l", _TROUBLE),
    Unjudged: Sort("not judged"),
    Refused: Sort("refusal", "r", _TROUBLE),
    Escalated: Sort("needs a person", "!", _TROUBLE),
    Released: Sort("released"),
}
_EVENT: Final = Sort("event")


def sort_of(note: Note) -> Sort:
    """Return what sort of note it is."""
    if isinstance(note, EventRecorded):
        return _EVENTS.get(type(note.event), _EVENT)
    return _NOTES[type(note)]


def is_look(note: Note) -> bool:
    """Whether a note is a look or a judgement of one, of which there are many."""
    return isinstance(note, Judged) or (
        isinstance(note, EventRecorded) and isinstance(note.event, Measured)
    )


def happened(record: Record) -> list[Entry]:
    """Return everything but looks and their judgements."""
    return [entry for entry in record.entries if not is_look(entry.note)]


@attrs.frozen(kw_only=True)
class Flag:
    """What is drawn of some notes of one row at nearly the same time."""

    entries: tuple[Entry, ...]

    @property
    def letters(self) -> str:
        """The letter of the only one, else how many there are."""
        if len(self.entries) == 1:
            return sort_of(self.entries[0].note).letter
        return str(len(self.entries)) if len(self.entries) < 100 else "99+"


def flags(entries: Sequence[Entry], row: str, span: Span, most: int) -> list[Flag]:
    """Return the flags of one row, at most ``most``; none lies on another."""
    slices: dict[int, list[Entry]] = {}
    for entry in entries:
        if sort_of(entry.note).row == row:
            slices.setdefault(int(span.part(entry.note.at) * (most - 1)), []).append(entry)
    return [Flag(entries=tuple(slices[n])) for n in sorted(slices)]
