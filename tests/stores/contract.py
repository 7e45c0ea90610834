"""What every store must do, as plain functions: ``check_store(make)``, where ``make()`` gives a new and empty store each time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import attrs
import pytest

from progressive import Canary, ConflictError, Release, Rollout, Store, Version, begin, minutes, percents
from progressive.messages import Hold
from progressive.notes import Happened, Note, Refused

AT = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)

PLAN = Canary(weights=percents(1, 100), bake=minutes(5), unguarded="a store does not look at it").plan

HOSTILE = (
    "a/../../x",
    "a/b",
    "a:b",
    "a.json",
    "a.notes",
    "a",
    "A",
    "Ab",
    "aB",
    "con",
    "1",
    "a_b-c.d",
    "x" * 128,
    "X" * 128,
    "xX" * 64,
)
"""Ids that are valid and try to leave the directory, or to be one file with another."""


def a_rollout(id: str = "checkout-42", *, serial: int = 0, service: str = "checkout", created: datetime = AT, wake_at: datetime = AT) -> Rollout:
    """A rollout as it stands in its first moment, with the serial that is asked for."""
    release = Release(service=service, stable=Version("v1", backend="v1"), candidate=Version("v2", backend="v2"))
    rollout = begin(PLAN, release, id=id, at=created)
    return attrs.evolve(rollout, serial=serial, wake_at=wake_at)


def some_notes(serial: int, many: int = 2) -> tuple[Note, ...]:
    """Notes that say of which save they are."""
    said = Happened(at=AT, event=Hold(at=AT, by="Zoë", why=f"said before serial {serial}\nin two lines"))
    return (said, *(Refused(at=AT, event="skip", why=f"serial {serial}, note {n}") for n in range(1, many)))[:many]


def all_notes(id: str, *serials: int, many: int = 2) -> list[tuple[str, Note]]:
    """What `Store.notes` gives after saves of `some_notes` with these serials."""
    return [(f"{id}/{serial}/{n}", note) for serial in serials for n, note in enumerate(some_notes(serial, many))]


def check_store(make: Callable[[], Store]) -> None:
    """Every law of the contract."""
    for law in LAWS:
        law(make())


def what_is_saved_is_loaded(store: Store) -> None:
    first, second = a_rollout(), a_rollout(serial=3)

    assert store.load(first.id) is None
    store.save(first, (), expected=None)
    assert store.load(first.id) == first
    store.save(second, some_notes(3), expected=0)
    assert store.load(first.id) == second


def a_save_that_expects_another_serial_changes_nothing(store: Store) -> None:
    with pytest.raises(ConflictError, match=r"checkout-42.*5 was expected"):
        store.save(a_rollout(serial=6), some_notes(6), expected=5)
    assert store.load("checkout-42") is None
    store.save(a_rollout(), some_notes(0), expected=None)
    for expected in (None, 1, 7):
        with pytest.raises(ConflictError, match=r"checkout-42.*serial 0"):
            store.save(a_rollout(serial=8), some_notes(8), expected=expected)

    assert store.load("checkout-42") == a_rollout()
    assert list(store.notes("checkout-42")) == all_notes("checkout-42", 0)


def saving_what_is_stored_changes_nothing(store: Store) -> None:
    store.save(a_rollout(), some_notes(0), expected=None)
    store.save(a_rollout(serial=1), some_notes(1), expected=0)
    store.save(a_rollout(serial=1), (), expected=1)

    assert store.load("checkout-42") == a_rollout(serial=1)
    assert list(store.notes("checkout-42")) == all_notes("checkout-42", 0, 1)


def notes_have_ids_and_come_oldest_first(store: Store) -> None:
    store.save(a_rollout(), (), expected=None)
    for before, serial in ((0, 2), (2, 3), (3, 10), (10, 11)):
        store.save(a_rollout(serial=serial), some_notes(serial, many=serial % 4), expected=before)

    assert list(store.notes("nobody")) == []
    assert [id for id, _ in store.notes("checkout-42")] == [
        "checkout-42/2/0", "checkout-42/2/1", "checkout-42/3/0", "checkout-42/3/1", "checkout-42/3/2",
        "checkout-42/10/0", "checkout-42/10/1", "checkout-42/11/0", "checkout-42/11/1", "checkout-42/11/2",
    ]  # fmt: skip
    assert [note for _, note in store.notes("checkout-42")] == [note for serial in (2, 3, 10, 11) for note in some_notes(serial, serial % 4)]


def due_is_what_must_be_ticked_longest_overdue_first(store: Store) -> None:
    for name, late in (("b", 1), ("a", 3), ("c", 2), ("now", 0), ("later", -1)):
        store.save(a_rollout(name, wake_at=AT - timedelta(seconds=late)), (), expected=None)

    assert list(store.due(AT)) == ["a", "c", "b", "now"]
    assert list(store.due(AT, 2)) == ["a", "c"]
    assert list(store.due(AT - timedelta(seconds=3))) == ["a"]
    assert list(store.due(AT - timedelta(hours=1))) == []


def due_follows_every_save(store: Store) -> None:
    store.save(a_rollout(), (), expected=None)
    store.save(a_rollout(serial=1, wake_at=AT + timedelta(seconds=5)), (), expected=0)

    assert list(store.due(AT)) == []
    assert list(store.due(AT + timedelta(seconds=5))) == ["checkout-42"]


def last_is_the_newest_of_its_service(store: Store) -> None:
    store.save(a_rollout("z-old", created=AT), (), expected=None)
    store.save(a_rollout("m-new", created=AT + timedelta(hours=2)), (), expected=None)
    store.save(a_rollout("a-middle", created=AT + timedelta(hours=1)), (), expected=None)
    store.save(a_rollout("other", service="cart", created=AT + timedelta(hours=3)), (), expected=None)
    store.save(a_rollout("z-old", serial=1, created=AT), (), expected=0)

    assert getattr(store.last("checkout"), "id", None) == "m-new"
    assert getattr(store.last("cart"), "id", None) == "other"
    assert store.last("nobody") is None


def two_ids_never_meet(store: Store) -> None:
    for serial, id in enumerate(HOSTILE):
        store.save(a_rollout(id, serial=serial), some_notes(serial), expected=None)

    for serial, id in enumerate(HOSTILE):
        assert store.load(id) == a_rollout(id, serial=serial)
        assert list(store.notes(id)) == all_notes(id, serial)
    assert sorted(store.due(AT)) == sorted(HOSTILE)


LAWS: tuple[Callable[[Store], None], ...] = (
    what_is_saved_is_loaded,
    a_save_that_expects_another_serial_changes_nothing,
    saving_what_is_stored_changes_nothing,
    notes_have_ids_and_come_oldest_first,
    due_is_what_must_be_ticked_longest_overdue_first,
    due_follows_every_save,
    last_is_the_newest_of_its_service,
    two_ids_never_meet,
)
