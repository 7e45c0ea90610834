"""Lists of stored rollouts: what may be asked for, and one page of what was found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final, Generic, TypeVar, overload

import attrs

from progressive.errors import StateError, StoreError, StrategyError
from progressive.model import fields

from .phases import FINAL, Phase
from .state import Rollout

__all__ = ["Page", "Wanted", "place_of"]

MANY: Final = 2**31
"""The largest ``limit`` that is used; a larger one is the same."""


T = TypeVar("T", covariant=True)


@attrs.frozen(kw_only=True)
class Page(Generic[T]):
    """A page of a list, newest first: a sequence, of rollouts as a rule, empty behind the last one.

    * ``unreadable``: each rollout of this part of the list whose stored state can't be read, as its
      id and the error that names the place and the mend. Nobody watches its traffic, and whether it
      is one of those that were asked for can't be known. One whose age can't be told either stands
      on the first page.
    * ``more``: whether there are more behind it; ``after=page[-1]`` gives them.
    """

    entries: tuple[T, ...] = ()
    unreadable: tuple[tuple[str, StateError | StoreError], ...] = ()
    more: bool = False

    def __iter__(self) -> Iterator[T]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...
    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        return self.entries[index]


def place_of(rollout: Rollout) -> tuple[datetime, str]:
    """Return the place of a rollout in a list; a newer one has a greater place.

    It never changes: so pages go on where they were, whatever is saved or started meanwhile.
    """
    return rollout.clocks.created, rollout.id


def _phases(given: Phase | str | Iterable[Phase | str] | None) -> frozenset[Phase] | None:
    if given is None:
        return None
    try:
        several = [given] if isinstance(given, str) else list(given)
        return frozenset(Phase(each) for each in several)
    except (TypeError, ValueError):
        names = ", ".join(phase.value for phase in Phase)
        raise StrategyError(
            f"rollouts(phase=): {fields.brief(given)} is no phase, nor several; there are {names}"
        ) from None


def _after(given: str | Rollout | None) -> str | tuple[datetime, str] | None:
    if isinstance(given, Rollout):
        return place_of(given)
    return None if given is None else fields.name(given, "rollouts(after=)")


def _service(given: str | None) -> str | None:
    return None if given is None else fields.name(given, "rollouts(service=)")


def _since(given: datetime | None) -> datetime | None:
    return None if given is None else fields.moment(given, "rollouts(since=)")


def _limit(given: int) -> int:
    return min(fields.whole(given, "limit"), MANY)


def _flag(given: bool | None) -> bool | None:
    if given is None or isinstance(given, bool):
        return given
    raise StrategyError(
        f"rollouts(waiting_for_person=): {fields.brief(given)} must be True, False or None"
    )


def _possible(wanted: Wanted) -> frozenset[Phase] | None:
    if not wanted.waiting_for_person:
        return wanted.phase
    return (frozenset(Phase) if wanted.phase is None else wanted.phase) - FINAL


@attrs.frozen(kw_only=True)
class Wanted:
    """What `ListingStore.rollouts` was asked for, checked. Raises `StrategyError`, which names the
    argument.

    * ``phase``: one or several; None for all.
    * ``after``: where to go on: a place, or an id whose place the store has to find.
    * ``possible``: the phases that need to be looked at; None for all. A rollout that is final
      waits for nobody.
    """

    phase: frozenset[Phase] | None = attrs.field(default=None, converter=_phases)
    service: str | None = attrs.field(default=None, converter=_service)
    waiting_for_person: bool | None = attrs.field(default=None, converter=_flag)
    since: datetime | None = attrs.field(default=None, converter=_since)
    limit: int = attrs.field(default=100, converter=_limit)
    after: str | tuple[datetime, str] | None = attrs.field(default=None, converter=_after)

    possible: frozenset[Phase] | None = attrs.field(
        init=False, default=attrs.Factory(_possible, takes_self=True)
    )

    def is_met_by(self, rollout: Rollout) -> bool:
        """Return whether a rollout is one of those, wherever it stands in the list."""
        return (
            (self.phase is None or rollout.phase in self.phase)
            and (self.service is None or rollout.release.service == self.service)
            and (self.since is None or rollout.clocks.created >= self.since)
            and (
                self.waiting_for_person is None
                or rollout.waits_for_person is self.waiting_for_person
            )
        )

    def page(self, found: Iterable[Rollout | tuple[str, StateError | StoreError]]) -> Page[Rollout]:
        """Make the page out of what is stored behind ``after``, newest first.

        Rollouts that are not wanted are left out; no more is taken of ``found`` than is needed.
        """
        rollouts: list[Rollout] = []
        unreadable: list[tuple[str, StateError | StoreError]] = []
        kept = 0
        for each in found:
            if not isinstance(each, Rollout):
                unreadable.append(each)
            elif self.is_met_by(each):
                if len(rollouts) == self.limit:
                    # What can't be read between the last one and this one is on the next page.
                    return Page(
                        entries=tuple(rollouts), unreadable=tuple(unreadable[:kept]), more=True
                    )
                rollouts.append(each)
                kept = len(unreadable)
        return Page(entries=tuple(rollouts), unreadable=tuple(unreadable))
