"""The long lists of a page: what happened, the looks of a check, and all notes, each no longer than
a page can hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Final, TypeVar

import attrs

from progressive.rollout.notes import Escalated, Judged, PhaseEntered

from .happened import happened, is_look, sort_of
from .judged import CheckRecord, word
from .markup import Html, tag, text
from .readings import proof
from .record import Entry, Record
from .tables import verdict
from .times import lasting, moment
from .trimmed import Gap, trimmed

__all__ = ["Listings"]

NOTES: Final = 4_000
"""Notes in the list at the end; the page of a rollout of any length stays a few MB."""

HAPPENED: Final = 400
"""Rows of what happened."""

LOOKS: Final = 150
"""Looks in the table of one check."""

UNDO: Final = 4_000
"""Characters of a line that takes everything back by hand, which must not be cut."""

BAD: Final = ("fail", "error", "missing", "inconclusive")

Item = TypeVar("Item")


def _is_kept(entry: Entry) -> bool:
    """Whether a note is kept before others where not all can be: what people said and what was
    decided, and judgements that are neither a pass nor without data.
    """
    note = entry.note
    return not is_look(note) or (isinstance(note, Judged) and note.verdict in BAD)


def _sort_word(entry: Entry) -> str:
    """Name the sort of a note, for people and for the counts of what is left out."""
    return sort_of(entry.note).word


@attrs.frozen(kw_only=True)
class Listings:
    """The lists of one page. Where a list shows a note that is among all notes, it links there."""

    record: Record

    @cached_property
    def listed(self) -> list[Entry | Gap]:
        """What the list of all notes shows."""
        return trimmed(self.record.entries, NOTES, matters=_is_kept, sort=_sort_word)

    @cached_property
    def _shown(self) -> frozenset[int]:
        return frozenset(each.number for each in self.listed if isinstance(each, Entry))

    def linked(self, entry: Entry, inside: Html) -> Html:
        """Link to a note in the list of all notes, if it is shown there."""
        if entry.number not in self._shown:
            return inside
        return tag("a", inside, href=f"#{entry.anchor}")

    def _when(self, entry: Entry) -> Html:
        return moment(entry.note.at, day=self.record.days > 1)

    # -------------------------------------------------------------------------------- what happened

    def happened(self) -> Html | None:
        """List what was decided, what people said and what went wrong; None if nothing happened."""
        entries = happened(self.record)
        if not entries:
            return None
        shown = trimmed(entries, HAPPENED, matters=lambda _: False, sort=_sort_word)
        return _table(("time", "what"), _rows(shown, 2, self._event))

    def _event(self, entry: Entry) -> Html:
        since = lasting(max(entry.note.at, self.record.began) - self.record.began)
        return tag(
            "tr",
            tag(
                "td",
                self.linked(entry, self._when(entry)),
                text(" "),
                tag("span", text(f"+{since}"), class_="since"),
                class_="when",
            ),
            tag("td", tag("span", text(f"{_sort_word(entry)}: "), class_="small"), *_said(entry)),
        )

    # ------------------------------------------------------------------------- the looks of a check

    def looks(self, check: CheckRecord) -> Html:
        """List the looks of one check, with the numbers that led to each verdict."""
        pairs = list(zip(check.entries, check.notes, strict=True))
        shown = trimmed(
            pairs,
            LOOKS,
            matters=lambda pair: pair[1].verdict in BAD,
            sort=lambda pair: word(pair[1].verdict),
        )
        rows = _rows(shown, 3, lambda pair: self._look(check, *pair))
        return _table(("time", "verdict", "why"), rows)

    def _look(self, check: CheckRecord, entry: Entry, note: Judged) -> Html:
        found, said = check.reading(note), [proof(dict(note.numbers))]
        if found is not None:
            limits = " and ".join(map(found.quantity.write, found.limits))
            said = [str(found), f"limit {limits}" if limits else "", *said]
        return tag(
            "tr",
            tag("td", self.linked(entry, self._when(entry)), class_="when"),
            tag("td", verdict(note.verdict)),
            tag("td", text(note.why), tag("div", text("; ".join(filter(None, said))), class_="id")),
        )

    # ------------------------------------------------------------------------------------ all notes

    def notes(self) -> Html:
        """List all notes with their ids."""
        if not self.record.entries:
            return tag("p", text("There are none yet."))
        return _table(("time", "note"), _rows(self.listed, 2, self._note))

    def _note(self, entry: Entry) -> Html:
        note = entry.note
        undo = note.undo if isinstance(note, Escalated) else ""
        return tag(
            "tr",
            tag("td", self._when(entry), class_="when"),
            tag(
                "td",
                text(f"NEEDS A PERSON: {note.why}" if isinstance(note, Escalated) else str(note)),
                *([tag("pre", text(undo, UNDO))] if undo else []),
                tag("div", text(entry.id or f"note {entry.number:,}"), class_="id"),
            ),
            id=entry.anchor,
        )


def _said(entry: Entry) -> Iterator[Html]:
    match entry.note:
        case Escalated(why=why, undo=undo):
            yield text(why)
            if undo:
                yield tag("pre", text(undo, UNDO))
        case PhaseEntered(phase=phase, step=step, why=why, by=by):
            yield tag("strong", text(f"{word(phase)} {step}".strip()))
            yield text(f": {why}{'' if by == 'engine' else f' (by {by})'}")
        case note:
            yield text(str(note))


def _rows(shown: Sequence[Item | Gap], columns: int, row: Callable[[Item], Html]) -> Iterator[Html]:
    """Write a row for each item, and for each gap one that says what is left out."""
    for each in shown:
        if isinstance(each, Gap):
            yield tag("tr", tag("td", text(f"… {each}"), colspan=columns), class_="gap")
        else:
            yield row(each)


def _table(names: Sequence[str], rows: Iterable[Html]) -> Html:
    head = tag("tr", *(tag("th", text(name), scope="col") for name in names))
    return tag("table", tag("thead", head), tag("tbody", *rows))
