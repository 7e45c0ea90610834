"""Put the notes of one rollout into the order in which they were written, however they are given:
in a file, shuffled, twice, with ids or without.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import groupby, pairwise
from typing import Final, get_args

import attrs

from progressive.codec.documents import loads_note
from progressive.errors import StateError, StrategyError
from progressive.model import fields
from progressive.model.traffic import Traffic
from progressive.model.units import seconds
from progressive.rollout.notes import (
    NOTES,
    Asked,
    Drifted,
    EventRecorded,
    Late,
    Note,
    PhaseEntered,
    Verified,
)

__all__ = ["Written", "as_asked", "by_time", "in_order", "notes_from"]

STEP: Final = seconds(5)
"""A clock that is set back by less than this changes the order of few notes. From a larger step on
the order counts as unknown.
"""

SAVED: Final = b'{"saved":'
"""The beginning of a line that ends a save in the journal of a `FileStore`; a note begins with its
kind.
"""

RANK: Final = {kind: rank for rank, kind in enumerate(get_args(Note))}


def notes_from(path: str | os.PathLike[str]) -> tuple[Note, ...]:
    """Read notes from a file of JSON lines, each as `progressive.codec.dumps_note` writes it.

    Empty lines are ignored. The file may also be the journal of a `FileStore` (``<id>.notes``); the
    rest of an interrupted save after the last whole one is ignored. Raises `StateError` for a line
    that is no note, with its number and what to do, and `OSError` if the file can't be read.
    """
    name = os.fsdecode(path)
    try:
        with open(path, "rb") as file:
            lines = list(enumerate(file, start=1))
    except FileNotFoundError as error:
        error.add_note("a FileStore has the notes of a rollout in <id>.notes of its directory")
        raise
    whole = max((n for n, line in lines if line.startswith(SAVED)), default=len(lines))
    return tuple(
        _note(line, f"{name}, line {n}")
        for n, line in lines[:whole]
        if line.strip() and not line.startswith(SAVED)
    )


def _note(line: bytes, where: str) -> Note:
    try:
        return loads_note(line)
    except StateError as error:
        hint = (
            "each line must be one whole note as dumps_note writes it; mend this one, or write "
            "the file anew from the store"
        )
        raise StateError(f"{error.why}; {hint}", path=f"{where}: {error.path}") from None


@attrs.frozen(kw_only=True)
class Written:
    """Notes in the order of time.

    * ``exact``: whether their ids gave the order in which they were written, also within one
      moment.
    * ``torn``: the moment from which on the order is not known, because the clock stepped back;
      None if it is known to the end.
    """

    notes: tuple[Note, ...]
    exact: bool
    torn: datetime | None


def in_order(given: Iterable[Note | tuple[str, Note]]) -> Written:
    """Order notes, or pairs of id and note as a store gives them.

    Raises `StrategyError` if they are not those of one rollout, from its beginning on.
    """
    ids: list[tuple[str, int, int]] = []
    notes: list[Note] = []
    for i, each in enumerate(given):
        id, note = each if isinstance(each, tuple) and len(each) == 2 else (None, each)
        if not isinstance(note, NOTES):
            raise StrategyError(
                f"replay(notes)[{i}]: {fields.brief(each)} is no note; pass store.notes(id), "
                "or notes_from(path)"
            )
        notes.append(note)
        if id is not None:
            ids.append(_id(id, i))
    if not notes:
        raise StrategyError(
            "replay(notes): there are none; pass store.notes(id) of a rollout that was "
            "driven, or notes_from(path)"
        )
    if len(rollouts := sorted({rollout for rollout, _, _ in ids})) > 1:
        raise _mixed(" and ".join(map(repr, rollouts)))
    entered = _check_epochs(notes)
    if len(ids) < len(notes):
        return Written(
            notes=tuple(sorted(dict.fromkeys(notes), key=by_time)), exact=False, torn=_torn(entered)
        )
    pairs = sorted(dict.fromkeys(zip(ids, notes, strict=True)), key=lambda pair: pair[0])
    for (one, note), (other, following) in pairwise(pairs):
        if one == other:
            raise _mixed(
                f"one that says {str(note)!r} and, under the same id, one that says "
                f"{str(following)!r}"
            )
    written = [note for _, note in pairs]
    return Written(
        notes=tuple(sorted(written, key=lambda note: note.at)), exact=True, torn=_torn(written)
    )


def _id(id: object, i: int) -> tuple[str, int, int]:
    rollout, *order = str(id).rsplit("/", 2)
    if len(order) < 2 or not all(part.isdecimal() for part in order):
        raise StrategyError(
            f"replay(notes)[{i}]: {id!r} is no id of a note; a store gives pairs such as "
            "('shop-v2/7/0', note)"
        )
    return rollout, int(order[0]), int(order[1])


def _check_epochs(notes: list[Note]) -> list[PhaseEntered]:
    """Return the phases and steps that were entered, by epoch.

    Raises `StrategyError` unless there is one for each epoch, from the first on.
    """
    entered = sorted(
        {note for note in notes if isinstance(note, PhaseEntered)},
        key=lambda note: (note.epoch, repr(note)),
    )
    for one, other in pairwise(entered):
        if one.epoch == other.epoch:
            raise _mixed(f"one that says {str(one)!r} and one that says {str(other)!r}")
    if entered and entered[0].epoch != 1:
        raise StrategyError(
            "replay(notes): the beginning is missing, the first phase or step among them "
            f"has epoch {entered[0].epoch} ({entered[0]}); "
            "pass all notes of the rollout"
        )
    return entered


def _torn(written: Iterable[Note]) -> datetime | None:
    """Return the earliest time that came twice, by notes in the order in which they were written.

    None if the clock never stepped back.
    """
    latest: datetime | None = None
    torn: datetime | None = None
    for note in written:
        # Some have the time of an answer, which may be well before that of the decision.
        answered = isinstance(note, Verified | Drifted | Late)
        if (
            not answered
            and latest is not None
            and note.at < latest - STEP
            and (torn is None or note.at < torn)
        ):
            torn = note.at
        latest = note.at if latest is None else max(latest, note.at)
    return torn


def _mixed(what: str) -> StrategyError:
    return StrategyError(
        f"replay(notes): they are of more than one rollout: {what}; pass those of one"
    )


def by_time(note: Note) -> tuple[datetime, int, datetime, str]:
    """Return a key that orders notes by nothing but themselves: by time, within one moment by kind,
    then by the event's own time.
    """
    return (
        note.at,
        RANK[type(note)],
        note.event.at if isinstance(note, EventRecorded) else note.at,
        repr(note),
    )


def as_asked(notes: Iterable[Asked]) -> Iterator[Asked]:
    """Order requests of traffic by time; within one moment up, then down, as a rollout goes."""
    current = Traffic()
    for _, together in groupby(notes, key=lambda note: note.at):
        group = sorted(together, key=lambda note: _shares(note.traffic))
        up = [note for note in group if note.traffic.exceeds(current)]
        yield from up
        yield from (note for note in reversed(group) if note not in up)
        current = group[0].traffic if len(up) < len(group) else group[-1].traffic


def _shares(traffic: Traffic) -> tuple[int, int, int, int]:
    return traffic.candidate.ppm, traffic.baseline.ppm, traffic.mirror.ppm, len(traffic.matches)
