"""Rollouts as they were last read or written by this process."""

from __future__ import annotations

from hashlib import blake2b
from threading import Lock
from typing import Final

from progressive.plan.step import Kinds
from progressive.rollout.listing import Wanted
from progressive.rollout.state import Rollout

from .stored import rollout_of

__all__ = ["Recent"]

MOST: Final = 512
"""So many rollouts are kept, some megabytes."""

MOST_PASSED_OVER: Final = 100_000
"""Of so many texts is kept whether they wait for a person, some megabytes."""


class Recent:
    """The last rollouts of a store, each with the text that it stands for.

    Text that is still the same is not read again: a save compares it, and a driver that looks
    whether somebody has submitted an event does so twice a second. For threads.
    """

    def __init__(self, kinds: Kinds) -> None:
        self._kinds = kinds
        self._known: dict[str, tuple[bytes, Rollout]] = {}
        self._lock = Lock()
        self._waits: dict[str, tuple[bytes, bool]] = {}

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

    def wanted(self, text: bytes, id: str, wanted: Wanted, *, where: str) -> Rollout | None:
        """Return the rollout of a stored text if it is one of those that are wanted.

        Which of hundreds of rollouts wait for a person is told without reading the others again.
        Raises `StateError`, whose path begins with ``where``.
        """
        asked = wanted.waiting_for_person
        digest = b"" if asked is None else blake2b(text, digest_size=16).digest()
        if asked is not None and self._waits.get(id) == (digest, not asked):
            return None
        rollout = self.read(text, id, where=where)
        if asked is not None:
            with self._lock:
                if len(self._waits) >= MOST_PASSED_OVER:
                    self._waits.clear()
                self._waits[id] = digest, rollout.waits_for_person
        return rollout if wanted.is_met_by(rollout) else None

    def keep(self, text: bytes, rollout: Rollout) -> None:
        """Remember that this text stands for this rollout."""
        with self._lock:
            self._known.pop(rollout.id, None)
            self._known[rollout.id] = (text, rollout)
            while len(self._known) > MOST:
                del self._known[next(iter(self._known))]
