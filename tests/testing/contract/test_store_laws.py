"""`check_store` bites every bad store with a sentence that names the fault. That good ones pass is
in `tests/stores/test_contract.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from time import sleep
from typing import Any

import attrs
import pytest
from tests.support.rules import rule

from progressive import ConflictError, Phase, Rollout, StrategyError
from progressive.errors import StoreError
from progressive.rollout.listing import Page
from progressive.rollout.notes import Note
from progressive.stores.file import FileStore
from progressive.testing import LawBroken, MemoryStore, check_store
from progressive.testing.contract.laws import in_words
from progressive.testing.contract.listing_laws import LISTING_LAWS
from progressive.testing.contract.store_laws import LAWS


class Careless(MemoryStore):
    """Does not compare."""

    def save(self, rollout: Rollout, notes: Sequence[Note], *, expected: int | None) -> None:
        super().save(rollout, notes, expected=self._serials.get(rollout.id))


class Blind(MemoryStore):
    """Compares, and writes a little later whatever has come in between."""

    def save(self, rollout: Rollout, notes: Sequence[Note], *, expected: int | None) -> None:
        if expected is not None and self._serials.get(rollout.id) == expected:
            sleep(0.002)
            self._serials[rollout.id] = expected
        super().save(rollout, notes, expected=expected)


class Hasty(MemoryStore):
    """Writes the notes before it compares."""

    def save(self, rollout: Rollout, notes: Sequence[Note], *, expected: int | None) -> None:
        try:
            super().save(rollout, notes, expected=expected)
        except ConflictError:
            kept = self._notes.setdefault(rollout.id, [])
            kept += [(f"{rollout.id}/{rollout.serial}/{n}", note) for n, note in enumerate(notes)]
            raise


class Twice(MemoryStore):
    """Refuses to save what is stored already."""

    def save(self, rollout: Rollout, notes: Sequence[Note], *, expected: int | None) -> None:
        if self._serials.get(rollout.id) == rollout.serial:
            raise ConflictError(f"{rollout.id} is stored")
        super().save(rollout, notes, expected=expected)


class Same(MemoryStore):
    """Takes two decisions under one serial."""

    def save(self, rollout: Rollout, notes: Sequence[Note], *, expected: int | None) -> None:
        if expected is not None and rollout.serial <= expected == self._serials.get(rollout.id):
            self._serials[rollout.id] = expected = rollout.serial - 1
        super().save(rollout, notes, expected=expected)


class Raises(MemoryStore):
    """Has errors of its own."""

    def save(self, rollout: Rollout, notes: Sequence[Note], *, expected: int | None) -> None:
        try:
            super().save(rollout, notes, expected=expected)
        except ConflictError as error:
            raise KeyError(rollout.id) from error


class Nameless(MemoryStore):
    def save(self, rollout: Rollout, notes: Sequence[Note], *, expected: int | None) -> None:
        try:
            super().save(rollout, notes, expected=expected)
        except ConflictError:
            raise ConflictError("conflict") from None


class Crowded(MemoryStore):
    """Lets a service have two active rollouts."""

    def save(self, rollout: Rollout, notes: Sequence[Note], *, expected: int | None) -> None:
        self._active.clear()
        super().save(rollout, notes, expected=expected)


class Lonely(MemoryStore):
    """Counts a rollout as active while it is in the table."""

    def save(self, rollout: Rollout, notes: Sequence[Note], *, expected: int | None) -> None:
        for id in self._texts:
            found = self.load(id)
            if (
                found is not None
                and id != rollout.id
                and found.release.service == rollout.release.service
                and not rollout.final
            ):
                raise ConflictError(f"{id} is there")
        super().save(rollout, notes, expected=expected)


class Textual(MemoryStore):
    """Sorts the ids of notes as text."""

    def notes(self, id: str) -> Iterable[tuple[str, Note]]:
        return sorted(super().notes(id), key=lambda pair: pair[0])


class Newest(MemoryStore):
    """What was saved last comes first."""

    def notes(self, id: str) -> Iterable[tuple[str, Note]]:
        return list(super().notes(id))[::-1]


class Final(MemoryStore):
    """Keeps the notes of the last save only."""

    def save(self, rollout: Rollout, notes: Sequence[Note], *, expected: int | None) -> None:
        super().save(rollout, notes, expected=expected)
        self._notes[rollout.id] = self._notes[rollout.id][-len(notes) :]


class Utf8(MemoryStore):
    def save(self, rollout: Rollout, notes: Sequence[Note], *, expected: int | None) -> None:
        for note in notes:
            str(note).encode()
        super().save(rollout, notes, expected=expected)


class Unknown(MemoryStore):
    def load(self, id: str) -> Rollout | None:
        found = super().load(id)
        if found is None:
            raise StoreError(f"no {id}")
        return found


class Everything(MemoryStore):
    """Knows no limit."""

    def due(self, now: datetime, limit: int = 100) -> Sequence[str]:
        return super().due(now, 100)


class Alphabetic(MemoryStore):
    def due(self, now: datetime, limit: int = 100) -> Sequence[str]:
        return sorted(super().due(now, limit))


class Seconds(MemoryStore):
    """Keeps whole seconds."""

    def due(self, now: datetime, limit: int = 100) -> Sequence[str]:
        whole = sorted(
            (found.wake_at.replace(microsecond=0), found.id)
            for found in self._all()
            if found.wake_at is not None
        )
        return (
            [id for at, id in whole if at <= now.replace(microsecond=0)][:limit]
            if now.tzinfo
            else super().due(now)
        )


class Naive(MemoryStore):
    """Takes a time without a zone for whatever."""

    def due(self, now: datetime, limit: int = 100) -> Sequence[str]:
        return super().due(now, limit) if now.tzinfo else []


class Stale(MemoryStore):
    """Remembers when a rollout was due first."""

    def __init__(self) -> None:
        super().__init__()
        self.first: dict[str, Any] = {}

    def save(self, rollout: Rollout, notes: Sequence[Note], *, expected: int | None) -> None:
        super().save(rollout, notes, expected=expected)
        self.first.setdefault(rollout.id, rollout.wake_at)

    def due(self, now: datetime, limit: int = 100) -> Sequence[str]:
        super().due(now)
        found = sorted((at, id) for id, at in self.first.items() if at is not None and at <= now)
        return [id for _, id in found][:limit]


class Saved(MemoryStore):
    """Takes what was saved last for the newest."""

    def last(self, service: str) -> Rollout | None:
        found = [self.load(id) for id in self.order]
        return next(
            (
                each
                for each in reversed(found)
                if each is not None and each.release.service == service
            ),
            None,
        )

    def __init__(self) -> None:
        super().__init__()
        self.order: list[str] = []

    def save(self, rollout: Rollout, notes: Sequence[Note], *, expected: int | None) -> None:
        super().save(rollout, notes, expected=expected)
        self.order = [*(id for id in self.order if id != rollout.id), rollout.id]


class ByClock(Saved):
    """Takes what was created last by whoever's clock for the last, active or not."""

    def last(self, service: str) -> Rollout | None:
        found = [self.load(id) for id in self.order]
        own = [each for each in found if each is not None and each.release.service == service]
        return max(own, key=lambda each: each.clocks.created, default=None)


class Capitals(MemoryStore):
    """Its keys are folded, as some file systems and databases do it."""

    def save(self, rollout: Rollout, notes: Sequence[Note], *, expected: int | None) -> None:
        if rollout.id.lower() in (id.lower() for id in self._texts if id != rollout.id):
            raise ConflictError(f"{rollout.id} is there")
        super().save(rollout, notes, expected=expected)


class Remembering(MemoryStore):
    """Tells the serials that it knew when it was first asked."""

    def serials(self, ids: Sequence[str]) -> Mapping[str, int]:
        self.told = getattr(self, "told", None) or super().serials(ids)
        return self.told


class Driven(MemoryStore):
    """Lets everybody drive."""

    @contextmanager
    def driving(self, id: str) -> Iterator[None]:
        yield


class Stuck(MemoryStore):
    """A driver that fails keeps the lock."""

    def __init__(self) -> None:
        super().__init__()
        self.held: set[str] = set()

    @contextmanager
    def driving(self, id: str) -> Iterator[None]:
        if id in self.held:
            raise ConflictError(f"{id} is driven")
        self.held.add(id)
        yield
        self.held.remove(id)


class Cached(MemoryStore):
    """What was loaded once is not looked up again."""

    def __init__(self) -> None:
        super().__init__()
        self.cache: dict[str, Rollout] = {}

    def load(self, id: str) -> Rollout | None:
        found = self.cache.get(id) or super().load(id)
        if found is not None:
            self.cache[id] = found
        return found


class Busy(MemoryStore):
    """Once a service had a rollout, it never has another."""

    def save(self, rollout: Rollout, notes: Sequence[Note], *, expected: int | None) -> None:
        super().save(rollout, notes, expected=expected)
        if expected is not None:
            self._active[rollout.release.service] = rollout.id


class OldestFirst(MemoryStore):
    def rollouts(self, **asked: Any) -> Page[Rollout]:
        found = super().rollouts(**asked)
        return attrs.evolve(found, entries=found.entries[::-1])


class Offset(MemoryStore):
    """Goes on behind so many as the page before had, wherever these are by now."""

    def rollouts(self, **asked: Any) -> Page[Rollout]:
        if asked.get("after") is None:
            self.given = super().rollouts(**asked)
            return self.given
        limit = asked.pop("limit", 100)
        asked.pop("after")
        found = super().rollouts(**asked).entries[len(self.given) :]
        return Page(entries=found[:limit], more=len(found) > limit)


class Guessing(MemoryStore):
    """A full page may have more behind it, so it says that it has."""

    def rollouts(self, **asked: Any) -> Page[Rollout]:
        found = super().rollouts(**asked)
        return attrs.evolve(found, more=len(found) == asked.get("limit", 100))


class HeldOnly(MemoryStore):
    """Has a definition of its own of who waits for a person."""

    def rollouts(self, **asked: Any) -> Page[Rollout]:
        if asked.get("waiting_for_person"):
            asked["phase"] = Phase.HELD
        return super().rollouts(**asked)


class Lenient(MemoryStore):
    """What it does not know it takes for everything."""

    def rollouts(self, **asked: Any) -> Page[Rollout]:
        try:
            return super().rollouts(**asked)
        except StrategyError:
            return super().rollouts()


class Misspelt(MemoryStore):
    """Nothing is in a phase that there is not."""

    def rollouts(self, **asked: Any) -> Page[Rollout]:
        return Page() if asked.get("phase") == "helt" else super().rollouts(**asked)


class Indexing(MemoryStore):
    """Its own errors come through."""

    def rollouts(self, **asked: Any) -> Page[Rollout]:
        try:
            return super().rollouts(**asked)
        except StrategyError:
            raise IndexError("list index out of range") from None


FAULTS: list[tuple[type[MemoryStore], str]] = [
    (Cached, "Cached.load(checkout-42) does not give what was saved"),
    (Busy, "failed\n  expected: an answer\n  seen:     ConflictError: service 'checkout' has"),
    (
        Unknown,
        (
            "Unknown.load(checkout-42) failed\n  expected: an answer\n  seen:     StoreError: "
            "no checkout-42"
        ),
    ),
    (
        Careless,
        (
            "Careless.save('checkout-42' with serial 6, expected=5) was done\n  expected: "
            "ConflictError, and nothing changed"
        ),
    ),
    (Raises, "Raises.save('checkout-42' with serial 6, expected=5) was refused with another error"),
    (
        Nameless,
        (
            "Nameless.save('checkout-42' with serial 6, expected=5) was refused without a word "
            "about 'checkout-42'"
        ),
    ),
    (Hasty, "Hasty.notes(checkout-42) does not give what was saved\n  expected: []"),
    (Blind, "Blind.save let two writers win one serial"),
    (Same, "Same.save('checkout-42' with serial 2, expected=3) was done"),
    (Twice, "Twice.save('checkout-42' with serial 1, expected=1) failed"),
    (Textual, "Textual.notes(checkout-42) does not give what was saved"),
    (Newest, "Newest.notes(checkout-42) does not give what was saved"),
    (Final, "Final.notes(checkout-42) does not give what was saved"),
    (Utf8, "Utf8.save('checkout-42' with serial 0, expected=None) raised an error of another kind"),
    (
        Everything,
        (
            "due(2026-11-23 09:00:00+00:00, 2) does not give what was saved\n  expected: ['a', "
            "'c']\n  seen:     ['a', 'c', 'b', 'now']"
        ),
    ),
    (Alphabetic, "expected: ['a', 'c', 'b', 'now']\n  seen:     ['a', 'b', 'c', 'now']"),
    (Seconds, "expected: ['before', 'second', 'after', 'millisecond']\n"),
    (Naive, "Naive.due(2026-11-23 09:00:00) was answered\n  expected: StrategyError"),
    (
        Stale,
        (
            "Stale.due(2026-11-23 09:00:00+00:00) does not give what was saved\n  expected: "
            "[]\n  seen:     ['checkout-42']"
        ),
    ),
    (Saved, "Saved.last(checkout) does not give what was saved"),
    (ByClock, "ByClock.last(checkout) does not give what was saved"),
    (
        Crowded,
        (
            "Crowded.save('second' with serial 0, expected=None) was done\n  expected: "
            "ConflictError, and nothing changed"
        ),
    ),
    (
        Lonely,
        (
            "Lonely.save('m-new' with serial 0, expected=None) failed\n  expected: an answer\n "
            " seen:     ConflictError: z-old is there"
        ),
    ),
    (Capitals, "Capitals.save('A' with serial 6, expected=None) failed"),
    (Remembering, "Remembering.serials is not what is stored"),
    (Driven, "Driven.driving let a second driver in"),
    (Stuck, "Stuck.driving does not let go"),
    (
        OldestFirst,
        (
            "OldestFirst.rollouts() does not list what is stored\n  expected: ['a', 'c', 'b', 'z']"
            "\n  seen:     ['z', 'b', 'c', 'a']"
        ),
    ),
    (Offset, "Offset.rollouts(limit=3, after=<Rollout 'r4'"),
    (Guessing, "Guessing.rollouts does not say whether its limit cut\n  expected: more=False"),
    (HeldOnly, "HeldOnly.rollouts(waiting_for_person=True) does not list what is stored"),
    (Lenient, "Lenient.rollouts(after='gone') was answered\n  expected: StrategyError"),
    (Indexing, "Indexing.rollouts(after='gone') was refused with another error"),
    (Misspelt, "Misspelt.rollouts(phase='helt') was answered\n  expected: StrategyError"),
]


@rule("R21")
@pytest.mark.parametrize(("kind", "said"), FAULTS, ids=[kind.__name__ for kind, _ in FAULTS])
def test_a_fault_is_named_with_what_was_expected_what_came_and_how_to_mend_it(
    kind: Callable[[], Any], said: str
) -> None:
    with pytest.raises(AssertionError, match=re.escape(said)) as caught:
        check_store(lambda place: kind(), shared=False)

    assert re.fullmatch(
        r"\S[^\n]+\n  expected: [^\n]*\n  seen:     [^\n]*\n  hint:     [^\n]+(\n  law:     "
        r" [^\n]+)?",
        str(caught.value),
    )


class Listless:
    """A store that was written before there were lists."""

    def __init__(self) -> None:
        store = MemoryStore()
        self.save, self.load, self.due = store.save, store.load, store.due
        self.last, self.notes = store.last, store.notes


def test_a_store_need_not_list() -> None:
    report = check_store(lambda place: Listless(), shared=False)

    untried = {each.law: each.needs for each in report.untried}
    assert [law for law, needs in untried.items() if needs == "store.rollouts"] == [
        in_words(law) for law in LISTING_LAWS
    ]


class Cached(FileStore):
    """Reads a rollout once."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.seen: dict[str, Rollout | None] = {}

    def load(self, id: str) -> Rollout | None:
        if self.seen.get(id) is None:
            self.seen[id] = super().load(id)
        return self.seen[id]

    def save(self, rollout: Rollout, notes: Sequence[Note], *, expected: int | None) -> None:
        self.seen.clear()
        super().save(rollout, notes, expected=expected)
        self.seen[rollout.id] = rollout


def test_a_store_that_does_not_see_what_others_save_is_found_where_others_can(
    tmp_path: Path,
) -> None:
    with pytest.raises(
        AssertionError, match=r"Cached.load\(checkout-42\) does not give what was saved"
    ):
        check_store(lambda place: Cached(tmp_path / place))


def test_one_that_nobody_else_can_reach_is_found_out_unless_it_says_so() -> None:
    with pytest.raises(
        LawBroken, match=r"MemoryStore.load\(checkout-42\) .*\n.*\n  seen:     None"
    ) as caught:
        check_store(lambda place: MemoryStore())

    assert caught.value.law == "two handles see the same"


def test_every_law_is_broken_by_some_store() -> None:
    named = {"two handles see the same"}  # by the store of the test above
    for kind, _ in FAULTS:
        with pytest.raises(LawBroken) as caught:
            check_store(lambda place, kind=kind: kind(), shared=False)  # type: ignore[misc]
        named.add(caught.value.law)

    assert named - {""} == set(map(in_words, LAWS))


def test_the_report_says_what_a_store_does_not_have() -> None:
    report = check_store(lambda place: MemoryStore(), shared=False)

    assert report.port == "MemoryStore"
    assert [(each.law, each.needs) for each in report.untried] == [
        ("a second driver is kept out", "store.driving")
    ]
