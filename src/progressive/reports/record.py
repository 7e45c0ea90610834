"""The notes of one rollout in order, and what they say of it as a whole: how it ended, and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from functools import cached_property
from typing import Final, Protocol, TypeGuard, TypeVar, runtime_checkable

import attrs

from progressive.errors import StrategyError
from progressive.model import fields
from progressive.model.release import Release
from progressive.model.traffic import Track
from progressive.model.units import Percent
from progressive.rollout.notes import NOTES, Asked, Judged, Note, PhaseEntered, Verified
from progressive.rollout.phases import FINAL, Phase
from progressive.rollout.state import Rollout

__all__ = ["Entry", "Given", "Record", "Recorded"]


@runtime_checkable
class Recorded(Protocol):
    """What has the notes of a rollout and the rollout itself: a `Story`."""

    @property
    def notes(self) -> tuple[Note, ...]: ...
    @property
    def rollout(self) -> Rollout: ...


Given = Iterable[Note | tuple[str, Note]]
"""Notes as they come: those of a decision, or pairs of id and note as a store gives them."""

Kind = TypeVar("Kind")

HINT: Final = "pass store.notes(id), notes_from(path), the notes that an observer got, or a Story"


PHASES: Final = frozenset(phase.value for phase in Phase)


@attrs.frozen(kw_only=True)
class Entry:
    """One note with its id (empty if it is not known) and its number from 1 in the rollout."""

    number: int
    id: str
    note: Note

    @property
    def anchor(self) -> str:
        """The name of its place in the list of all notes."""
        return f"note-{self.number}"


@attrs.frozen(kw_only=True)
class Record:
    """Every note of one rollout in the order in which they were written, and the rollout, if it is
    known.
    """

    entries: tuple[Entry, ...]
    rollout: Rollout | None

    @classmethod
    def of(cls, given: Given, rollout: Rollout | None) -> Record:
        """Make it of notes, or of pairs of id and note.

        Pairs are put into the order of their ids; notes without are taken as they come. Raises
        `StrategyError` for what is no note, for notes of several rollouts or of another one than
        ``rollout``, and if there is neither a note nor a rollout.
        """
        if rollout is not None and not isinstance(rollout, Rollout):
            raise StrategyError(
                f"report(rollout=): {fields.brief(rollout)} is no Rollout; pass store.load(id)"
            )
        pairs = [_pair(each, i) for i, each in enumerate(_iterable(given))]
        if all(key is not None for key, _, _ in pairs):
            pairs.sort(key=lambda pair: pair[0] or ("", 0, 0))
            pairs = [
                pair
                for pair, before in zip(pairs, [None, *pairs], strict=False)
                if before is None
                or pair != before  # an import of notes may hold some of them twice
            ]
        if not pairs and rollout is None:
            raise StrategyError(f"report(notes): there are none; {HINT}, or rollout= of a new one")
        ids = [*dict.fromkeys(key[0] for key, _, _ in pairs if key is not None)]
        if rollout is not None and ids and ids != [rollout.id]:
            raise StrategyError(
                f"report(rollout=): it is {rollout.id!r}, and the notes are of "
                f"{' and '.join(map(repr, ids))}; pass those of one"
            )
        if len(ids) > 1:
            raise StrategyError(
                f"report(notes): they are of several rollouts: {' and '.join(map(repr, ids))}; "
                "pass those of one, and several reports to overview(...)"
            )
        return cls(
            entries=tuple(
                Entry(number=number, id=id, note=note)
                for number, (_, id, note) in enumerate(pairs, start=1)
            ),
            rollout=rollout,
        )

    # -------------------------------------------------------------------------------- what it holds

    @property
    def notes(self) -> tuple[Note, ...]:
        return tuple(entry.note for entry in self.entries)

    def all(self, kind: type[Kind]) -> Iterator[Kind]:
        """Yield the notes of one kind."""
        return (entry.note for entry in self.entries if isinstance(entry.note, kind))

    @cached_property
    def checks(self) -> tuple[str, ...]:
        """The keys ``analysis/check`` of all checks: those of the plan, then others that judged."""
        planned = () if self.rollout is None else self.rollout.plan.checks
        judged = (f"{note.analysis}/{note.check}" for note in self.all(Judged))
        return tuple(dict.fromkeys([*(each.key for each in planned), *judged]))

    # ----------------------------------------------------------------------------------- what it is

    @property
    def release(self) -> Release | None:
        return None if self.rollout is None else self.rollout.release

    @cached_property
    def id(self) -> str:
        """The rollout's id; empty if nobody says it."""
        if self.rollout is not None:
            return self.rollout.id
        return self.entries[0].id.rsplit("/", 2)[0]

    @property
    def name(self) -> str:
        """What it is called in a title: the service, else the rollout's id."""
        return self.id or "a rollout" if self.release is None else self.release.service

    # --------------------------------------------------------------------------------- how it ended

    @cached_property
    def entered(self) -> tuple[PhaseEntered, ...]:
        """Every phase and step that was entered, in order; of a phase that is not known here (a
        newer library wrote it) there is only the note.
        """
        known = [note for note in self.all(PhaseEntered) if note.phase in PHASES]
        return tuple(sorted(known, key=lambda note: note.epoch))

    @cached_property
    def last_entered(self) -> PhaseEntered | None:
        return self.entered[-1] if self.entered else None

    @cached_property
    def phase(self) -> Phase:
        """The phase in which it is by its notes."""
        if self.last_entered is not None:
            return Phase(self.last_entered.phase)
        return Phase.PENDING if self.rollout is None else self.rollout.phase

    @property
    def final(self) -> bool:
        return self.phase in FINAL

    @cached_property
    def turn(self) -> PhaseEntered | None:
        """Where it was decided how it ends: the beginning of the way back, or the final phase; None
        before that.
        """
        ends = (Phase.ROLLING_BACK, *FINAL)
        return next((note for note in self.entered if note.phase in ends), None)

    @cached_property
    def why(self) -> str:
        """Why it ended so, or what it does now."""
        if self.turn is not None:
            return self.turn.why
        if self.phase is Phase.HELD and self.last_entered is not None:
            return self.last_entered.why
        return "no step has begun yet" if self.rollout is None else str(self.rollout.status)

    @cached_property
    def check(self) -> str:
        """The key of the check that took it back; empty if none did."""
        turn = self.turn
        if turn is None or turn.phase == Phase.PROMOTED:
            return ""
        return next((key for key in self.checks if turn.why.startswith(f"{key}: ")), "")

    # ------------------------------------------------------------------------------------- how long

    @cached_property
    def began(self) -> datetime:
        if self.rollout is not None:
            return self.rollout.clocks.created
        return min(entry.note.at for entry in self.entries)

    @cached_property
    def ended(self) -> datetime:
        """When it entered its final phase; else the time of the last note."""
        if self.final and self.last_entered is not None:
            return self.last_entered.at
        return max([self.began, *(entry.note.at for entry in self.entries)])

    @property
    def duration(self) -> timedelta:
        return self.ended - self.began

    @cached_property
    def exposed_at(self) -> datetime | None:
        """When the candidate was first seen to have traffic."""
        return next(
            (note.at for note in self.all(Verified) if note.traffic.reaches(Track.CANDIDATE)), None
        )

    @cached_property
    def detected(self) -> timedelta | None:
        """The time from the candidate's first traffic to the decision to go back; None if there was
        no such decision, or no traffic before it.
        """
        turn, first = self.turn, self.exposed_at
        if turn is None or turn.phase == Phase.PROMOTED or first is None or first > turn.at:
            return None
        return turn.at - first

    @cached_property
    def to_zero(self) -> timedelta | None:
        """The time from the decision to go back until stable was seen to have everything; None if
        it was not.
        """
        turn = self.turn
        if turn is None or turn.phase == Phase.PROMOTED or self.phase is not Phase.ROLLED_BACK:
            return None
        return self.ended - turn.at

    @cached_property
    def highest(self) -> Percent:
        """The highest weight that was asked for the candidate."""
        return max((note.traffic.candidate for note in self.all(Asked)), default=Percent(0))

    @cached_property
    def days(self) -> int:
        """On how many days, in UTC, something happened."""
        return len({self.began.date(), *(entry.note.at.date() for entry in self.entries)})


def _iterable(given: object) -> Iterable[object]:
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise StrategyError(f"report(notes): {fields.brief(given)} has no notes; {HINT}")
    return given


def _is_note(value: object) -> TypeGuard[Note]:
    return isinstance(value, NOTES)


def _pair(each: object, i: int) -> tuple[tuple[str, int, int] | None, str, Note]:
    """Return the id in parts, the id, and the note."""
    id, note = each if isinstance(each, tuple) and len(each) == 2 else (None, each)
    if not _is_note(note):
        raise StrategyError(f"report(notes)[{i}]: {fields.brief(each)} is no note; {HINT}")
    if id is None:
        return None, "", note
    rollout, *order = str(id).rsplit("/", 2)
    if len(order) < 2 or not all(part.isdecimal() for part in order):
        raise StrategyError(
            f"report(notes)[{i}]: {id!r} is no id of a note; a store gives pairs such as "
            "('shop-v2/7/0', note)"
        )
    return (rollout, int(order[0]), int(order[1])), str(id), note
