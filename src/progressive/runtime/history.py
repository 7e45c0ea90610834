"""The history of a service: its rollouts that have ended, out of a store."""

from __future__ import annotations

from progressive.errors import StateError, StoreError, StrategyError
from progressive.model import fields
from progressive.ports import ListingStore
from progressive.rollout.history import Ended, ended_of
from progressive.rollout.listing import Page
from progressive.rollout.notes import Note
from progressive.rollout.phases import FINAL

__all__ = ["history"]


def history(
    store: ListingStore, service: str, *, limit: int = 20, after: str | None = None
) -> Page[Ended]:
    """Return the rollouts of a service that have ended, the newest first: which version, how it
    ended, by whose word and by what evidence.

    All notes of each are read. Where they can't be, its entry is made of its state alone, and it
    stands in `Page.unreadable` too.

    * ``limit``: the most of one page.
    * ``after``: the ``id`` of the last one of the page before.

    Raises `StrategyError` for a store that can't list, and `StoreError`.
    """
    if not hasattr(store, "rollouts"):
        raise StrategyError(
            f"history(store): {fields.brief(store)} can't list rollouts; see "
            "progressive.ports.ListingStore"
        )
    fields.name(service, "history(service)")
    page = store.rollouts(service=service, phase=FINAL, limit=limit, after=after)
    unreadable, entries = list(page.unreadable), []
    for rollout in page:
        notes: list[Note] = []
        try:
            notes = [note for _, note in store.notes(rollout.id)]
        except (StateError, StoreError) as error:
            unreadable.append((rollout.id, error))
        if (ended := ended_of(rollout, notes)) is not None:
            entries.append(ended)
    return Page(entries=tuple(entries), unreadable=tuple(unreadable), more=page.more)
