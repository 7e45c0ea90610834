"""The laws of a store. Each is a function of a `Trial`, which has a new and empty place."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from itertools import pairwise
from typing import Final

import attrs

from progressive.errors import ConflictError, StrategyError
from progressive.ports import Store
from progressive.rollout.notes import Refused
from progressive.rollout.phases import Phase, Retirement

from .laws import ContractReport, Laws, NotTried, broken, must
from .listing_laws import LISTING_LAWS
from .store_trial import (
    AT,
    ID,
    OTHER_SERVICE,
    SERVICE,
    Trial,
    a_rollout,
    all_notes,
    ended,
    some_notes,
    together,
)

HOSTILE: Final = (
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
"""Ids that are valid and try to leave the place, or to be one entry with another."""

CHECK: Final = (
    "compare the stored serial with expected within the transaction that writes, "
    "and raise ConflictError if they differ"
)
WHOLE: Final = (
    "store the rollout and its notes in one transaction, and nothing of either if it is refused"
)


def what_was_never_saved_is_not_there(trial: Trial) -> None:
    """An empty place has nothing to say, and says so without an error."""
    store = trial.store
    store.finds(None, "load", ID)
    store.finds([], "notes", ID)
    store.finds([], "due", AT)
    store.finds(None, "last", SERVICE)


def what_is_saved_is_loaded(trial: Trial) -> None:
    """The rollout itself, with all that it has decided."""
    store, first, second = trial.store, a_rollout(), a_rollout(serial=3)
    store.save(first, (), expected=None)
    store.finds(first, "load", ID)
    store.save(second, some_notes(3), expected=0)
    store.finds(second, "load", ID)


def a_save_that_expects_another_serial_changes_nothing(trial: Trial) -> None:
    """Compare-and-set: somebody else has moved it since it was loaded."""
    store = trial.store
    store.refuses(a_rollout(serial=6), some_notes(6), expected=5, names=ID, hint=CHECK)
    store.finds(None, "load", ID)
    store.finds([], "notes", ID)
    store.save(a_rollout(), some_notes(0), expected=None)
    for expected in (None, 1, 7):
        store.refuses(a_rollout(serial=8), some_notes(8), expected=expected, names=ID, hint=CHECK)
        store.finds(a_rollout(), "load", ID)
        store.finds(all_notes(ID, 0), "notes", ID)


def a_serial_that_does_not_rise_is_refused(trial: Trial) -> None:
    """Two decisions under one serial would be one to everybody who compares."""
    store = trial.store
    store.save(a_rollout(serial=3), some_notes(3), expected=None)
    for serial in (2, 3):
        later = a_rollout(serial=serial, wake_at=AT + timedelta(hours=1))
        hint = (
            "raise ConflictError if the serial is not above the stored one, unless "
            "exactly this is stored already"
        )
        store.refuses(later, some_notes(serial), expected=3, names=ID, hint=hint)
        store.finds(a_rollout(serial=3), "load", ID)
        store.finds(all_notes(ID, 3), "notes", ID)


def saving_what_is_stored_changes_nothing(trial: Trial) -> None:
    """A driver that did not hear that its save was done saves once more."""
    store = trial.store
    store.save(a_rollout(), some_notes(0), expected=None)
    store.save(a_rollout(serial=1), some_notes(1), expected=0)
    store.save(a_rollout(serial=1), (), expected=1)
    store.finds(a_rollout(serial=1), "load", ID)
    store.finds(all_notes(ID, 0, 1), "notes", ID)


def notes_have_ids_and_come_oldest_first(trial: Trial) -> None:
    """``rollout/serial/n``: by number, so that 10 comes after 9 in both places."""
    store, serials = trial.store, (2, 3, 9, 10, 11)
    store.save(a_rollout(), (), expected=None)
    for before, serial in pairwise((0, *serials)):
        store.save(a_rollout(serial=serial), some_notes(serial, many=serial), expected=before)
    store.finds([], "notes", "nobody")
    store.finds(
        [note for serial in serials for note in all_notes(ID, serial, many=serial)], "notes", ID
    )


def half_a_surrogate_pair_is_stored_and_read(trial: Trial) -> None:
    """Error texts of the system may hold one, and a driver must not die of it."""
    note = Refused(at=AT, event="skip", why="file \udcff.txt")
    trial.store.save(a_rollout(), (note,), expected=None)
    trial.store.finds([(f"{ID}/0/0", note)], "notes", ID)


def due_is_what_must_be_ticked_longest_overdue_first(trial: Trial) -> None:
    """From ``wake_at`` on, that moment included; what is over is never due."""
    store = trial.store
    for name, late in (("b", 1), ("a", 3), ("c", 2), ("now", 0), ("later", -1)):
        store.save(
            a_rollout(name, service=name, wake_at=AT - timedelta(seconds=late)), (), expected=None
        )
    store.save(ended(a_rollout("over")), (), expected=None)
    store.finds(["a", "c", "b", "now"], "due", AT)
    store.finds(["a", "c"], "due", AT, 2)
    store.finds(["a"], "due", AT - timedelta(seconds=3))
    store.finds([], "due", AT - timedelta(hours=1))


def due_tells_milliseconds_apart(trial: Trial) -> None:
    """As a rollout does; and a time without a zone is nobody's."""
    store = trial.store
    for name, late in (("second", 1000), ("before", 1001), ("after", 999), ("millisecond", 1)):
        store.save(
            a_rollout(name, service=name, wake_at=AT - timedelta(milliseconds=late)),
            (),
            expected=None,
        )
    store.finds(["before", "second", "after", "millisecond"], "due", AT)
    store.finds(["before", "second"], "due", AT - timedelta(seconds=1))
    due, naive = store.named("due"), AT.replace(tzinfo=None)
    expected, hint = (
        "StrategyError",
        "refuse a time without a zone: nobody knows which moment it means",
    )
    try:
        seen: object = store.store.due(naive)
    except StrategyError:
        return
    except Exception as error:
        wrong = f"{due}({naive}) was refused with another error"
        raise broken(wrong, expected=expected, seen=error, hint=hint) from error
    raise broken(f"{due}({naive}) was answered", expected=expected, seen=seen, hint=hint)


def due_follows_every_save(trial: Trial) -> None:
    """Each decision says anew when to come back."""
    store = trial.store
    store.save(a_rollout(), (), expected=None)
    store.save(a_rollout(serial=1, wake_at=AT + timedelta(seconds=5)), (), expected=0)
    store.finds([], "due", AT)
    store.finds([ID], "due", AT + timedelta(seconds=5))
    store.save(ended(a_rollout(serial=2)), (), expected=1)
    store.finds([], "due", AT + timedelta(days=1))


def last_is_the_newest_of_its_service(trial: Trial) -> None:
    """By when it was created, not by when it was saved or by its id."""
    store = trial.store
    old, middle = (
        ended(a_rollout("z-old")),
        ended(a_rollout("a-middle", created=AT + timedelta(hours=1))),
    )
    new = a_rollout("m-new", created=AT + timedelta(hours=2))
    other = a_rollout("other", service=OTHER_SERVICE, created=AT + timedelta(hours=3))
    for rollout in (old, new, middle, other):
        store.save(rollout, (), expected=None)
    store.save(attrs.evolve(old, serial=1), (), expected=0)
    store.finds(new, "last", SERVICE)
    store.finds(other, "last", OTHER_SERVICE)
    store.finds(None, "last", "nobody")


def last_is_the_active_one_whatever_the_clocks_say(trial: Trial) -> None:
    """Who creates the next rollout may have a clock that is behind."""
    store = trial.store
    store.save(ended(a_rollout("before", created=AT + timedelta(hours=2))), (), expected=None)
    active = a_rollout("active", created=AT)
    store.save(active, (), expected=None)
    store.finds(active, "last", SERVICE)


def a_service_has_one_active_rollout(trial: Trial) -> None:
    """Two would move the same traffic."""
    store = trial.store
    store.save(a_rollout("first"), (), expected=None)
    hint = (
        "raise ConflictError, naming the other, if the service has a rollout that is not "
        "final; let the place itself hold it (an index)"
    )
    store.refuses(a_rollout("second"), some_notes(0), expected=None, names="first", hint=hint)
    store.finds(None, "load", "second")
    store.finds([], "notes", "second")
    store.finds(["first"], "due", AT)
    store.finds(a_rollout("first"), "last", SERVICE)
    store.save(a_rollout("another", service=OTHER_SERVICE), (), expected=None)
    store.save(a_rollout("first", serial=1), (), expected=0)


def a_rollout_that_is_final_makes_room(trial: Trial) -> None:
    """Also one with a version still to remove: it moves no traffic, and stays due."""
    store = trial.store
    store.save(a_rollout("first"), (), expected=None)
    store.save(ended(a_rollout("first", serial=1)), (), expected=0)
    store.save(a_rollout("second"), (), expected=None)
    store.refuses(
        a_rollout("third"),
        (),
        expected=None,
        names="second",
        hint="what is active is told by rollout.final, not by which came last",
    )
    retiring = attrs.evolve(
        a_rollout("second", serial=1),
        progress=attrs.evolve(
            a_rollout().progress, phase=Phase.PROMOTED, retirement=Retirement.DUE
        ),
        routing=attrs.evolve(a_rollout().routing, any_write_sent=True),
    )
    store.save(retiring, (), expected=0)
    store.save(a_rollout("third"), (), expected=None)
    store.finds(["second", "third"], "due", AT)


def two_ids_never_meet(trial: Trial) -> None:
    """Every valid id is an entry of its own: separators, capitals, length."""
    store = trial.store
    for serial, id in enumerate(HOSTILE):
        store.save(a_rollout(id, serial=serial, service=id), some_notes(serial), expected=None)
    for serial, id in enumerate(HOSTILE):
        rollout = a_rollout(id, serial=serial, service=id)
        store.finds(rollout, "load", id)
        store.finds(all_notes(id, serial), "notes", id)
        store.finds(rollout, "last", id)
    found = sorted(store.store.due(AT))
    must(
        found == sorted(HOSTILE),
        f"{store.named('due')} gives other ids than were saved",
        expected=sorted(HOSTILE),
        seen=found,
        hint="give ids back as they were saved, whatever they are called in the place",
    )


def two_handles_see_the_same(trial: Trial) -> None:
    """A driver, a web handler and the next job each open the place by themselves."""
    one, other = trial.store, trial.another()
    one.save(a_rollout(), some_notes(0), expected=None)
    other.finds(a_rollout(), "load", ID)
    other.finds([ID], "due", AT)
    other.save(a_rollout(serial=1), some_notes(1), expected=0)
    one.finds(a_rollout(serial=1), "load", ID)
    one.finds(all_notes(ID, 0, 1), "notes", ID)
    one.finds(a_rollout(serial=1), "last", SERVICE)
    one.refuses(a_rollout(serial=2), (), expected=0, names=ID, hint=CHECK)
    other.refuses(
        a_rollout("second"),
        (),
        expected=None,
        names=ID,
        hint="keep what is active in the place, not in the object",
    )


def writers_at_one_moment_lose_no_update(trial: Trial) -> None:
    """Four threads save the same serials: each is won once, and what was lost left nothing."""
    shown, won = trial.store, list[int]()

    def race() -> None:
        store = trial.another().store
        for serial in range(15):
            try:
                store.save(
                    a_rollout(serial=serial),
                    some_notes(serial),
                    expected=serial - 1 if serial else None,
                )
            except ConflictError:
                continue
            won.append(serial)

    together(*[race] * 4)
    must(
        sorted(won) == list(range(len(won))),
        f"{shown.named('save')} let two writers win one serial",
        expected="each of the serials 0 to 14 won by one of four threads, from the first on "
        "without a gap",
        seen=sorted(won),
        hint=CHECK,
    )
    shown.finds(a_rollout(serial=len(won) - 1), "load", ID)
    shown.finds(all_notes(ID, *range(len(won))), "notes", ID)


def serials_are_those_of_what_is_stored(trial: Trial) -> None:
    """``serials`` tells for many rollouts at once how far each is, whoever saved it."""
    serials = getattr(trial.store.store, "serials", None)
    if serials is None:
        raise NotTried("store.serials", "the serials of many rollouts, for drivers that sleep")
    named = trial.store.named("serials")
    asked = (ID, "another", "never-saved")

    def tells(*expected: tuple[str, int]) -> None:
        must(
            (seen := dict(serials(asked))) == dict(expected),
            f"{named} is not what is stored",
            expected=dict(expected),
            seen=seen,
            hint="look into the store each time; leave out what is not there",
        )

    tells()
    trial.store.save(a_rollout(), (), expected=None)
    tells((ID, 0))
    trial.another().save(a_rollout(serial=1), some_notes(1), expected=0)
    tells((ID, 1))
    trial.store.save(a_rollout("another", service="other"), (), expected=None)
    tells((ID, 1), ("another", 0))


def a_second_driver_is_kept_out(trial: Trial) -> None:
    """``driving`` holds a rollout for one driver, and lets go whatever happens."""
    driving = getattr(trial.store.store, "driving", None)
    if driving is None:
        raise NotTried("store.driving", "a context manager that keeps a second driver out")
    named, hint = (
        trial.store.named("driving"),
        "take a lock that ends with its holder, and raise ConflictError if another has it",
    )
    with driving(ID):
        try:
            with trial.another().store.driving(ID):  # type: ignore[attr-defined]
                pass
        except ConflictError as error:
            must(
                ID in str(error),
                f"{named} does not say which rollout is driven",
                expected=f"{ID!r} in the message",
                seen=error,
                hint=hint,
            )
        else:
            wrong = f"{named} let a second driver in"
            raise broken(wrong, expected="ConflictError", seen="it was let in", hint=hint)
        with driving("another"):
            pass
    with suppress(KeyError), driving(ID):
        raise KeyError(ID)
    try:
        with driving(ID):
            pass
    except ConflictError as error:
        wrong = f"{named} does not let go when a driver fails"
        raise broken(
            wrong, expected="that the next one may drive", seen=error, hint=hint
        ) from error


LAWS: Final[tuple[Callable[[Trial], None], ...]] = (
    what_was_never_saved_is_not_there,
    what_is_saved_is_loaded,
    a_save_that_expects_another_serial_changes_nothing,
    a_serial_that_does_not_rise_is_refused,
    saving_what_is_stored_changes_nothing,
    notes_have_ids_and_come_oldest_first,
    half_a_surrogate_pair_is_stored_and_read,
    due_is_what_must_be_ticked_longest_overdue_first,
    due_tells_milliseconds_apart,
    due_follows_every_save,
    last_is_the_newest_of_its_service,
    last_is_the_active_one_whatever_the_clocks_say,
    a_service_has_one_active_rollout,
    a_rollout_that_is_final_makes_room,
    two_ids_never_meet,
    two_handles_see_the_same,
    writers_at_one_moment_lose_no_update,
    serials_are_those_of_what_is_stored,
    a_second_driver_is_kept_out,
    *LISTING_LAWS,
)


def check(open_store: Callable[[str], Store], shared: bool) -> ContractReport:
    """Try every law, each in a place of its own."""
    laws, name = Laws("the store"), ""
    for n, law in enumerate(LAWS):
        trial = Trial(open_store, shared, f"law{n}")
        laws.run([law], trial)
        name = name or type(trial.store.store).__name__
    return attrs.evolve(laws.report(), port=name)
