"""Notice that somebody else has saved a rollout: one look into the store for all who wait for it.

Drivers sleep for minutes, and an abort that is submitted meanwhile shall not. A synchronous one
wakes a few times a second; the first one whose nap saw no look of another takes one, for every
rollout that this process drives in the store. Asynchronous ones that go by the system's clock sleep
on: while there are any, one thread looks for all of them, and wakes those whose rollout was saved.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

import attrs

from progressive.errors import StateError, StoreError
from progressive.ports import Ports, Store

from .threads import acall_within, begin, call_within

if TYPE_CHECKING:
    import asyncio

__all__ = ["Newer", "newer_in"]

NAP: Final = 0.25
"""Seconds between two looks of drivers that wake for them: what is submitted is noticed within
twice as many.
"""

PAUSE: Final = 0.4
"""Seconds between two looks of the thread that looks for those who sleep."""


@attrs.frozen(eq=False)
class _Sleeper:
    """A driver that sleeps until its rollout is newer than ``serial``."""

    id: str
    serial: int | None
    loop: asyncio.AbstractEventLoop
    asleep: asyncio.Future[None]

    def wake(self) -> None:
        """Let it go on. For its own loop."""
        if not self.asleep.done():
            self.asleep.set_result(None)


class Newer:
    """The serials of the rollouts that this process drives in one store. For threads and loops."""

    def __init__(self) -> None:
        self._driven: Counter[str] = Counter()
        self._known: Mapping[str, int] = {}
        self._lock = Lock()
        self._busy = False
        self._sleepers: set[_Sleeper] = set()
        self._watched = False
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

    async def becomes_newer(
        self, store: Store, id: str, serial: int | None, seconds: float
    ) -> bool:
        """Sleep until a rollout is stored with a higher serial than ``serial``, for so many
        ``seconds`` at most. True if it is.
        """
        import asyncio

        loop = asyncio.get_running_loop()
        sleeper = _Sleeper(id, serial, loop, loop.create_future())
        if seconds <= 0 or self._is_newer(id, serial):
            await asyncio.sleep(min(max(seconds, 0.0), PAUSE))
            return self._is_newer(id, serial)
        with self._lock:
            self._sleepers.add(sleeper)
            begins, self._watched = not self._watched, True
        if begins:
            begin(partial(self._watch, store), name="progressive-newer")
        alarm = loop.call_later(seconds, sleeper.wake)
        try:
            await sleeper.asleep
        finally:
            alarm.cancel()
            with self._lock:
                self._sleepers.discard(sleeper)
        return self._is_newer(id, serial)

    def _watch(self, store: Store) -> None:
        """Look again and again while anybody sleeps, and wake those whose rollout is newer."""
        try:
            while self._goes_on():
                time.sleep(PAUSE)
                self.looks += 1
                self._look(store)
                with self._lock:
                    newer = [
                        each for each in self._sleepers if self._is_newer(each.id, each.serial)
                    ]
                for each in newer:
                    with suppress(RuntimeError):  # its loop is closed
                        each.loop.call_soon_threadsafe(each.wake)
        except BaseException:
            self._watched = False  # the next one that sleeps has it begun anew
            raise

    def _goes_on(self) -> bool:
        with self._lock:
            self._watched = bool(self._sleepers)
            return self._watched

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

with suppress(AttributeError):  # Windows has no fork
    os.register_at_fork(after_in_child=_OF.clear)  # a child has no thread that looks for it


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
