"""What one process was told of rollouts, and what the store has besides.

Drivers tell an observer what their own ticks noted. What a person submitted, what another process
decided and what one that was killed did not tell stands in the store alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby

import attrs

from progressive.errors import StateError, StoreError, StrategyError
from progressive.model import fields
from progressive.ports import Store
from progressive.rollout.events import PEOPLE
from progressive.rollout.notes import Asked, EventRecorded, Note, PhaseEntered, Refused
from progressive.rollout.state import Rollout

__all__ = ["CatchingUp", "Told", "moves"]

PEOPLE_KINDS = frozenset(kind.kind for kind in PEOPLE)  # type: ignore[attr-defined]

Saved = tuple[int, Note]
"""A note with the serial under which it was saved."""


@attrs.frozen(kw_only=True)
class Told:
    """What is new of a rollout.

    * ``before``: every note before the new ones; None if the store was not asked, because nothing
      has moved since the last time.
    * ``submitted``: what people submitted directly before this tick: nobody else tells of it.
    * ``notes``: what the tick noted.
    """

    before: tuple[Note, ...] | None
    submitted: tuple[Note, ...]
    notes: tuple[Note, ...]

    @property
    def new(self) -> tuple[Note, ...]:
        """What this process is to tell of."""
        return (*self.submitted, *self.notes)


def moves(notes: Sequence[Note]) -> int:
    """Return how often a step or phase was entered, or other traffic asked for: as often the
    rollout's epoch rose.
    """
    return sum(isinstance(note, PhaseEntered | Asked) for note in notes)


class CatchingUp:
    """Completes what this process is told of rollouts out of a store; None for no store.

    The store is asked when a rollout is new here and when it moves: a few times for each step.
    """

    def __init__(self, store: Store | None, what: str) -> None:
        if store is not None and (isinstance(store, type) or not hasattr(store, "notes")):
            raise StrategyError(
                f"{what}(store): {fields.brief(store)} is no store; pass the one of "
                "Ports(store=...), or None if you keep rollouts yourself"
            )
        self._store = store
        self._last: dict[str, tuple[int, Sequence[Note]]] = {}
        """The epoch of each rollout that this process knows, and what it was told last."""

    def told(self, rollout: Rollout, notes: Sequence[Note]) -> Told:
        """Return what is new with a tick that noted this."""
        epoch, last = self._last.get(rollout.id, (-1, ()))
        self._last[rollout.id] = rollout.epoch, notes
        alone = Told(before=None, submitted=(), notes=tuple(notes))
        if self._store is None or epoch == rollout.epoch:
            return alone
        try:
            saved = self._saved(rollout)
        except (StoreError, StateError):
            # The driver says that the store is down; what this process has is told all the same.
            return alone
        before = _without(saved, notes)
        submitted = _submitted(before, last)
        return Told(
            before=tuple(note for _, note in before[: len(before) - len(submitted)]),
            submitted=submitted,
            notes=tuple(notes),
        )

    def load(self, id: str) -> tuple[Rollout, list[Note]] | None:
        """Return a rollout and all its notes; None if there is none. Raises `StoreError` and
        `StateError`.
        """
        rollout = None if self._store is None else self._store.load(id)
        if rollout is None:
            return None
        return rollout, [note for _, note in self._saved(rollout)]

    @contextmanager
    def driving(self, rollout: Rollout) -> Iterator[list[Rollout]]:
        """At the end give what a person has ended meanwhile, of which no tick tells."""
        ended: list[Rollout] = []
        try:
            yield ended
        finally:
            stored = None if self._store is None else self._store.load(rollout.id)
            if stored is not None and stored.final and not rollout.final:
                ended.append(stored)

    def _saved(self, rollout: Rollout) -> list[Saved]:
        """Return all notes up to this state of the rollout: the store may be further."""
        assert self._store is not None
        saved = ((int(id.split("/")[-2]), note) for id, note in self._store.notes(rollout.id))
        return [(serial, note) for serial, note in saved if serial <= rollout.serial]


def _without(saved: list[Saved], notes: Sequence[Note]) -> list[Saved]:
    """Return what was saved before these notes: they are its end, or as many of the first of them
    as could be saved are.
    """
    told = [*map(_mark, notes)]
    ends = [_mark(note) for _, note in saved[max(0, len(saved) - len(told)) :]]
    own = next(n for n in range(len(ends), -1, -1) if ends[len(ends) - n :] == told[:n])
    return saved[: len(saved) - own]


def _submitted(before: list[Saved], last: Sequence[Note]) -> tuple[Note, ...]:
    """Return the end of ``before`` that people submitted, and that was not told here.

    Whoever ticks next tells of it, so that of several processes one does.
    """
    known = [*map(_mark, last)]
    found: list[Note] = []
    saves = [[note for _, note in save] for _, save in groupby(before, key=lambda pair: pair[0])]
    for save in reversed(saves):
        if not _of_people(save[0]) or _mark(save[-1]) in known:
            break
        found = [*save, *found]
    return tuple(found)


def _of_people(note: Note) -> bool:
    match note:
        case EventRecorded(event=event):
            # The abort of a driver that was interrupted is part of its tick.
            return isinstance(event, PEOPLE) and getattr(event, "by", "") != "interrupt"
        case Refused(event=kind):
            return kind in PEOPLE_KINDS
        case _:
            return False


def _mark(note: Note) -> tuple[str, str, str]:
    """By this a note is known again, however the store keeps it."""
    return note.kind, note.at.isoformat(), str(note)
