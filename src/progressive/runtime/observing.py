"""Tell the observers what was decided, in order, without letting them delay or disturb it."""

from __future__ import annotations

import threading
from collections import deque
from datetime import datetime
from typing import Final

from progressive.engine.decide import Decision
from progressive.ports import Ports

from .threads import begin, call_in_thread

__all__ = ["OBSERVER_TIME", "Observing"]

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


class Observing:
    """The observers of one driver, called in one thread of their own, one decision after the other.

    Their errors go to `threading.excepthook` and change nothing. A decision without notes is not
    told.
    """

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._untold: deque[Decision] = deque(maxlen=KEPT)
        self._changed = threading.Condition()
        self._running = False

    def tell(self, decision: Decision) -> None:
        """Have them called; returns at once."""
        if not self._ports.observers or not decision.notes:
            return
        with self._changed:
            self._untold.append(decision)
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
                decision = self._untold.popleft()
            for observer in self._ports.observers:
                try:
                    observer(decision.rollout, decision.notes)
                except Exception as error:
                    threading.excepthook(
                        threading.ExceptHookArgs(
                            (type(error), error, error.__traceback__, threading.current_thread())
                        )
                    )
