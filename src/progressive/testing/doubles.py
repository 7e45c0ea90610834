"""Doubles in memory: a router, metrics, a fleet, a store, and a clock that is set by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from math import floor
from threading import Lock

import attrs

from progressive.codec.documents import dumps, dumps_delivery, loads, loads_delivery
from progressive.errors import ConflictError, StrategyError
from progressive.model import fields
from progressive.model.capacity import Capacity
from progressive.model.delivery import Delivery
from progressive.model.measurement import Counts, Look, Measurement, Metric, NoData, Window
from progressive.model.release import Release, Version
from progressive.model.router_state import Capabilities, Marker, Served
from progressive.model.traffic import Track, Traffic
from progressive.model.units import MILLION, Percent, percent
from progressive.plan.step import Kinds
from progressive.rollout.listing import Page, Wanted, place_of
from progressive.rollout.notes import Note
from progressive.rollout.phases import Phase
from progressive.rollout.state import Rollout
from progressive.stores.stored import nowhere, page_of

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)

ALL = Capabilities(
    smallest_weight=Percent(1),
    baseline=True,
    matches=True,
    mirror=True,
    affinity=True,
    compare_and_set=True,
    marker=True,
)


@attrs.define
class VirtualClock:
    """A clock for `Ports` that is set by hand: ``clock.advance(minutes(5))``."""

    now: datetime = EPOCH

    def __call__(self) -> datetime:
        return self.now

    def advance(self, by: timedelta) -> None:
        """Let time pass."""
        self.now += by

    def until(self, at: datetime) -> None:
        """Let time pass until ``at``; never back."""
        self.now = max(self.now, at)


@attrs.define
class MemoryRouter:
    """A router for one service that obeys at once, compares and sets, and carries a marker.

    ``history`` has the traffic of every write, in order. Like a real one it knows the versions by
    their backends: after a promotion it serves what the next release calls stable.
    """

    capabilities: Capabilities = ALL
    traffic: Traffic = Traffic()
    marker: Marker | None = None
    revision: int = 1
    history: list[Traffic] = attrs.field(factory=list)
    _release: Release | None = None
    """The one that was written last, in whose words ``traffic`` is."""

    def read(self, release: Release) -> Served:
        traffic, elsewhere = self._shown(release)
        return Served(
            traffic=traffic,
            version=str(self.revision),
            marker=self.marker,
            unattributed=elsewhere,
        )

    def _shown(self, release: Release) -> tuple[Traffic, Percent]:
        """Return what is served in the words of a release, and the share of other versions."""
        written = self._release
        if written is None or written.versions == release.versions:
            return self.traffic, percent(0)
        given = {Track.CANDIDATE: self.traffic.candidate, Track.BASELINE: self.traffic.baseline}
        rest = MILLION - self.traffic.candidate.ppm - self.traffic.baseline.ppm
        shares = {
            version.backend: given.get(track, Percent(rest)).ppm
            for track, version in written.versions.items()
        }
        found = {
            track: Percent(shares.pop(version.backend, 0))
            for track, version in release.versions.items()
        }
        now = Traffic(
            candidate=found[Track.CANDIDATE], baseline=found.get(Track.BASELINE, percent(0))
        )
        return now, Percent(sum(shares.values()))

    def apply(
        self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        self.capabilities.refuse(release, traffic)
        if expect is not None and expect != str(self.revision):
            raise ConflictError(f"revision {expect} was expected, it is {self.revision}")
        present = self.marker
        if present is not None and present.forbids(marker):
            raise ConflictError(f"the marker there, {present!r}, is newer than {marker!r}")
        self.traffic, self.marker, self._release = traffic, marker, release
        self.revision += 1
        self.history.append(traffic)
        return self.read(release)

    async def aread(self, release: Release) -> Served:
        return self.read(release)

    async def aapply(
        self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        return self.apply(release, traffic, marker=marker, expect=expect)

    def undo(self, release: Release) -> str:
        return f"router.edit(Traffic())  # {release.service}"

    def edit(self, traffic: Traffic) -> None:
        """Change the weights, as somebody else would."""
        self.traffic = traffic
        self.revision += 1

    @property
    def highest(self) -> Percent:
        """The highest weight that the candidate was ever given."""
        return max((traffic.candidate for traffic in self.history), default=percent(0))


Script = Mapping[Track, Measurement] | Callable[[Track, Window], Measurement]


class ScriptedMetrics:
    """Metrics with scripted answers: for each metric a measurement by track, or a function of track
    and window.

    ``ScriptedMetrics({ERRORS: {Track.CANDIDATE: Counts(events=1, trials=100), ...}})``. ``asked``
    has every look, as the metric's name and the window.
    """

    def __init__(self, scripts: Mapping[Metric, Script]) -> None:
        self._scripts = dict(scripts)
        self.asked: list[tuple[str, Window]] = []

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return tuple(self._scripts)

    def measure(
        self,
        release: Release,
        metric: Metric,
        tracks: Sequence[Track],
        window: Window,
        since: str | None,
    ) -> Look:
        self.asked.append((metric.name, window))
        script = next(
            script for known, script in self._scripts.items() if known.name == metric.name
        )
        opening = NoData("opening reading") if metric.counter and since is None else None
        answers = [
            (track, opening or (script(track, window) if callable(script) else script[track]))
            for track in tracks
        ]
        # A counter needs a reading to measure since; a script needs none, so any text will do.
        return Look(
            metric=metric.name,
            window=window,
            tracks=tuple(answers),
            reading="scripted" if metric.counter else None,
        )

    async def ameasure(
        self,
        release: Release,
        metric: Metric,
        tracks: Sequence[Track],
        window: Window,
        since: str | None,
    ) -> Look:
        return self.measure(release, metric, tracks, window, since)


def steady(rps: float, **rates: float) -> Callable[[Track, Window], Measurement]:
    """Make a script for a ratio: ``rps`` requests a second on each track, of which this fraction
    are events: ``steady(50, candidate=0.2)``.

    A track that is not named has no events. Requests are whole and evenly spaced: windows that
    follow each other add up to one over all of them, and a window too short for a request has
    `Counts` of 0.
    """
    unknown = set(rates) - {track.value for track in Track}
    if unknown:
        raise StrategyError(
            f"steady: {sorted(unknown)} are not tracks; there are "
            f"{[track.value for track in Track]}"
        )

    def until(at: datetime) -> int:
        return floor(rps * ((at - EPOCH) / timedelta(seconds=1)))

    def script(track: Track, window: Window) -> Measurement:
        rate = min(rates.get(track.value, 0.0), 1.0)
        before, after = until(window.start), until(window.end)
        return Counts(events=floor(rate * after) - floor(rate * before), trials=after - before)

    return script


@attrs.define
class MemoryFleet:
    """A fleet in memory.

    * ``retired``: the versions that it was asked to remove.
    * ``capacities``: the answer to a survey; by default everything is ready.
    """

    retired: list[Version] = attrs.field(factory=list)
    capacities: dict[Track, Capacity] = attrs.field(
        factory=lambda: dict.fromkeys(Track, Capacity(percent(100)))
    )

    def survey(self, release: Release) -> Mapping[Track, Capacity]:
        return dict(self.capacities)

    def retire(self, release: Release, version: Version) -> None:
        if version not in self.retired:
            self.retired.append(version)


class MemoryStore:
    """A store in memory, of the same JSON as any other store. For one process; safe for threads."""

    def __init__(self, kinds: Kinds | None = None) -> None:
        self._kinds = kinds or Kinds()
        self._texts: dict[str, str] = {}
        self._read: dict[str, tuple[str, Rollout]] = {}
        self._serials: dict[str, int] = {}
        self._notes: dict[str, list[tuple[str, Note]]] = {}
        self._active: dict[str, str] = {}
        self._lock = Lock()

    def save(self, rollout: Rollout, notes: Sequence[Note], *, expected: int | None) -> None:
        text, service = dumps(rollout, self._kinds), rollout.release.service
        with self._lock:
            found = self._serials.get(rollout.id)
            if found != expected:
                raise ConflictError(
                    f"rollout {rollout.id!r} is at serial {found}, {expected} was expected: "
                    "somebody else moved it"
                )
            if found is not None and rollout.serial <= found:
                if self._texts[rollout.id] == text and not notes:
                    return
                raise ConflictError(
                    f"rollout {rollout.id!r} is at serial {found}, and is to be saved with "
                    f"serial {rollout.serial}: it must rise"
                )
            if (
                not rollout.final
                and (other := self._active.setdefault(service, rollout.id)) != rollout.id
            ):
                raise ConflictError(
                    f"service {service!r} has an active rollout, {other!r}; let it end "
                    f"before starting {rollout.id!r}"
                )
            if rollout.final and self._active.get(service) == rollout.id:
                del self._active[service]
            self._texts[rollout.id] = text
            self._serials[rollout.id] = rollout.serial
            kept = self._notes.setdefault(rollout.id, [])
            kept += [(f"{rollout.id}/{rollout.serial}/{n}", note) for n, note in enumerate(notes)]

    def load(self, id: str) -> Rollout | None:
        return self._loaded(id)

    def _loaded(self, id: str) -> Rollout | None:
        """`load`, for the other methods: whoever overrides it means the calls from outside."""
        text = self._texts.get(id)
        if text is None:
            return None
        known = self._read.get(id)
        if known is None or known[0] != text:
            known = self._read[id] = text, loads(text, self._kinds)
        return known[1]

    def serials(self, ids: Sequence[str]) -> Mapping[str, int]:
        return {id: self._serials[id] for id in ids if id in self._serials}

    def _all(self) -> list[Rollout]:
        found = [self._loaded(id) for id in list(self._texts)]
        return [rollout for rollout in found if rollout is not None]

    def due(self, now: datetime, limit: int | None = None) -> Sequence[str]:
        now = fields.moment(now, "due(now=)")
        most = None if limit is None else fields.whole(limit, "limit")
        waiting = [
            (rollout.wake_at, rollout.id)
            for rollout in self._all()
            if rollout.wake_at is not None and rollout.wake_at <= now
        ]
        return [id for _, id in sorted(waiting)[:most]]

    def last(self, service: str) -> Rollout | None:
        found = [rollout for rollout in self._all() if rollout.release.service == service]
        return max(
            found, key=lambda rollout: (not rollout.final, rollout.clocks.created), default=None
        )

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
        wanted = Wanted(
            phase=phase,
            service=service,
            waiting_for_person=waiting_for_person,
            since=since,
            limit=limit,
            after=after,
        )
        newest = sorted(self._all(), key=place_of, reverse=True)
        last = wanted.after
        if isinstance(last, str):
            last = next((place_of(each) for each in newest if each.id == last), None)
            if last is None:
                raise nowhere(str(wanted.after))
        return page_of(wanted, (each for each in newest if last is None or place_of(each) < last))

    def notes(self, id: str) -> Iterable[tuple[str, Note]]:
        return list(self._notes.get(id, ()))


class MemoryOutbox:
    """An outbox in memory, of the same JSON as any other. For one process; safe for threads."""

    def __init__(self) -> None:
        self._texts: dict[tuple[str, str], str] = {}
        self._open: set[tuple[str, str]] = set()
        self._lock = Lock()

    def load(self, rollout: str, destination: str) -> Delivery | None:
        """Return the delivery as it was last saved; None if there is none."""
        text = self._texts.get((rollout, destination))
        return None if text is None else loads_delivery(text)

    def save(self, delivery: Delivery) -> None:
        """Store a delivery by compare-and-set on its revision."""
        key = delivery.rollout, delivery.destination
        with self._lock:
            delivery.refuse_unless_it_follows(self.load(*key))
            self._texts[key] = dumps_delivery(delivery)
            (self._open.discard if delivery.finished else self._open.add)(key)

    def open(self) -> Sequence[str]:
        """Return the rollouts that a destination is not yet told everything of."""
        with self._lock:
            return sorted({rollout for rollout, _ in self._open})
