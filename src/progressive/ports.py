"""The contracts between the engine and the world, in both colours. Each is small: your own is ten
lines and inherits nothing.

Every port may be synchronous, asynchronous (the same names with an ``a`` in front) or both; the
drivers take what is there. Each call has a deadline (`Ports.timeout`): a call that does not come
back by then counts as *unknown* for a write and as failed for anything else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeAlias, runtime_checkable

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
    "AnyFleet",
    "AnyProvider",
    "AnyRouter",
    "AsyncFleet",
    "AsyncFleetRetirement",
    "AsyncFleetSurvey",
    "AsyncGate",
    "AsyncHook",
    "AsyncMetricsProvider",
    "AsyncTrafficRouter",
    "Fleet",
    "FleetRetirement",
    "FleetSurvey",
    "Gate",
    "Hook",
    "MetricsProvider",
    "Observer",
    "Ports",
    "Store",
    "TrafficRouter",
]


class TrafficRouter(Protocol):
    """Splits the traffic of a service between the versions of a release, and says how it is split.

    Two verbs, both idempotent. `progressive.testing.check_router` tries a router of your own for
    all of this:

    * **One service.** What belongs to another service of the same system is never read as this
      one's, and never changed: neither its share, nor its marker, nor its version.
    * **Versions by name.** A version's share is found under its ``backend``, never by its place.
      What reaches a version that is in neither track is `Served.unattributed`; the next `apply`
      takes it back. A name that the system can't carry is refused before anything is sent.
    * **Errors.** Only `RouterError` comes out, and `ConflictError` from `apply`; never an error of
      the client that is used. ``failure`` is PERMANENT for what would be refused again, TRANSIENT
      for what was not done, and UNKNOWN for whatever fails between a write that was sent and its
      answer. A call comes back within `Ports.timeout`; an asynchronous one blocks no event loop.
    * **Markers**, where `Capabilities.marker` is declared. All three fields stand on the router's
      object, beside the weights. A write whose marker is older than the one there is a
      `ConflictError`. A closed marker stands: within its generation only closed ones are taken, so
      that a driver which still runs can't overrule a person who took the traffic back.
    * **Versions of the object**, where `read` gives one. It changes with every change, and a write
      that expects another is a `ConflictError`. With `Capabilities.compare_and_set` the system
      itself compares; otherwise the router does, just before it writes.

    Optional: ``undo(release) -> str``, one line for a person to type when nothing else is left. It
    takes all traffic to stable, removes header routes and mirrors, and closes the marker, whatever
    generation stands there then: it is asked for before the first write. No credentials in it.
    """

    @property
    def capabilities(self) -> Capabilities:
        """What this router can do. Nothing else is asked of it."""
        ...

    def read(self, release: Release) -> Served:
        """Ask the system what it serves now, each time; never answer with what was asked for.

        Changes nothing: two reads with nothing between them are equal. Raises `RouterError`.
        """
        ...

    def apply(
        self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        """Make the system serve ``traffic``, leave ``marker``, and read what it serves afterwards.

        Applying the same twice is the same as once, and a write that changes nothing but the marker
        is made too: a rollout claims the object so. ``expect`` is the ``version`` that `read` gave,
        or None for an unconditional write. The write is sent once, never again by the router.

        Raises `RouterError`, PERMANENT, before anything is sent, for what the capabilities do not
        have and for a share without a version (`Capabilities.refuse` does both). Raises
        `ConflictError`, with nothing written, if a newer marker stands there, or a closed one of
        the same generation while ``marker`` is open, or if the version is another than ``expect``.
        """
        ...


class AsyncTrafficRouter(Protocol):
    """A `TrafficRouter` for asyncio: the same two verbs, with an ``a`` in front, awaited."""

    @property
    def capabilities(self) -> Capabilities:
        """What this router can do."""
        ...

    async def aread(self, release: Release) -> Served:
        """`TrafficRouter.read`, awaited."""
        ...

    async def aapply(
        self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        """`TrafficRouter.apply`, awaited."""
        ...


class MetricsProvider(Protocol):
    """Measures what the versions of a release do. One verb, which never writes.

    It answers for the metrics that it lists, by name. `progressive.testing.check_metrics` tries it.
    """

    @property
    def metrics(self) -> Sequence[Metric]:
        """Every metric that this provider can answer for, each name once."""
        ...

    def measure(
        self,
        release: Release,
        metric: Metric,
        tracks: Sequence[Track],
        window: Window,
        since: str | None,
    ) -> Look:
        """Measure one metric in one half-open window for exactly these tracks.

        The same question has the same answer, and windows that follow each other add up to the
        whole. Nothing found is `NoData`, never 0; a system that can't be asked is a `MetricsError`
        or `NoAnswer`.

        ``since`` is the ``reading`` of the look before, for systems without history; None asks for
        an opening reading, which has no numbers.
        """
        ...


class AsyncMetricsProvider(Protocol):
    """A `MetricsProvider` for asyncio."""

    @property
    def metrics(self) -> Sequence[Metric]:
        """Every metric that this provider can answer for, each name once."""
        ...

    async def ameasure(
        self,
        release: Release,
        metric: Metric,
        tracks: Sequence[Track],
        window: Window,
        since: str | None,
    ) -> Look:
        """`MetricsProvider.measure`, awaited."""
        ...


@runtime_checkable
class FleetSurvey(Protocol):
    """The half of a `Fleet` that knows what the instances of the versions can carry."""

    def survey(self, release: Release) -> Mapping[Track, Capacity]:
        """Ask what the instances of each version can carry now; never answer from memory.

        Asked in every tick, with an answer for every version of the release: one that has no
        instances can carry 0 %. Instances are found by service and backend together. Raises
        `FleetError` if it can't be told; then nothing is raised until it answers again.

        More traffic is given only to what can carry it; the start waits for a stable that can carry
        everything; a way back to one that can't goes in steps, and a person is told.
        """
        ...


class FleetRetirement(Protocol):
    """The half of a `Fleet` that removes an old version."""

    def retire(self, release: Release, version: Version) -> None:
        """Remove every instance of ``version`` and nothing else; return when none is left.

        Idempotent: what is gone already is done. Raises `FleetError` while instances are left, and
        is asked again.
        """
        ...


class Fleet(FleetSurvey, FleetRetirement, Protocol):
    """Knows the instances of the versions. Either method may be left out, and is then not asked.

    `progressive.testing.check_fleet` tries it. Only `FleetError` comes out, within `Ports.timeout`;
    an asynchronous method blocks no event loop.
    """


@runtime_checkable
class AsyncFleetSurvey(Protocol):
    """A `FleetSurvey` for asyncio."""

    async def asurvey(self, release: Release) -> Mapping[Track, Capacity]:
        """`FleetSurvey.survey`, awaited."""
        ...


class AsyncFleetRetirement(Protocol):
    """A `FleetRetirement` for asyncio."""

    async def aretire(self, release: Release, version: Version) -> None:
        """`FleetRetirement.retire`, awaited."""
        ...


class AsyncFleet(AsyncFleetSurvey, AsyncFleetRetirement, Protocol):
    """A `Fleet` for asyncio. Either method may be left out."""


class Store(Protocol):
    """Keeps rollouts. A save is one transaction of a rollout with its notes, by compare-and-set.

    A service has one rollout at a time that is not final: the first save of a second one is a
    `ConflictError` that names the other. `progressive.testing.check_store` tries it.

    Optional: ``driving(id)``, a context manager that keeps a second driver out while it is open.
    """

    def save(self, rollout: Rollout, notes: Sequence[Note], *, expected: int | None) -> None:
        """Store it if the stored serial is ``expected`` (None: not stored yet).

        Otherwise raises `ConflictError`, and nothing changes.
        """
        ...

    def load(self, id: str) -> Rollout | None:
        """The rollout as it was last saved; None if there is none."""
        ...

    def due(self, now: datetime, limit: int = 100) -> Sequence[str]:
        """The ids of rollouts whose ``wake_at`` is at or before ``now``, longest overdue first."""
        ...

    def last(self, service: str) -> Rollout | None:
        """The rollout of a service that was created last; None if there is none."""
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
"""A test or a task of your own between two steps: ``(key, release) -> Go | NotYet | Stop``.

It runs at least once. ``key`` is the same each time that a step of a rollout asks, and another for
every other step: one key begins one run, and has one end. `NotYet` says when to ask again, later
than now, and why; `Stop` says why. It comes back within `Ports.timeout`: what takes longer is begun
by one call and looked at by the next. An exception counts as a hook that could not be asked, and is
asked again; a hook that could not ask its own system never answers `Go`.
`progressive.testing.check_hook` tries it.
"""

AsyncHook: TypeAlias = Callable[[str, Release], Awaitable[HookAnswer]]
"""A `Hook` for the asynchronous drivers."""

Gate: TypeAlias = Callable[[Release, datetime], GateAnswer]
"""A reason to keep traffic from rising: ``(release, now) -> Open | ClosedUntil``.

Asked before every raise, never before lowering. It goes by ``now``, an aware time in any zone, and
asks no clock. `ClosedUntil` says why, and a moment later than ``now`` at which to ask again. An
exception counts as closed; a gate that could not ask its system is never `Open`.
`progressive.testing.check_gate` tries it.
"""

AsyncGate: TypeAlias = Callable[[Release, datetime], Awaitable[GateAnswer]]
"""A `Gate` for the asynchronous drivers."""

Observer: TypeAlias = Callable[[Rollout, Sequence[Note]], None]
"""Told what was decided, after it was saved. Time-bounded; it can't disturb the rollout."""


AnyRouter: TypeAlias = TrafficRouter | AsyncTrafficRouter
AnyProvider: TypeAlias = MetricsProvider | AsyncMetricsProvider
AnyFleet: TypeAlias = FleetSurvey | FleetRetirement | AsyncFleetSurvey | AsyncFleetRetirement


def utcnow() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


@attrs.frozen(kw_only=True)
class Ports:
    """Everything of the world that a rollout is driven with: names of the plan bound to code.

    Only ``router`` is always needed. Without a ``store`` the caller keeps the rollout (see
    `progressive.tick`).
    """

    router: AnyRouter
    metrics: Sequence[AnyProvider] = ()
    hooks: Mapping[str, Hook | AsyncHook] = attrs.field(factory=dict)
    gates: Mapping[str, Gate | AsyncGate] = attrs.field(factory=dict)
    fleet: AnyFleet | None = None
    store: Store | None = None
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

    def provider(self, metric: Metric) -> tuple[AnyProvider, Metric] | None:
        """Who answers for a metric, and that provider's own description of it."""
        for provider in self.metrics:
            for offered in provider.metrics:
                if offered.name == metric.name:
                    return provider, offered
        return None
