"""The weight over time, and fewer pieces of it where there are many."""

from __future__ import annotations

from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st
from tests.support.reported import BEGAN, STORIES, canned

from progressive import Traffic, minutes, percent
from progressive.reports.picture import span_of
from progressive.reports.record import Record
from progressive.reports.shares import Piece, asked, coarser, served
from progressive.reports.times import Span
from progressive.rollout.notes import Asked

CANNED = Record.of(canned(), None)


def whole(pieces: list[Piece]) -> list[tuple[float, float, float]]:
    """Start and end in minutes, and the weight."""
    return [
        (
            (each.start - BEGAN) / minutes(1),
            (each.end - BEGAN) / minutes(1),
            each.ppm / 10_000,
        )
        for each in pieces
    ]


def test_what_was_asked_and_what_was_served_are_two_things() -> None:
    assert whole(asked(CANNED)) == [(0, 15, 10), (15, 16, 0)]
    assert whole(served(CANNED)) == [(0, 1, 0), (1, 12, 10), (12, 16, 30), (16, 16, 0)]
    assert asked(Record.of(CANNED.notes[:1], None)) == []


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 100)), min_size=1, max_size=40))
def test_each_change_begins_its_piece_whatever_the_clock_did(
    changes: list[tuple[int, int]],
) -> None:
    notes = [
        Asked(at=BEGAN + minutes(at), traffic=Traffic(candidate=percent(weight)), why="a test")
        for at, weight in changes
    ]
    pieces = asked(Record.of(notes, None))

    assert [each.ppm for each in pieces] == [
        ppm
        for n, ppm in enumerate(note.traffic.candidate.ppm for note in notes)
        if n == 0 or ppm != notes[n - 1].traffic.candidate.ppm
    ]
    assert all(each.start <= each.end for each in pieces)


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=60), st.integers(1, 20))
def test_fewer_pieces_keep_the_highest_and_count_all(weights: list[int], most: int) -> None:
    pieces = [
        Piece(BEGAN + minutes(n), BEGAN + minutes(n + 1), ppm) for n, ppm in enumerate(weights)
    ]
    fewer = coarser(pieces, Span(start=BEGAN, end=BEGAN + minutes(len(weights))), most)

    assert len(fewer) <= most
    assert sum(each.merged for each in fewer) == len(pieces)
    assert max(each.ppm for each in fewer) == max(weights)


def test_a_story_s_pieces_are_its_weights() -> None:
    story = STORIES["promoted"]()
    record = Record.of(story.notes, story.rollout)
    found: list[tuple[datetime, int]] = [(each.start, each.ppm) for each in served(record)]

    assert [ppm for _, ppm in found if ppm] == [10_000, 100_000, 500_000, 1_000_000]
    assert coarser(served(record), span_of(record)) == served(record)
