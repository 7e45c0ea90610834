"""The contracts between the engine and the world, sync and async. Each is small: your own is ten
lines and inherits nothing.

Every port may be synchronous, asynchronous (the same names with an ``a`` in front) or both; the
drivers take what is there. Each call has a deadline (`Ports.timeout`): a call that does not come
back by then counts as *unknown* for a write and as failed for anything else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeAlias, runtime_checkable

import attrs

from progressive.errors import StrategyError
from progressive.model import fields
from progressive.model.actions import GateAnswer, HookAnswer
from progressive.model.capacity import Capacity
from progressive.model.delivery import Delivery
from progressive.model.measurement import Look, Metric, Window
from progressive.model.release import Release, Version
from progressive.model.router_state import Capabilities, Marker, Served
from progressive.model.traffic import Track, Traffic
from progressive.rollout.listing import Page
from progressive.rollout.notes import Note
from progressive.rollout.phases import Phase
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
    "ListingStore",
    "MetricsProvider",
    "Observer",
    "Outbox",
    "Ports",
    "Store",
    "TrafficRouter",
]


class TrafficRouter(Protocol):
    """A system that splits the traffic of a service between the versions of a release.

    Two verbs, both idempotent. `progressive.testing.check_router` tries a router of your own for
    all of this:

    * **One service.** Another service of the same system is never read as this one, and never
      changed: neither its share, nor its marker, nor its version.
    * **Versions by name.** A version's share is found under its ``backend``, never by its position.
      Traffic to a version that is on no track is `Served.unattributed`; the next `apply` takes it
      back. A name that the system can't hold is refused before anything is sent.
    * **Errors.** Only `RouterError` is raised, and `ConflictError` by `apply`; never an error of
      the client that is used. ``failure`` is PERMANENT for a request that would be refused again,
      TRANSIENT for one that was not done, and UNKNOWN for a failure between a write that was sent
      and its answer. A call returns within `Ports.timeout`; an asynchronous one blocks no event
      loop.
    * **Markers**, where `Capabilities.marker` is declared. All three fields stand on the router's
      object, beside the weights. A write whose marker is older than the one there is a
      `ConflictError`. A closed marker stays closed: within its generation only closed ones are
      accepted, so that a driver that still runs can't overrule a person who took the traffic back.
    * **Versions of the object**, where `read` gives one. It changes with every change, and a write
      that expects another is a `ConflictError`. With `Capabilities.compare_and_set` the system
      itself compares; otherwise the router does, just before it writes.

    Optional: ``undo(release) -> str``, one line for a person to type when nothing else is left. It
    takes all traffic to stable, removes header routes and mirrors, and closes the marker, whatever
    generation it has then: the line is asked for before the first write. It has no credentials.
    """

    @property
    def capabilities(self) -> Capabilities:
        """What this router can do; it is asked for nothing else."""
        ...

    def read(self, release: Release) -> Served:
        """Ask the system what it serves now, each time; never answer from memory.

        It changes nothing: two reads with nothing between them are equal. Raises `RouterError`.
        """
        ...

    def apply(
        self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        """Make the system serve ``traffic``, leave ``marker``, and return what it serves then.

        Idempotent. A write that changes nothing but the marker is made too: a rollout claims the
        object so. The write is sent once, and never repeated by the router.

        * ``traffic``: all of it; header routes and mirrors that it has not are removed.
        * ``marker``: stands beside the weights from then on.
        * ``expect``: the ``version`` that `read` gave; None for an unconditional write.

        Raises `RouterError`, PERMANENT, before anything is sent, for what the capabilities do not
        have and for a share without a version (`Capabilities.refuse` does both). Raises
        `ConflictError`, with nothing written, if the object has a newer marker, or a closed one of
        the same generation while ``marker`` is open, or another version than ``expect``.
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
    """A system that measures the versions of a release. One verb, which never writes.

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
        whole. Nothing found is `NoData`, never 0.

        * ``window``: ``[start, end)``.
        * ``since``: the ``reading`` of the look before, for systems without history; None asks for
          an opening reading, which has no numbers.

        Raises `MetricsError`, or answers with `NoAnswer`, if the system can't be asked.
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
    """The half of a `Fleet` that reports what the instances of the versions can carry."""

    def survey(self, release: Release) -> Mapping[Track, Capacity]:
        """Ask what the instances of each version can carry now; never answer from memory.

        It is called in every tick, and answers for every version of the release: one without
        instances can carry 0 %. Instances are found by service and backend together. Raises
        `FleetError` if that is unknown; then no traffic is raised until it answers again.

        A version is given more traffic only if it can carry it; the start waits until stable can
        carry all; a way back to a stable that can't goes in steps, and a person is called.
        """
        ...


@runtime_checkable
class FleetRetirement(Protocol):
    """The half of a `Fleet` that removes an old version."""

    def retire(self, release: Release, version: Version) -> None:
        """Remove every instance of ``version`` and nothing else; return when none is left.

        Idempotent. Raises `FleetError` while instances are left, and is called again then.
        """
        ...


class Fleet(FleetSurvey, FleetRetirement, Protocol):
    """The instances of the versions. Either method may be left out, and is then not called.

    `progressive.testing.check_fleet` tries it. Only `FleetError` is raised, within `Ports.timeout`;
    an asynchronous method blocks no event loop.
    """


@runtime_checkable
class AsyncFleetSurvey(Protocol):
    """A `FleetSurvey` for asyncio."""

    async def asurvey(self, release: Release) -> Mapping[Track, Capacity]:
        """`FleetSurvey.survey`, awaited."""
        ...


@runtime_checkable
class AsyncFleetRetirement(Protocol):
    """A `FleetRetirement` for asyncio."""

    async def aretire(self, release: Release, version: Version) -> None:
        """`FleetRetirement.retire`, awaited."""
        ...


class AsyncFleet(AsyncFleetSurvey, AsyncFleetRetirement, Protocol):
    """A `Fleet` for asyncio. Either method may be left out."""


class Store(Protocol):
    """A place for rollouts. A save is one transaction of a rollout and its notes, by
    compare-and-set.

    A service has one rollout at a time that is not final: the first save of a second one is a
    `ConflictError` that names the other. `progressive.testing.check_store` tries it.

    The drivers call it from threads of their own, and leave a call behind that takes longer than
    `Ports.timeout`: be ready to be called from any thread.

    Optional: ``driving(id)``, a context manager that keeps a second driver out while it is open.

    Optional: ``serials(ids) -> Mapping[str, int]``, the serials of those of the rollouts that are
    stored and can be read. Drivers that sleep ask it a few times a second, once for all of them,
    whether somebody has submitted an event; without it each of them loads its rollout.

    Optional: ``rollouts(...)``, pages of what is stored (`ListingStore`).
    """

    def save(self, rollout: Rollout, notes: Sequence[Note], *, expected: int | None) -> None:
        """Store a rollout and its notes if the stored serial is ``expected``, else change nothing.

        ``expected`` is None for a rollout that is not stored yet. Raises `ConflictError` if the
        stored serial is another.
        """
        ...

    def load(self, id: str) -> Rollout | None:
        """Return the rollout as it was last saved; None if there is none."""
        ...

    def due(self, now: datetime, limit: int = ...) -> Sequence[str]:
        """Return the ids of rollouts whose ``wake_at`` is at or before ``now``, at most ``limit``.

        The longest overdue come first. Without a limit the stores of this library give all of them;
        one of your own may give as many as it likes: `progressive.tick_due` asks until none is
        left.
        """
        ...

    def last(self, service: str) -> Rollout | None:
        """Return the rollout of a service that is active, else the one that was created last; None
        if there is none. The clocks of who creates them may differ.
        """
        ...

    def notes(self, id: str) -> Iterable[tuple[str, Note]]:
        """Yield every note with its id ``rollout/serial/n``, oldest first."""
        ...


class ListingStore(Store, Protocol):
    """A store that lists its rollouts: for people, dashboards and `progressive.history`.

    Drivers do not need it. ``await asyncio.to_thread(store.rollouts, ...)`` is its asynchronous
    form. `progressive.testing.check_store` tries it where it is there.
    """

    def rollouts(
        self,
        *,
        phase: Phase | str | Iterable[Phase | str] | None = None,
        service: str | None = None,
        waiting_for_person: bool | None = None,
        since: datetime | None = None,
        limit: int = 100,
        after: str | Rollout | None = None,
    ) -> Page[Rollout]:
        """Return a page of the stored rollouts, newest first: by when they were created, then by
        id.

        What can't be read hides no other rollout, and is never left out in silence: it stands in
        `Page.unreadable`, and the stores of this library log it by ``progressive.stores`` too.

        * ``phase``: only those in this phase, or in one of several.
        * ``service``: only those of this service.
        * ``waiting_for_person``: True for those that only a person's event or a deadline moves on
          (`Rollout.waits_for_person`; exit code 3): at an approval, or held, by whomever. False for
          all others.
        * ``since``: only those that were created then or later.
        * ``limit``: the most of one page; `Page.more` says whether it cut.
        * ``after``: the last one of the page before, or its id. Pages neither skip nor repeat a
          rollout that stays stored, whatever is saved or started meanwhile; each has the state that
          is stored when it is read. An id must be stored still.

        Raises `StrategyError`, which names the argument, and `StoreError`. `Wanted` in
        `progressive.rollout.listing` checks and applies all of this, for a store of your own.
        """
        ...


class Outbox(Protocol):
    """A place for deliveries. Each save is one transaction, by compare-and-set."""

    def load(self, rollout: str, destination: str) -> Delivery | None:
        """Return the delivery as it was last saved; None if there is none."""
        ...

    def save(self, delivery: Delivery) -> None:
        """Store a delivery if the stored revision is the one before its own, else change nothing.

        A delivery that is not stored has revision 1. Raises `ConflictError` if somebody else was
        first.
        """
        ...

    def open(self) -> Sequence[str]:
        """Return the ids of the rollouts of which a destination has not been told everything, in
        order, each once.
        """
        ...


class Driving(Protocol):
    """A store that keeps a second driver out."""

    def driving(self, id: str) -> AbstractContextManager[None]:
        """Hold a rollout for one driver; `ConflictError` names the one that holds it."""
        ...


Hook: TypeAlias = Callable[[str, Release], HookAnswer]
"""A test or a task of your own between two steps: ``(key, release) -> Go | NotYet | Stop``.

It is called at least once. ``key`` is the same for every call of one step of a rollout, and another
for every other step: one key stands for one run of the task. `NotYet` says when to call again,
later than now, and why; `Stop` says why. It returns within `Ports.timeout`: a longer task is begun
by one call and its state asked for by the next. After an exception it is called again; a hook that
could not ask its own system never answers `Go`. `progressive.testing.check_hook` tries it.
"""

AsyncHook: TypeAlias = Callable[[str, Release], Awaitable[HookAnswer]]
"""A `Hook` for the asynchronous drivers."""

Gate: TypeAlias = Callable[[Release, datetime], GateAnswer]
"""A reason to keep traffic from rising: ``(release, now) -> Open | ClosedUntil``.

It is called before every raise, never before lowering. It goes by ``now``, an aware time in any
zone, and reads no clock. `ClosedUntil` has the reason, and a time later than ``now`` at which to
ask again. An exception counts as closed; a gate that could not ask its system is never `Open`.
`progressive.testing.check_gate` tries it.
"""

AsyncGate: TypeAlias = Callable[[Release, datetime], Awaitable[GateAnswer]]
"""A `Gate` for the asynchronous drivers."""

Observer: TypeAlias = Callable[[Rollout, Sequence[Note]], None]
"""A function that is called with a rollout and the notes of each decision, after they were saved.

Its time is bounded, and its errors change nothing of the rollout. If it has a ``driving(rollout)``
that gives a context manager, the drivers that loop enter it while they drive. If it has
``overheard(rollout, notes)``, they call that with what others have saved meanwhile: what a person
has submitted.
"""


AnyRouter: TypeAlias = TrafficRouter | AsyncTrafficRouter
AnyProvider: TypeAlias = MetricsProvider | AsyncMetricsProvider
AnyFleet: TypeAlias = FleetSurvey | FleetRetirement | AsyncFleetSurvey | AsyncFleetRetirement


def utcnow() -> datetime:
    """Return the time of the wall clock, in UTC."""
    return datetime.now(UTC)


@attrs.frozen(kw_only=True)
class Ports:
    """Everything that a rollout is driven with: the names of its plan, bound to code.

    Only ``router`` is always needed.

    * ``metrics``: providers; each metric name is answered by one of them.
    * ``hooks``, ``gates``: by the names that the plan has for them.
    * ``store``: without one the caller keeps the rollout (see `progressive.tick`).
    * ``observers``: called after each decision was saved.
    * ``clock``: returns the time, aware.
    * ``timeout``: the longest time of one call.

    Raises `StrategyError` for whatever is not what its name says, and if two providers answer for
    the same metric.
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
        if wrong := list(_misfits(self)):
            raise StrategyError(wrong)
        providers: dict[str, object] = {}
        for provider in self.metrics:
            for metric in provider.metrics:
                if metric.name in providers:
                    raise StrategyError(
                        f"ports.metrics: two providers answer for {metric.name!r}: "
                        f"{providers[metric.name]!r} and {provider!r}"
                    )
                providers[metric.name] = provider

    def provider(self, metric: Metric) -> tuple[AnyProvider, Metric] | None:
        """Return the provider of a metric and its own description of it; None if there is none."""
        for provider in self.metrics:
            for offered in provider.metrics:
                if offered.name == metric.name:
                    return provider, offered
        return None


def _misfits(ports: Any) -> Iterator[str]:
    """Yield what is bound to the wrong name, each with what belongs there."""
    yield from _lacking("router", ports.router, (("read", "apply"),), "Envoy(admin=...)")
    yield from _lacking_each("metrics", ports.metrics, (("measure",),), "EnvoyStats(admin=...)")
    if ports.fleet is not None:
        verbs = (("survey",), ("retire",))
        yield from _lacking("fleet", ports.fleet, verbs, "Deployments(...)")
    if ports.store is not None:
        yield from _lacking("store", ports.store, (("load", "save"),), "FileStore('rollouts')")
    if not isinstance(ports.observers, Sequence) or isinstance(ports.observers, str):
        yield _no_list("observers", ports.observers)
    else:
        for i, observer in enumerate(ports.observers):
            if not callable(observer) or isinstance(observer, type):
                yield (
                    f"Ports.observers[{i}]: {fields.brief(observer)} can't be called; write a "
                    "function of (rollout, notes), or Progress()"
                )
    for name, bound, called in (
        ("hooks", ports.hooks, "(release, traffic)"),
        ("gates", ports.gates, "(release, now)"),
    ):
        if not isinstance(bound, Mapping):
            yield (
                f"Ports.{name}: expected names with what is called for each, got "
                f"{fields.brief(bound)}; write {{'name': function}}"
            )
            continue
        for key, each in bound.items():
            if not callable(each):
                yield (
                    f"Ports.{name}[{key!r}]: {fields.brief(each)} can't be called; write a "
                    f"function of {called}"
                )
    if not callable(ports.clock):
        yield (
            f"Ports.clock: {fields.brief(ports.clock)} can't be called; write a function that "
            "returns the time, or leave it out"
        )


def _lacking_each(
    name: str, bound: object, verbs: Sequence[Sequence[str]], example: str
) -> Iterator[str]:
    if not isinstance(bound, Sequence) or isinstance(bound, str):
        yield _no_list(name, bound)
        return
    for i, each in enumerate(bound):
        yield from _lacking(f"{name}[{i}]", each, verbs, example)


def _lacking(
    name: str, bound: object, verbs: Sequence[Sequence[str]], example: str
) -> Iterator[str]:
    """Yield what is wrong if ``bound`` has none of these groups of verbs, sync or async."""
    if isinstance(bound, type):
        yield f"Ports.{name}: {bound.__name__} is a class; make one: {bound.__name__}(...)"
        return
    known = [
        all(hasattr(bound, f"{prefix}{verb}") for verb in group)
        for group in verbs
        for prefix in ("", "a")
    ]
    if not any(known):
        missing = " or ".join(" and ".join(group) for group in verbs)
        yield (f"Ports.{name}: {fields.brief(bound)} has no {missing}; write one such as {example}")


def _no_list(name: str, given: object) -> str:
    return f"Ports.{name}: expected a list, got {fields.brief(given)}; write {name}=[...]"
