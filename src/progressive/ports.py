"""The contracts between the engine and the world, in both colours. Each is small: your own is ten
lines and inherits nothing.

Every port may be synchronous, asynchronous (the same names with an ``a`` in front) or both; the
drivers take what is there. Each call has a deadline (`Ports.timeout`): a call that does not come
back by then counts as *unknown* for a write and as failed for anything else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeAlias

import attrs

from progressive.errors import StrategyError
from progressive.model import fields
from progressive.model.actions import GateAnswer, HookAnswer
from progressive.model.capacity import Capacity
from progressive.model.measurement import Look, Metric, Window
from progressive.model.release import Release, Version
from progressive.model.router_state import Capabilities, Marker, Served
from progressive.model.traffic import Track, Traffic
from progressive.rollout.notes import Note
from progressive.rollout.state import Rollout

__all__ = [
    "Fleet",
    "Gate",
    "Hook",
    "MetricsProvider",
    "Observer",
    "Ports",
    "Store",
    "TrafficRouter",
]


class TrafficRouter(Protocol):
    """What splits the traffic. Two idempotent verbs; both raise `RouterError` (its ``failure`` says
    what is known) or `ConflictError`.

    Optional: ``undo(release) -> str``, the line that a person types to take all traffic back by
    hand, without credentials.
    """

    @property
    def capabilities(self) -> Capabilities:
        """What this router can do."""
        ...

    def read(self, release: Release) -> Served:
        """What the system serves now, as it says itself; never what was asked for."""
        ...

    def apply(
        self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        """Make it serve ``traffic``, leave ``marker`` where there is a place for it, and return
        what the system says *afterwards*.

        Where the system can, the write is conditional on ``expect``, the ``version`` that `read`
        returned (None: unconditional). Applying the same twice is the same as once. A marker on the
        object that is newer than ``marker`` is a `ConflictError`.
        """
        ...


class MetricsProvider(Protocol):
    """What measures. One verb; it never writes. It answers for the metrics that it lists, by
    name.
    """

    @property
    def metrics(self) -> Sequence[Metric]:
        """What this provider can answer for."""
        ...

    def measure(
        self,
        release: Release,
        metric: Metric,
        tracks: Sequence[Track],
        window: Window,
        since: str | None,
    ) -> Look:
        """One look. Nothing found is `NoData`, never 0; a system that can't be asked is a
        `MetricsError` or `NoAnswer`.

        ``since`` is the ``reading`` of the look before, for systems without history; None asks for
        an opening reading.
        """
        ...


class Fleet(Protocol):
    """The instances of the versions. Either method may be left out: what is not there is not
    asked.
    """

    def survey(self, release: Release) -> Mapping[Track, Capacity]:
        """What the instances of each track can carry now. Asked in every tick; raises `FleetError`
        if it can't be told.

        More traffic is given only to what can carry it; the start waits for a stable that can carry
        everything; a way back to one that can't goes in steps, and a person is told.
        """
        ...

    def retire(self, release: Release, version: Version) -> None:
        """Remove every instance of ``version``. Idempotent; returns when it is done."""
        ...


class Store(Protocol):
    """Where rollouts are kept. A save is one transaction of a rollout with its notes, by
    compare-and-set on its serial.

    A service has one rollout at a time that is not final: the first save of a second one is a
    `ConflictError` that names the other.

    Optional: ``driving(id)``, a context manager that keeps a second driver out while it is open.
    """

    def save(self, rollout: Rollout, notes: Sequence[Note], *, expected: int | None) -> None:
        """Store it if the stored serial is ``expected`` (None: not stored yet), else
        `ConflictError` and nothing changes.
        """
        ...

    def load(self, id: str) -> Rollout | None:
        """The rollout as it was last saved; None if there is none."""
        ...

    def due(self, now: datetime, limit: int = 100) -> Sequence[str]:
        """The ids of rollouts whose ``wake_at`` has come, the longest overdue first."""
        ...

    def last(self, service: str) -> Rollout | None:
        """The newest rollout of a service."""
        ...

    def notes(self, id: str) -> Iterable[tuple[str, Note]]:
        """Every note with its id ``rollout/serial/n``, oldest first."""
        ...


class Driving(Protocol):
    """A store that keeps a second driver out."""

    def driving(self, id: str) -> AbstractContextManager[None]:
        """Hold this rollout for one driver; `ConflictError` names the one that has it."""
        ...


Hook: TypeAlias = Callable[[str, Release], HookAnswer]
"""``(key, release) -> Go | NotYet | Stop``. It runs at least once; ``key`` is the same each time,
so that it can know.
"""

Gate: TypeAlias = Callable[[Release, datetime], GateAnswer]
"""``(release, now) -> Open | ClosedUntil``. Asked before every raise, never before lowering."""

Observer: TypeAlias = Callable[[Rollout, Sequence[Note]], None]
"""Told what was decided, after it was saved. Time-bounded; it can't disturb the rollout."""


def utcnow() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


@attrs.frozen(kw_only=True)
class Ports:
    """Everything of the world that a rollout is driven with: names of the plan bound to code.

    Only ``router`` is always needed. Without a ``store`` the caller keeps the rollout (see
    `progressive.tick`).
    """

    router: Any
    metrics: Sequence[Any] = ()
    hooks: Mapping[str, Hook | Callable[..., Any]] = attrs.field(factory=dict)
    gates: Mapping[str, Gate | Callable[..., Any]] = attrs.field(factory=dict)
    fleet: Any = None
    store: Any = None
    observers: Sequence[Observer] = ()
    clock: Callable[[], datetime] = utcnow
    timeout: timedelta = attrs.field(
        default=timedelta(seconds=30), converter=fields.whole_ms, validator=fields.is_duration
    )

    def __attrs_post_init__(self) -> None:
        seen: dict[str, object] = {}
        for provider in self.metrics:
            for metric in provider.metrics:
                if metric.name in seen:
                    raise StrategyError(
                        f"ports.metrics: two providers answer for {metric.name!r}: "
                        f"{seen[metric.name]!r} and {provider!r}"
                    )
                seen[metric.name] = provider

    def provider(self, metric: Metric) -> tuple[Any, Metric] | None:
        """Who answers for a metric, and that provider's own description of it."""
        for provider in self.metrics:
            for offered in provider.metrics:
                if offered.name == metric.name:
                    return provider, offered
        return None
