"""Tell the observers and the log what was decided, in order, without letting them delay or disturb
it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import datetime
from functools import partial
from typing import Final

from progressive.engine.decide import Decision
from progressive.ports import Observer, Ports
from progressive.rollout.notes import Note
from progressive.rollout.state import Rollout

from .threads import begin, call_in_thread, call_within

__all__ = ["OBSERVER_TIME", "Observing", "told_of_driving"]

OBSERVER_TIME = 5.0
"""Seconds that are waited for the observers, and never beyond the next tick; after that the rollout
goes on, and they are told the rest when they come back.
"""

LEAST: Final = 0.05
"""Seconds that are always waited for them, so that those who are quick have seen what they were
told.
"""

KEPT: Final = 1_000
"""How many decisions are kept for observers that hang; of more, the oldest are dropped."""


@contextmanager
def told_of_driving(ports: Ports, rollout: Rollout) -> Iterator[None]:
    """Enter the ``driving(rollout)`` of each observer that has one, until this is left.

    Their errors go to `threading.excepthook`.
    """
    with ExitStack() as stack:
        for observer in ports.observers:
            if (driving := getattr(observer, "driving", None)) is not None:
                stack.enter_context(_harmless(driving, rollout))
        yield


@contextmanager
def _harmless(
    driving: Callable[[Rollout], AbstractContextManager[object]], rollout: Rollout
) -> Iterator[None]:
    entered: AbstractContextManager[object] | None = None
    try:
        entered = driving(rollout)
        entered.__enter__()
    except Exception as error:
        entered = None
        _report(error)
    try:
        yield
    finally:
        if entered is not None:
            try:
                entered.__exit__(None, None, None)
            except Exception as error:
                _report(error)


def _report(error: Exception) -> None:
    """Say what an observer raised, as Python says it of a thread."""
    threading.excepthook(
        threading.ExceptHookArgs(
            (type(error), error, error.__traceback__, threading.current_thread())
        )
    )


class Observing:
    """The observers of one driver and the log, called in one thread of their own, one decision
    after the other.

    Their errors go to `threading.excepthook` and change nothing. A decision without notes is not
    told.
    """

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._untold: deque[Callable[[], None]] = deque(maxlen=KEPT)
        self._changed = threading.Condition()
        self._running = False

    def tell(self, decision: Decision, failed: str | None = None) -> None:
        """Have them called; returns at once. ``failed``: why it could not be saved."""
        from .logs import wanted  # `import progressive` loads no logging

        observed = bool(self._ports.observers and decision.notes)
        if not observed and not wanted(decision.notes, failed):
            return
        self._have_called(partial(self._tell, decision, failed))

    def overhear(self, stored: Rollout, since: int | None) -> None:
        """Have the log and those observers told that have ``overheard`` what others have saved
        after the serial ``since``; returns at once.
        """
        from .logs import hears

        if since is not None and (hears() or any(map(_overheard, self._ports.observers))):
            self._have_called(partial(self._overhear, stored, since))

    def _have_called(self, call: Callable[[], None]) -> None:
        with self._changed:
            self._untold.append(call)
            if self._running:
                return
            self._running = True
        begin(self._run, name="progressive-observers")

    def wait(self, until: datetime | None = None) -> None:
        """Wait until they have seen everything, for `OBSERVER_TIME` and not beyond ``until``."""
        with self._changed:
            self._changed.wait_for(lambda: not self._running, self._patience(until))

    async def await_all(self, until: datetime | None = None) -> None:
        """`wait` for asyncio."""
        with self._changed:
            running = self._running
        if running:
            await call_in_thread(self.wait, until)

    def _patience(self, until: datetime | None) -> float:
        if until is None:
            return OBSERVER_TIME
        left = (until - self._ports.clock()).total_seconds()
        return min(OBSERVER_TIME, max(LEAST, left))

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._untold:
                    self._running = False
                    self._changed.notify_all()
                    return
                call = self._untold.popleft()
            try:
                call()
            except Exception as error:
                _report(error)

    def _tell(self, decision: Decision, failed: str | None) -> None:
        from .logs import log

        log(decision.rollout, decision.notes, failed)
        for observer in self._ports.observers if decision.notes else ():
            try:
                observer(decision.rollout, decision.notes)
            except Exception as error:
                _report(error)

    def _overhear(self, stored: Rollout, since: int) -> None:
        from .logs import log_of_others

        store = self._ports.store
        assert store is not None  # it has given what is newer

        def read() -> list[tuple[int, Note]]:
            return [
                (serial, note)
                for id, note in store.notes(stored.id)
                if since < (serial := int(id.split("/")[-2])) <= stored.serial
            ]

        notes = call_within(read, OBSERVER_TIME)
        log_of_others(stored, notes)
        for overheard in filter(None, map(_overheard, self._ports.observers if notes else ())):
            try:
                overheard(stored, [note for _, note in notes])
            except Exception as error:
                _report(error)


def _overheard(observer: Observer) -> Observer | None:
    """Return what an observer is called by that wants to know what others save meanwhile."""
    found: Observer | None = getattr(observer, "overheard", None)
    return found
