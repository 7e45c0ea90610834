"""What a process is told, and what the store has besides, is told of once."""

from __future__ import annotations

from collections import Counter
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.observed import HISTORIES
from tests.support.world import START

from progressive import Abort, Approve, StrategyError
from progressive.errors import StateError, StoreError
from progressive.observers.catching_up import CatchingUp, moves
from progressive.observers.metrics_page import MetricsPage
from progressive.rollout.notes import EventRecorded, Note, Refused
from progressive.testing import MemoryStore

EVERY = pytest.mark.parametrize("name", HISTORIES)


def marks(notes: Any) -> Counter[str]:
    return Counter(f"{note.at} {note}" for note in notes)


@EVERY
@pytest.mark.parametrize("processes", [1, 2, 3, 50])
def test_however_many_processes_take_turns_every_note_is_told_once(
    name: str, processes: int
) -> None:
    history = HISTORIES[name]()
    known = [CatchingUp(history.store, "Telemetry") for _ in range(processes)]
    told = [
        note
        for n, (rollout, notes) in enumerate(history.decisions)
        for note in known[n % processes].told(rollout, notes).new
    ]

    assert marks(told) == marks(history.saved)


@EVERY
@settings(max_examples=15)
@given(data=st.data())
def test_where_processes_are_killed_nothing_is_told_twice_and_a_page_has_all_of_it(
    name: str, data: st.DataObject
) -> None:
    """Each tick is told to one of three processes, or by one that is killed first, to none."""
    history = HISTORIES[name]()
    known = [CatchingUp(history.store, "Telemetry") for _ in range(3)]
    pages = [MetricsPage(history.store) for _ in range(3)]
    told: list[Note] = []
    *ticks, last = history.decisions
    for rollout, notes in ticks:
        turn = data.draw(st.integers(0, 3))
        if turn < 3:
            told += known[turn].told(rollout, notes).new
            pages[turn](rollout, notes)
    told += known[0].told(*last).new
    pages[0](*last)
    whole = MetricsPage(history.store)
    whole(*last)

    assert marks(told) <= marks(history.saved)
    if last[0].final and name != "retired":  # where the last tick moves
        assert pages[0].text() == whole.text()


@EVERY
def test_before_is_everything_that_was_noted_before(name: str) -> None:
    history, seen = HISTORIES[name](), 0
    for rollout, notes in history.decisions:
        told = CatchingUp(history.store, "Telemetry").told(rollout, notes)
        assert told.before is not None
        assert marks(history.saved[: len(told.before)]) == marks(told.before)
        seen = len(told.before) + len(told.new)

    assert seen == len(history.saved)


@EVERY
def test_without_a_store_there_is_what_was_told(name: str) -> None:
    history, known = HISTORIES[name](), CatchingUp(None, "Telemetry")

    assert all(
        known.told(rollout, notes).new == tuple(notes) and known.told(rollout, notes).before is None
        for rollout, notes in history.decisions
    )
    assert known.load("shop-2") is None


class Counting(MemoryStore):
    """A store that counts how often its notes are read, and fails if it is told to."""

    read = 0
    error: Exception | None = None

    def notes(self, id: str) -> Any:
        if self.error is not None:
            raise self.error
        self.read += 1
        return super().notes(id)


def counting(name: str) -> Counting:
    store = Counting()
    store.__dict__.update(HISTORIES[name]().store.__dict__)
    return store


def test_the_store_is_read_when_a_rollout_is_new_or_moves_and_not_at_every_look() -> None:
    history, store = HISTORIES["promoted"](), counting("promoted")
    known = CatchingUp(store, "Telemetry")
    for rollout, notes in history.decisions:
        known.told(rollout, notes)
    moved = sum(moves(notes) > 0 for _, notes in history.decisions)

    assert store.read == moved < len(history.decisions) / 4


@pytest.mark.parametrize("error", [StoreError("disk full"), StateError("torn")])
def test_a_store_that_fails_leaves_what_was_told(error: Exception) -> None:
    history, store = HISTORIES["rolled_back"](), counting("rolled_back")
    store.error = error
    known = CatchingUp(store, "Telemetry")
    told = [known.told(rollout, notes) for rollout, notes in history.decisions]

    assert [each.before for each in told] == [None, None]
    assert [each.new for each in told] == [tuple(notes) for _, notes in history.decisions]


@pytest.mark.parametrize("kept", range(8))
def test_of_a_tick_that_was_saved_in_part_nothing_is_told_twice(kept: int) -> None:
    """The store went down in the middle of a tick: it has the first notes of it alone."""
    history = HISTORIES["rolled_back"]()
    rollout, notes = history.decisions[0]
    store = MemoryStore()
    store.save(rollout, notes[:kept], expected=None)
    told = CatchingUp(store, "Telemetry").told(rollout, notes)

    assert told.before == ()
    assert told.new == tuple(notes)


def people(*notes: Note) -> tuple[Note, ...]:
    """What is told of these as submitted, saved one by one before a tick that moved."""
    rollout, ticked = HISTORIES["promoted"]().decisions[0]
    store, expected = MemoryStore(), None
    for n, note in enumerate(notes):
        store.save(attrs.evolve(rollout, serial=n), [note], expected=expected)
        expected = n
    store.save(attrs.evolve(rollout, serial=len(notes)), ticked, expected=expected)
    known = CatchingUp(store, "Telemetry")
    return known.told(attrs.evolve(rollout, serial=len(notes)), ticked).submitted


def test_what_people_submitted_directly_before_is_told_also_what_was_refused() -> None:
    approved = EventRecorded(
        at=START, event=Approve(at=START, approval="go", by="eve", why="it is fine")
    )
    refused = Refused(at=START, event="skip", why="its epoch is over")
    stale = Refused(at=START, event="measured", why="its epoch is over")
    interrupted = EventRecorded(
        at=START, event=Abort(at=START, by="interrupt", why="the driver was interrupted")
    )

    assert people() == ()
    assert people(approved, refused) == (approved, refused)
    assert people(approved, stale, refused) == (refused,)
    assert people(stale, interrupted) == ()


def test_what_this_process_was_told_last_is_not_told_again_as_submitted() -> None:
    """`tick` takes events of people too, and tells them itself."""
    rollout, ticked = HISTORIES["promoted"]().decisions[0]
    approved = EventRecorded(
        at=START, event=Approve(at=START, approval="go", by="eve", why="it is fine")
    )
    store = MemoryStore()
    first, second = (attrs.evolve(rollout, serial=n) for n in (1, 2))
    store.save(first, [approved], expected=None)
    known = CatchingUp(store, "Telemetry")
    told = known.told(first, [approved])
    store.save(second, ticked, expected=1)

    assert told.new == (approved,)
    assert known.told(second, ticked).submitted == ()


def test_an_end_is_given_only_if_it_came_meanwhile() -> None:
    history = HISTORIES["aborted"]()
    known = CatchingUp(history.store, "Telemetry")
    first, last = history.decisions[0][0], history.decisions[-1][0]
    with known.driving(first) as ended:
        assert ended == []
    with known.driving(last) as again:
        pass
    with known.driving(attrs.evolve(first, id="other")) as unknown:
        pass
    with CatchingUp(None, "Telemetry").driving(first) as alone:
        pass

    assert [rollout.final for rollout in ended] == [True]
    assert (again, unknown, alone) == ([], [], [])


@pytest.mark.parametrize("given", [MemoryStore, "rollouts.db", 5])
def test_what_is_no_store_is_an_error_that_says_what_to_write(given: Any) -> None:
    with pytest.raises(StrategyError, match=r"Telemetry\(store\): .* is no store; pass the one"):
        CatchingUp(given, "Telemetry")
