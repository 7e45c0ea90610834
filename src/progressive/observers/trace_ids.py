"""The ids of a rollout's trace and of its spans: derived from the rollout, so that every process
that drives it says the same ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

import attrs

from progressive.rollout.state import Rollout

__all__ = ["ROOT", "WANTED", "Ids", "ids_of", "traceparent", "wanted"]

ROOT: Final = "rollout"
"""The key of the span of the whole rollout."""


@attrs.frozen
class Ids:
    """A trace id of 128 bits, and a span id of 64."""

    trace: int
    span: int


def ids_of(rollout: Rollout, key: str = ROOT) -> Ids:
    """Return the ids of one span of a rollout; other rollouts, and other keys, have others.

    A rollout of the same id in another store has another trace, unless both were created in the
    same millisecond.
    """
    begun = f"{rollout.id} {rollout.clocks.created.isoformat()}"
    return Ids(_bits(begun, 16), _bits(f"{begun} {key}", 8))


def traceparent(rollout: Rollout) -> str:
    """Return the W3C ``traceparent`` of a rollout, for programs that join its trace: hooks, load
    tests, a pipeline.
    """
    ids = ids_of(rollout)
    return f"00-{ids.trace:032x}-{ids.span:016x}-01"


WANTED: Final[ContextVar[Ids | None]] = ContextVar("progressive_wanted_ids", default=None)
"""The ids of the span that is being made by `Telemetry`; `StableIds` reads them."""


@contextmanager
def wanted(ids: Ids) -> Iterator[None]:
    """Have spans of these ids made until this is left."""
    token = WANTED.set(ids)
    try:
        yield
    finally:
        WANTED.reset(token)


def _bits(text: str, size: int) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:size], "big") or 1
