"""A store on trial: what is saved in it, and what every answer has to be."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Final

import attrs

from progressive.errors import ConflictError, StateError, StoreError
from progressive.model.release import Release, Version
from progressive.model.units import minutes, percents
from progressive.ports import Store
from progressive.rollout.events import Hold
from progressive.rollout.notes import EventRecorded, Note, Refused
from progressive.rollout.phases import Phase
from progressive.rollout.state import Rollout, begin
from progressive.strategies.canary import Canary

from .laws import broken, must, must_answer

AT: Final = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
ID: Final = "checkout-42"
SERVICE: Final = "checkout"
OTHER_SERVICE: Final = "cart"
CANARY: Final = Canary(
    weights=percents(1, 100), bake=minutes(5), unguarded="a store does not look at it"
)


def a_rollout(
    id: str = ID,
    *,
    serial: int = 0,
    service: str = SERVICE,
    created: datetime = AT,
    wake_at: datetime = AT,
) -> Rollout:
    """A rollout as it stands in its first moment, with the serial that is asked for."""
    release = Release(service=service, stable=Version("v1"), candidate=Version("v2"))
    return attrs.evolve(
        begin(CANARY.plan, release, id=id, at=created), serial=serial, wake_at=wake_at
    )


def ended(rollout: Rollout) -> Rollout:
    """The same, rolled back without having written."""
    return attrs.evolve(
        rollout, progress=attrs.evolve(rollout.progress, phase=Phase.ROLLED_BACK), wake_at=None
    )


def some_notes(serial: int, many: int = 2) -> tuple[Note, ...]:
    """Notes that say of which save they are."""
    said: Note = EventRecorded(
        at=AT, event=Hold(at=AT, by="Zoë", why=f"said before serial {serial}\nin two lines")
    )
    return (
        said,
        *(Refused(at=AT, event="skip", why=f"serial {serial}, note {n}") for n in range(1, many)),
    )[:many]


def all_notes(id: str, *serials: int, many: int = 2) -> list[tuple[str, Note]]:
    """What `Store.notes` gives after saves of `some_notes` with these serials."""
    return [
        (f"{id}/{serial}/{n}", note)
        for serial in serials
        for n, note in enumerate(some_notes(serial, many))
    ]


@attrs.frozen
class Handle:
    """A store that is looked at while it is used."""

    store: Store

    def named(self, method: str) -> str:
        """How messages name it: ``FileStore.save``."""
        return f"{type(self.store).__name__}.{method}"

    def save(self, rollout: Rollout, notes: Sequence[Note], *, expected: int | None) -> None:
        """A save that has to be done."""
        with must_answer(_call(self.named("save"), rollout, expected), StoreError, ConflictError):
            self.store.save(rollout, notes, expected=expected)

    def refuses(
        self,
        rollout: Rollout,
        notes: Sequence[Note],
        *,
        expected: int | None,
        names: str,
        hint: str,
    ) -> None:
        """A save that has to be refused, with a message in which ``names`` stands."""
        call = _call(self.named("save"), rollout, expected)
        try:
            self.store.save(rollout, notes, expected=expected)
        except ConflictError as error:
            must(
                names in str(error),
                f"{call} was refused without a word about {names!r}",
                expected=f"a ConflictError that names {names!r}",
                seen=error,
                hint="say in the message which rollout is in the way: whoever reads it has "
                "to look at that one",
            )
        except Exception as error:
            wrong = f"{call} was refused with another error"
            raise broken(
                wrong, expected="ConflictError, and nothing changed", seen=error, hint=hint
            ) from error
        else:
            raise broken(
                f"{call} was done",
                expected="ConflictError, and nothing changed",
                seen="it came back without an error",
                hint=hint,
            )

    def finds(self, expected: object, method: str, *given: object) -> None:
        """See that ``load``, ``notes``, ``due`` or ``last`` answers what it has to."""
        call = f"{self.named(method)}({', '.join(map(str, given))})"
        with must_answer(call, StoreError, StateError):
            seen = getattr(self.store, method)(*given)
            seen = list(seen) if isinstance(expected, list) else seen
        must(
            seen == expected,
            f"{call} does not give what was saved",
            expected=expected,
            seen=seen,
            hint=HINTS[method],
        )


HINTS: Final = {
    "load": "give the rollout as it was last saved with success (`dumps` and `loads` do "
    "that), and None if there is none",
    "notes": "give every note of every save that was done, with its id rollout/serial/n, "
    "ordered by serial and n as numbers",
    "due": "give the ids whose wake_at is at or before now, the longest overdue first, at "
    "most limit; None is never due",
    "last": "give the rollout of this service that was created last "
    "(rollout.clocks.created), and None if there is none",
}


@attrs.frozen
class Trial:
    """A place of its own, and handles on it."""

    open: Callable[[str], Store]
    shared: bool
    place: str

    @cached_property
    def store(self) -> Handle:
        """The first handle."""
        return Handle(self.open(self.place))

    def another(self) -> Handle:
        """One more handle on the same place; the first one again if nobody else can reach it."""
        first = self.store
        return Handle(self.open(self.place)) if self.shared else first


def together(*acts: Callable[[], None]) -> None:
    """Each in a thread of its own, at one moment; what one raises is raised."""
    begin, raised = threading.Barrier(len(acts), timeout=60), []

    def run(act: Callable[[], None]) -> None:
        try:
            begin.wait()
            act()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in raised:
        raise error


def _call(save: str, rollout: Rollout, expected: int | None) -> str:
    return f"{save}({rollout.id!r} with serial {rollout.serial}, expected={expected})"
