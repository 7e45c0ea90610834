"""Rules that all stores share: reading stored text, and which save may replace what is stored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from progressive.adapters.logs import STORES
from progressive.codec.documents import loads, loads_note
from progressive.errors import ConflictError, StateError, StoreError, StrategyError
from progressive.plan.step import Kinds
from progressive.rollout.listing import Page, Wanted
from progressive.rollout.notes import Note
from progressive.rollout.state import Rollout

__all__ = [
    "may_replace",
    "note_of",
    "nowhere",
    "page_of",
    "rollout_of",
    "second",
    "unreadable",
]


def rollout_of(text: str | bytes, id: str, kinds: Kinds, *, where: str) -> Rollout:
    """Read the rollout ``id`` from its stored text.

    Raises `StateError`, whose path begins with ``where``.
    """
    try:
        rollout = loads(text, kinds)
    except StateError as error:
        raise unreadable(where, error.path, error.why) from None
    if rollout.id != id:
        raise unreadable(
            where, "$.id", f"it is the rollout {rollout.id!r} under the name of {id!r}"
        )
    return rollout


def note_of(text: str | bytes, *, where: str) -> Note:
    """Read a note from its stored text. Raises `StateError`, whose path begins with ``where``."""
    try:
        return loads_note(text)
    except StateError as error:
        raise unreadable(where, error.path, error.why) from None


def unreadable(where: str, place: str, why: str) -> StateError:
    """Make the error for stored text that can't be understood, and is left as it is."""
    return StateError(
        f"{why}. It is left as it is: restore it, or move it away", path=f"{where}: {place}"
    )


def page_of(
    wanted: Wanted, found: Iterable[Rollout | tuple[str, StateError | StoreError]]
) -> Page[Rollout]:
    """Make a page of what was found, and log what can't be read: it hides no other rollout, and is
    not passed over in silence.
    """
    page = wanted.page(found)
    for id, error in page.unreadable:
        about = {"rollout": id}
        STORES.warning("%s: left out of the list, can't be read: %s", id, error, extra=about)
    return page


def nowhere(id: str) -> StrategyError:
    """Make the error for a page that is to go on behind a rollout that is not stored."""
    return StrategyError(
        f"rollouts(after={id!r}): there is no such rollout; pass the Rollout itself, which need "
        "not be stored any more"
    )


def may_replace(
    rollout: Rollout, notes: Sequence[Note], *, expected: int | None, found: int | None, same: bool
) -> bool:
    """Return whether a save is to be made; False if exactly this is stored already.

    ``found`` is the stored serial (None: nothing is stored), ``same`` whether the stored rollout is
    equal. Raises `ConflictError` if the compare-and-set is lost, or the serial does not rise.
    """
    if found != expected:
        is_at = "not stored" if found is None else f"at serial {found}"
        should = (
            "it should not have been stored"
            if expected is None
            else f"serial {expected} was expected"
        )
        raise ConflictError(
            f"rollout {rollout.id!r} is {is_at}, and {should}: "
            "somebody else moved it; load it and decide again"
        )
    if found is not None and rollout.serial <= found:
        if same and not notes:
            return False
        raise ConflictError(
            f"rollout {rollout.id!r} is at serial {found}, and what is to be saved has "
            f"serial {rollout.serial}: a change has a "
            "higher serial than what it changes; load it and decide again"
        )
    return True


def second(rollout: Rollout, other: str) -> ConflictError:
    """Make the error for a second active rollout of a service: both would move its traffic."""
    return ConflictError(
        f"service {rollout.release.service!r} has an active rollout, {other!r}; let it end, "
        f"or abort it, before starting {rollout.id!r}"
    )
