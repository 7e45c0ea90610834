"""What every store must do: each law of `LAWS` is a function of a new and empty store."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import attrs
import pytest

from progressive import Canary, ConflictError, Phase, Release, Rollout, Store, StrategyError, Version, begin, minutes, percents
from progressive.lifecycle import Retirement
from progressive.messages import Hold
from progressive.notes import Happened, Note, Refused

AT = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)

CANARY = Canary(weights=percents(1, 100), bake=minutes(5), unguarded="a store does not look at it")

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
    rollout = begin(CANARY.plan, release, id=id, at=created)
    return attrs.evolve(rollout, serial=serial, wake_at=wake_at)


def ended(rollout: Rollout) -> Rollout:
    """The same, rolled back without having written."""
    return attrs.evolve(rollout, progress=attrs.evolve(rollout.progress, phase=Phase.ROLLED_BACK), wake_at=None)


def some_notes(serial: int, many: int = 2) -> tuple[Note, ...]:
    """Notes that say of which save they are."""
    said = Happened(at=AT, event=Hold(at=AT, by="Zoë", why=f"said before serial {serial}\nin two lines"))
    return (said, *(Refused(at=AT, event="skip", why=f"serial {serial}, note {n}") for n in range(1, many)))[:many]


def all_notes(id: str, *serials: int, many: int = 2) -> list[tuple[str, Note]]:
    """What `Store.notes` gives after saves of `some_notes` with these serials."""
    return [(f"{id}/{serial}/{n}", note) for serial in serials for n, note in enumerate(some_notes(serial, many))]


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


def a_serial_that_does_not_rise_is_refused(store: Store) -> None:
    store.save(a_rollout(serial=3), some_notes(3), expected=None)
    for serial in (2, 3):
        with pytest.raises(ConflictError, match=f"'checkout-42' is at serial 3, and .* saved .*serial {serial}"):
            store.save(a_rollout(serial=serial, wake_at=AT + timedelta(hours=1)), some_notes(serial), expected=3)

    assert store.load("checkout-42") == a_rollout(serial=3)
    assert list(store.notes("checkout-42")) == all_notes("checkout-42", 3)


def half_a_surrogate_pair_is_stored_and_read(store: Store) -> None:
    """Error texts of the system may hold one, and a driver must not die of it."""
    note = Refused(at=AT, event="skip", why="file \udcff.txt")
    store.save(a_rollout(), (note,), expected=None)

    assert [found for _, found in store.notes("checkout-42")] == [note]


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
        store.save(a_rollout(name, service=name, wake_at=AT - timedelta(seconds=late)), (), expected=None)
    store.save(ended(a_rollout("over")), (), expected=None)

    assert list(store.due(AT)) == ["a", "c", "b", "now"]
    assert list(store.due(AT, 2)) == ["a", "c"]
    assert list(store.due(AT - timedelta(seconds=3))) == ["a"]
    assert list(store.due(AT - timedelta(hours=1))) == []


def due_tells_milliseconds_apart_and_refuses_a_time_without_a_zone(store: Store) -> None:
    for name, late in (("second", 1000), ("before", 1001), ("after", 999), ("millisecond", 1)):
        store.save(a_rollout(name, service=name, wake_at=AT - timedelta(milliseconds=late)), (), expected=None)

    assert list(store.due(AT)) == ["before", "second", "after", "millisecond"]
    assert list(store.due(AT - timedelta(seconds=1))) == ["before", "second"]
    with pytest.raises(StrategyError, match=r"due\(now=\): 2026-11-23T09:00:00 has no time zone"):
        store.due(AT.replace(tzinfo=None))


def due_follows_every_save(store: Store) -> None:
    store.save(a_rollout(), (), expected=None)
    store.save(a_rollout(serial=1, wake_at=AT + timedelta(seconds=5)), (), expected=0)

    assert list(store.due(AT)) == []
    assert list(store.due(AT + timedelta(seconds=5))) == ["checkout-42"]


def last_is_the_newest_of_its_service(store: Store) -> None:
    store.save(ended(a_rollout("z-old", created=AT)), (), expected=None)
    store.save(a_rollout("m-new", created=AT + timedelta(hours=2)), (), expected=None)
    store.save(ended(a_rollout("a-middle", created=AT + timedelta(hours=1))), (), expected=None)
    store.save(a_rollout("other", service="cart", created=AT + timedelta(hours=3)), (), expected=None)
    store.save(ended(a_rollout("z-old", serial=1, created=AT)), (), expected=0)

    assert getattr(store.last("checkout"), "id", None) == "m-new"
    assert getattr(store.last("cart"), "id", None) == "other"
    assert store.last("nobody") is None


def a_service_has_one_active_rollout(store: Store) -> None:
    store.save(a_rollout("first"), (), expected=None)
    with pytest.raises(ConflictError, match=r"service 'checkout' has an active rollout, 'first'; .* before starting 'second'"):
        store.save(a_rollout("second"), some_notes(0), expected=None)

    assert store.load("second") is None
    assert list(store.notes("second")) == []
    assert list(store.due(AT)) == ["first"]
    assert getattr(store.last("checkout"), "id", None) == "first"
    store.save(a_rollout("another", service="cart"), (), expected=None)
    store.save(a_rollout("first", serial=1), (), expected=0)


def a_rollout_that_has_ended_makes_room(store: Store) -> None:
    store.save(a_rollout("first"), (), expected=None)
    store.save(ended(a_rollout("first", serial=1)), (), expected=0)
    store.save(a_rollout("second"), (), expected=None)
    retiring = attrs.evolve(
        a_rollout("second", serial=1),
        progress=attrs.evolve(a_rollout().progress, phase=Phase.PROMOTED, retirement=Retirement.DUE),
        routing=attrs.evolve(a_rollout().routing, touched=True),
    )
    with pytest.raises(ConflictError, match="'second'"):
        store.save(a_rollout("third"), (), expected=None)
    store.save(retiring, (), expected=0)
    store.save(a_rollout("third"), (), expected=None)

    assert list(store.due(AT)) == ["second", "third"]


def two_ids_never_meet(store: Store) -> None:
    for serial, id in enumerate(HOSTILE):
        store.save(a_rollout(id, serial=serial, service=id), some_notes(serial), expected=None)

    for serial, id in enumerate(HOSTILE):
        assert store.load(id) == a_rollout(id, serial=serial, service=id)
        assert list(store.notes(id)) == all_notes(id, serial)
        assert store.last(id) == a_rollout(id, serial=serial, service=id)
    assert sorted(store.due(AT)) == sorted(HOSTILE)


LAWS: tuple[Callable[[Store], None], ...] = (
    what_is_saved_is_loaded,
    a_save_that_expects_another_serial_changes_nothing,
    saving_what_is_stored_changes_nothing,
    a_serial_that_does_not_rise_is_refused,
    half_a_surrogate_pair_is_stored_and_read,
    notes_have_ids_and_come_oldest_first,
    due_is_what_must_be_ticked_longest_overdue_first,
    due_tells_milliseconds_apart_and_refuses_a_time_without_a_zone,
    due_follows_every_save,
    last_is_the_newest_of_its_service,
    a_service_has_one_active_rollout,
    a_rollout_that_has_ended_makes_room,
    two_ids_never_meet,
)
