"""Every sort of note has its place."""

from __future__ import annotations

import typing

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.reported import BEGAN, canned

from progressive import minutes
from progressive.reports.happened import ROWS, flags, happened, is_look, sort_of
from progressive.reports.record import Record
from progressive.reports.sections import LEGEND
from progressive.reports.times import Span
from progressive.rollout.events import EVENTS, PEOPLE
from progressive.rollout.notes import NOTES, EventRecorded, Judged, Note
from progressive.testing.generated import events, notes

CANNED = Record.of(canned(), None)
SPAN = Span(start=BEGAN, end=BEGAN + minutes(16))


@given(notes())
def test_every_note_has_a_sort(note: Note) -> None:
    sort = sort_of(note)

    assert sort.word
    assert bool(sort.letter) is bool(sort.row)
    assert sort.row in ("", *ROWS)


@given(events())
def test_what_a_person_said_is_in_the_row_of_people(event: typing.Any) -> None:
    sort = sort_of(EventRecorded(at=BEGAN, event=event))

    assert (sort.row == "people") is isinstance(event, PEOPLE)


def test_each_letter_stands_for_one_sort_and_is_explained() -> None:
    sorts = {sort_of(EventRecorded(at=BEGAN, event=kind.__new__(kind))) for kind in EVENTS}
    sorts |= {sort_of(kind.__new__(kind)) for kind in NOTES if kind is not EventRecorded}
    letters = [sort.letter for sort in sorts if sort.letter]

    assert len(letters) == len(set(letters)) == 15
    assert all(f" {letter} " in LEGEND for letter in letters)


def test_all_but_looks_and_judgements_happened() -> None:
    entries = happened(CANNED)

    assert len(entries) == len(CANNED.entries) - 4
    assert not any(is_look(entry.note) or isinstance(entry.note, Judged) for entry in entries)


@pytest.mark.parametrize(
    ("row", "letters"),
    [("people", ["H", "R"]), ("hooks and gates", []), ("trouble", ["f", "l", "r", "d", "!"])],
)
def test_flags_have_the_letter_of_what_happened(row: str, letters: list[str]) -> None:
    found = flags(CANNED.entries, row, SPAN, 100)

    assert [flag.letters for flag in found] == letters


@given(st.integers(1, 12))
def test_flags_that_would_lie_on_each_other_are_one_with_their_number(most: int) -> None:
    found = flags(CANNED.entries, "trouble", SPAN, most)

    assert len(found) <= most
    assert [entry for flag in found for entry in flag.entries] == [
        entry for entry in CANNED.entries if sort_of(entry.note).row == "trouble"
    ]
    assert flags(CANNED.entries, "trouble", SPAN, 1)[0].letters == "5"
    assert flags([*CANNED.entries] * 30, "trouble", SPAN, 1)[0].letters == "99+"
