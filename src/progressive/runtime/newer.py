"""Notice that somebody else has saved a rollout: one look into the store for all who wait for it.

Drivers sleep for minutes, and an abort that is submitted meanwhile shall not. Each wakes a few
times a second; the first one whose nap saw no look of another takes one, for every rollout that
this process drives in the store.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from threading import Lock
from typing import Any, Final
from weakref import WeakKeyDictionary

from progressive.errors import StateError, StoreError
from progressive.ports import Ports, Store

from .threads import acall_within, call_within

__all__ = ["Newer", "newer_in"]

NAP: Final = 0.25
"""Seconds between two looks: what is submitted is noticed within twice as many."""


class Newer:
    """The serials of the rollouts that this process drives in one store. For threads and loops."""

    def __init__(self) -> None:
        self._driven: Counter[str] = Counter()
        self._known: Mapping[str, int] = {}
        self._lock = Lock()
        self._busy = False
        self.looks = 0
        """How many have begun; whoever sleeps remembers it."""

    @contextmanager
    def driving(self, id: str) -> Iterator[Newer]:
        """Look for this rollout too, while this is open."""
        with self._lock:
            self._driven[id] += 1
        try:
            yield self
        finally:
            with self._lock:
                self._driven[id] -= 1
                if not self._driven[id]:
                    del self._driven[id]

    def is_newer(self, ports: Ports, id: str, serial: int | None, since: int) -> bool:
        """Return whether a rollout is stored with a higher serial than ``serial``.

        ``since``: `looks` before the nap. If another driver has begun one meanwhile, that counts.
        """
        if self._begins(since):
            with suppress(TimeoutError):  # it goes on in its thread, and what it finds counts later
                call_within(partial(self._look, ports.store), ports.timeout.total_seconds())
        return self._is_newer(id, serial)

    async def ais_newer(self, ports: Ports, id: str, serial: int | None, since: int) -> bool:
        """`is_newer` for asyncio."""
        if self._begins(since):
            with suppress(TimeoutError):
                await acall_within(partial(self._look, ports.store), ports.timeout.total_seconds())
        return self._is_newer(id, serial)

    def _is_newer(self, id: str, serial: int | None) -> bool:
        found = self._known.get(id)
        return found is not None and (serial is None or found > serial)

    def _begins(self, since: int) -> bool:
        with self._lock:
            if self._busy or self.looks > since:
                return False
            self._busy = True
            self.looks += 1
            return True

    def _look(self, store: Any) -> None:
        with self._lock:
            driven = tuple(self._driven)
        try:
            with suppress(StoreError, StateError, OSError):  # what is known stands till it answers
                self._known = store.serials(driven)
        finally:
            self._busy = False


_OF: Final[WeakKeyDictionary[Any, Newer]] = WeakKeyDictionary()
_LOCK: Final = Lock()


def newer_in(store: Store | None) -> Newer | None:
    """Return what all drivers of a store share; None if it can't tell serials.

    A store that can't be a key is looked into by each of its drivers.
    """
    if getattr(store, "serials", None) is None:
        return None
    try:
        with _LOCK:
            return _OF.setdefault(store, Newer())
    except TypeError:
        return Newer()
