"""What the notes say of a rollout as a whole."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.reported import BEGAN, RELEASE, STORIES, canned

from progressive import Canary, Limit, Metric, Phase, StrategyError, begin, minutes, percent
from progressive.reports.record import Record
from progressive.rollout.notes import PhaseEntered, Verified
from progressive.testing import MemoryStore, Story

CANNED = canned()


def told(name: str) -> tuple[Story, Record]:
    story = STORIES[name]()
    return story, Record.of(story.notes, story.rollout)


@given(st.permutations(CANNED), st.lists(st.sampled_from(CANNED), max_size=3))
def test_pairs_come_into_the_order_of_their_ids_each_once(
    given: list[Any], twice: list[Any]
) -> None:
    record = Record.of([*given, *twice], None)

    assert [(entry.id, entry.note) for entry in record.entries] == CANNED
    assert [entry.number for entry in record.entries] == [*range(1, len(CANNED) + 1)]


def test_serials_are_ordered_as_numbers() -> None:
    (_, one), (_, other) = CANNED[:2]
    record = Record.of([("a/10/0", one), ("a/9/0", other)], None)

    assert [entry.id for entry in record.entries] == ["a/9/0", "a/10/0"]


def test_notes_without_ids_stay_as_they_come() -> None:
    notes = [note for _, note in CANNED][::-1]
    record = Record.of(notes, None)

    assert list(record.notes) == notes
    assert record.id == "" and record.name == "a rollout"
    assert [entry.anchor for entry in record.entries][:2] == ["note-1", "note-2"]


@pytest.mark.parametrize("name", STORIES)
def test_it_says_of_a_story_what_the_story_says(name: str) -> None:
    story, record = told(name)

    assert record.phase is story.phase
    assert record.final is (story.promoted or story.rolled_back)
    assert record.to_zero == story.to_zero
    assert record.why == story.why or record.turn is None
    assert record.highest == story.highest
    assert record.release is RELEASE and record.name == "checkout"
    assert record.began == story.began
    if record.final:
        assert record.duration == story.duration
    if story.detected is None:
        assert record.detected is None
    else:  # the first traffic is known when it was read back
        assert record.detected is not None
        assert timedelta() <= story.detected - record.detected <= minutes(1)


def test_the_check_that_took_it_back_is_named() -> None:
    assert told("rolled_back")[1].check == "checks/error-rate-no-worse"
    assert told("promoted")[1].check == ""
    assert told("unfinished")[1].check == ""
    assert Record.of(CANNED, None).check == "checks/error-rate"


def test_one_that_is_held_says_why() -> None:
    story, record = told("unfinished")

    assert record.phase is Phase.HELD
    assert record.why == "person: let us wait for the news"
    assert record.turn is None and record.detected is None and record.to_zero is None
    assert Record.of(story.notes, None).why == record.why


def test_without_the_rollout_it_has_what_the_notes_say() -> None:
    record = Record.of(CANNED, None)

    assert record.id == record.name == "shop-v2"
    assert record.release is None
    assert record.began == BEGAN and record.ended == BEGAN + minutes(16)
    assert record.detected == minutes(14) and record.to_zero == minutes(1)
    assert record.days == 1
    assert record.checks == ("checks/error-rate",)


def test_a_rollout_without_notes_has_only_begun() -> None:
    canary = Canary(
        weights=(percent(100),), checks=[Limit(Metric("e", kind="ratio"), at_most=percent(1))]
    )
    rollout = begin(canary.plan, RELEASE, id="new", at=BEGAN)
    record = Record.of([], rollout)

    assert record.phase is Phase.PENDING and record.duration == timedelta()
    assert record.why == str(rollout.status)
    assert record.checks == ("checks/e",)


def test_notes_before_the_first_phase_are_of_one_that_is_pending() -> None:
    record = Record.of(CANNED[:1], None)

    assert record.phase is Phase.PENDING
    assert record.why == "no step has begun yet"


def test_a_phase_that_is_not_known_changes_nothing() -> None:
    [note] = [note for _, note in CANNED if isinstance(note, PhaseEntered) and note.epoch == 5]
    later = attrs.evolve(note, phase="archived", epoch=6)

    assert Record.of([*CANNED, ("shop-v2/99/0", later)], None).phase is Phase.ROLLED_BACK


def test_traffic_after_the_decision_detects_nothing() -> None:
    notes = [note for _, note in CANNED if not isinstance(note, Verified)]
    late = [note for _, note in CANNED if isinstance(note, Verified)][1]
    record = Record.of([*notes, attrs.evolve(late, at=BEGAN + minutes(20))], None)

    assert record.detected is None
    assert Record.of(notes, None).detected is None


NOTE = CANNED[0][1]
OTHERS = begin(
    Canary(weights=(percent(100),), unguarded="a test").plan, RELEASE, id="other", at=BEGAN
)


@pytest.mark.parametrize(
    ("given", "rollout", "said"),
    [
        ([], None, "there are none; pass store.notes"),
        ("shop", None, "'shop' has no notes; pass store.notes"),
        (MemoryStore(), None, "has no notes; pass store.notes"),
        ([5], None, "report(notes)[0]: 5 is no note"),
        ([("a/1/0", 5)], None, "report(notes)[0]: ('a/1/0', 5) is no note"),
        ([("a/1", NOTE)], None, "report(notes)[0]: 'a/1' is no id of a note"),
        ([("a/x/0", NOTE)], None, "'a/x/0' is no id of a note"),
        ([("a/1/0", NOTE), ("b/1/0", NOTE)], None, "of several rollouts: 'a' and 'b'"),
        ([("a/1/0", NOTE)], OTHERS, "it is 'other', and the notes are of 'a'"),
        ([NOTE], RELEASE, "report(rollout=): Release("),
    ],
)
def test_what_is_no_record_of_one_rollout_is_refused(given: Any, rollout: Any, said: str) -> None:
    with pytest.raises(StrategyError) as caught:
        Record.of(given, rollout)

    assert said in str(caught.value)
