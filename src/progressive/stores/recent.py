"""Rollouts as they were last read or written by this process."""

from __future__ import annotations

from threading import Lock
from typing import Final

from progressive.plan.step import Kinds
from progressive.rollout.state import Rollout

from .stored import rollout_of

__all__ = ["Recent"]

MOST: Final = 512
"""So many rollouts are kept, some megabytes."""


class Recent:
    """The last rollouts of a store, each with the text that it stands for.

    Text that is still the same is not read again: a save compares it, and a driver that looks
    whether somebody has submitted an event does so twice a second. For threads.
    """

    def __init__(self, kinds: Kinds) -> None:
        self._kinds = kinds
        self._known: dict[str, tuple[bytes, Rollout]] = {}
        self._lock = Lock()

    def read(self, text: bytes, id: str, *, where: str) -> Rollout:
        """Return the rollout of a stored text. Raises `StateError`, whose path begins with
        ``where``.
        """
        known = self._known.get(id)
        if known is not None and known[0] == text:
            return known[1]
        rollout = rollout_of(text, id, self._kinds, where=where)
        self.keep(text, rollout)
        return rollout

    def keep(self, text: bytes, rollout: Rollout) -> None:
        """Remember that this text stands for this rollout."""
        with self._lock:
            self._known.pop(rollout.id, None)
            self._known[rollout.id] = (text, rollout)
            while len(self._known) > MOST:
                del self._known[next(iter(self._known))]
