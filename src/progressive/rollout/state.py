"""The state of one release under one plan: a frozen value in small parts, each with one reason to
change.

It is all that is ever persisted, and everything that a decision depends on. Clocks are accumulators
(watched, stepped, ran), not deadlines, so that a jump of the wall clock can't bring one forward.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import attrs

from progressive.analysis.check_state import CheckState
from progressive.analysis.split import Split
from progressive.errors import StrategyError
from progressive.model import fields
from progressive.model.actions import HookAnswer, Memory
from progressive.model.capacity import Capacity
from progressive.model.release import Release
from progressive.model.router_state import Marker, Served
from progressive.model.traffic import Track, Traffic
from progressive.model.units import percent
from progressive.plan.plan import Plan, PlannedCheck, Series
from progressive.plan.step import Approved

from .phases import FINAL, Phase, Retirement
from .status import Status, Waiting

__all__ = [
    "Cause",
    "Clocks",
    "ClosedGate",
    "Evidence",
    "Instances",
    "Probe",
    "Progress",
    "Reading",
    "Rollout",
    "Routing",
    "SeriesState",
    "Tail",
    "begin",
]

FORMAT: Final = 1
"""The version of the stored form. A rollout keeps the one that it was begun with, for life."""


@attrs.frozen(kw_only=True)
class Cause:
    """One cause of a hold.

    * ``name``: the name by which `Resume` ends it.
    * ``person``: whether a person caused it.
    * ``within``: the longest time that it may hold; then the rollout rolls back.
    * ``held``: how long it has held.
    """

    name: str
    why: str
    by: str
    person: bool
    within: timedelta
    held: timedelta = timedelta()


@attrs.frozen
class ClosedGate:
    """A gate that is closed, why, and until when. Stored as a list of three."""

    gate: str
    why: str
    until: datetime


@attrs.frozen(kw_only=True)
class Successor:
    """A later rollout of the service, which does not need the version that this one removes."""

    rollout: str
    release: Release


@attrs.frozen(kw_only=True)
class Progress:
    """The position in the plan, and all that holds or has ended a step.

    * ``step``: the index of the current step.
    * ``epoch``: rises with every change of step, phase or desired traffic; late replies that quote
      an older one are ignored.
    * ``memory``, ``answer``: the memory of the current step, and the last answer of its hook.
    * ``causes``: of the hold, in HELD.
    * ``approvals``: all that were given, early ones included.
    * ``waived``: the names that a person has waived, of checks, gates or steps.
    * ``closed_gate``: the gate that keeps traffic from being raised.
    * ``successors``: the latest rollouts of the service since (`Superseded`), in that order.
    """

    phase: Phase = Phase.PENDING
    step: int = 0
    epoch: int = 0
    memory: Memory = None
    answer: HookAnswer | None = None
    skipped: bool = False
    forced: bool = False
    causes: tuple[Cause, ...] = ()
    approvals: tuple[Approved, ...] = ()
    waived: tuple[str, ...] = ()
    reason: str = ""
    closing: datetime | None = None
    closed_gate: ClosedGate | None = attrs.field(default=None, metadata=fields.stored_as("frozen"))
    retirement: Retirement = Retirement.NONE
    overdue: bool = False
    waiting: Waiting | None = None
    successors: tuple[Successor, ...] = ()


@attrs.frozen(kw_only=True)
class Routing:
    """The traffic that the router shall serve, and what it has reported.

    * ``desired``: the traffic that it shall serve.
    * ``observed``: what it served when it was last read, at ``read_at``.
    * ``last_attempt_at``: when the last read ended, in an answer or an error.
    * ``last_verified``: the last traffic that was verified, without a break from
      ``verified_since`` to ``verified_at`` (None while it is not).
    * ``generation``: that of this rollout's markers.
    * ``any_write_sent``: set before the first write is sent.
    * ``ownership_confirmed``: set when the first write was read back.
    * ``first_sent``: the epoch and the serial of the first write of this epoch.
    * ``acked_epoch``: the epoch of the last write that was read back.
    * ``attempts``, ``retry_at``: failed commands, and when to try the next.
    * ``drifts``: the latest times at which drift above the step's weight was seen.
    * ``undo``: how to take all traffic back by hand.
    * ``owner``: of this rollout's markers; empty in rollouts that were begun before markers had
      one, which go on as they did.
    * ``found``: the marker that stood there when this rollout claimed the router.
    * ``marked``: whether our marker stood on the router when it was last there.
    * ``reassert``: whether a marker that is gone is taken for a restart (`AfterRestart.REASSERT`).
    * ``sticky``: whether users stay on a version, so that requests follow the weights late.
    * ``read_as``: the successor by whose release ``observed`` was read; empty for this one's own.
    """

    desired: Traffic = attrs.field(default=Traffic(), metadata=fields.stored_as("wanted"))
    last_verified: Traffic = attrs.field(default=Traffic(), metadata=fields.stored_as("standing"))
    observed: Served | None = attrs.field(default=None, metadata=fields.stored_as("served"))
    read_at: datetime | None = None
    last_attempt_at: datetime | None = attrs.field(
        default=None, metadata=fields.stored_as("tried_at")
    )
    verified_since: datetime | None = None
    verified_at: datetime | None = None
    generation: int | None = None
    any_write_sent: bool = attrs.field(default=False, metadata=fields.stored_as("touched"))
    ownership_confirmed: bool = attrs.field(default=False, metadata=fields.stored_as("claimed"))
    first_sent: tuple[int, int] = attrs.field(default=(-1, -1), metadata=fields.stored_as("sent"))
    acked_epoch: int = attrs.field(default=-1, metadata=fields.stored_as("written"))
    attempts: int = 0
    retry_at: datetime | None = None
    drifts: tuple[datetime, ...] = ()
    reasserted: bool = False
    inspected: bool = False
    undo: str = ""
    owner: str = ""
    found: Marker | None = None
    marked: bool = False
    reassert: bool = False
    sticky: bool = False
    read_as: str = ""


@attrs.frozen(kw_only=True)
class Tail:
    """The last window of the traffic before, to be measured once its numbers are complete."""

    start: datetime
    end: datetime
    tracks: tuple[Track, ...]


@attrs.frozen(kw_only=True)
class SeriesState:
    """The state of one series of windows.

    * ``start``: where the next window begins; None: nothing to measure now.
    * ``tracks``: the tracks that get traffic in it.
    * ``reading``: the provider's own, passed as ``since`` with the next look.
    * ``fingerprint``: of the last query.
    * ``split``: whether the candidate's requests arrive; None if nobody looks for that.
    * ``refused``: looks in a row that the system answered, but not with what can be judged.
    * ``resolution``: how often the system has new numbers; None if it does not say.
    """

    start: datetime | None = None
    tracks: tuple[Track, ...] = ()
    tail: Tail | None = None
    reading: str | None = None
    fingerprint: str = ""
    retry_at: datetime | None = None
    split: Split | None = None
    refused: int = 0
    resolution: timedelta | None = None


@attrs.frozen(kw_only=True)
class Probe:
    """The preflight of one metric: whether its provider answers at all."""

    metric: str
    start: datetime
    reading: str | None = None
    retry_at: datetime | None = None
    answered: bool = False
    why: str = ""


@attrs.frozen(kw_only=True)
class Evidence:
    """The evidence so far, in the order of the plan's series and checks.

    Its size does not grow with the number of looks.
    """

    series: tuple[SeriesState, ...] = ()
    check_states: tuple[CheckState, ...] = attrs.field(
        default=(), metadata=fields.stored_as("tallies")
    )
    probes: tuple[Probe, ...] = ()

    def series_state(self, series: Series) -> SeriesState:
        """Return the state of one series."""
        return self.series[series.index]

    def check_state(self, planned: PlannedCheck) -> CheckState:
        """Return the state of one check."""
        return self.check_states[planned.index]


@attrs.frozen(kw_only=True)
class Instances:
    """The last survey of the fleet.

    * ``bound``: whether there is a fleet to survey.
    * ``capacities``: of each track, at ``surveyed_at``.
    * ``last_attempt_at``: the last survey, answered or not.
    * ``surveyed_as``: the successor by whose release it was surveyed; empty for this one's own.
    """

    bound: bool = False
    capacities: tuple[tuple[Track, Capacity], ...] = ()
    surveyed_at: datetime | None = None
    last_attempt_at: datetime | None = attrs.field(
        default=None, metadata=fields.stored_as("tried_at")
    )
    surveyed_as: str = ""

    def of(self, track: Track) -> Capacity | None:
        """Return the capacity of one track; None if it is not known."""
        return next((capacity for known, capacity in self.capacities if known is track), None)


@attrs.frozen(kw_only=True)
class Reading:
    """The furthest reading of one clock, how long it is ``away`` by slower ones, and how much of
    that was ``credited``. ``before``: the last reading before, if that is far behind and of the
    only clock that was known; ``several``: whether more than one is.
    """

    at: datetime
    away: timedelta = timedelta()
    credited: timedelta = timedelta()
    before: datetime | None = None
    several: bool = False


@attrs.frozen(kw_only=True)
class Clocks:
    """Times and accumulators.

    * ``created``, ``now``, ``ticked``, ``entered``: when the rollout began, was last decided, was
      last ticked, and entered its step or phase.
    * ``since``: when a person's event began this step or phase, if that is later than ``now``; the
      next tick credits from there.
    * ``stepped``: time in this step or phase.
    * ``unwatched``: the part of it in which nobody came, beyond the plan's ``watch_every``; it
      counts against no deadline of the engine's.
    * ``gap``: whether nobody had come for long before this tick; until all was asked once more, no
      deadline is acted on.
    * ``ran``: time of the whole rollout.
    * ``watched``: the credit of a bake in this step.
    * ``unreadable``: time since the router was last read.
    * ``astray``: time since the router serves the candidate more than it should.
    * ``readings``: the furthest ones of clocks that differ, in falling order; empty in rollouts
      that were begun before they were kept, to which every clock is the same one.
    """

    created: datetime
    now: datetime
    ticked: datetime | None = None
    entered: datetime
    since: datetime | None = None
    stepped: timedelta = timedelta()
    unwatched: timedelta = timedelta()
    gap: bool = False
    ran: timedelta = timedelta()
    watched: timedelta = timedelta()
    unreadable: timedelta = timedelta()
    astray: timedelta = timedelta()
    escalated: timedelta = timedelta()
    readings: tuple[Reading, ...] = ()


@attrs.frozen(kw_only=True, repr=False)
class Rollout:
    """One release under one plan. Made by `begin`, changed only by `decide`, stored by `dumps`.

    ``serial`` rises with every decision; ``wake_at`` is when to tick next, None if it is over.
    ``earlier``: the rollouts of the service that had a version to remove when this one began.
    """

    id: str = attrs.field(validator=fields.is_name)
    release: Release
    plan: Plan
    serial: int = 0
    progress: Progress
    routing: Routing
    evidence: Evidence
    clocks: Clocks
    wake_at: datetime | None
    instances: Instances = Instances()
    earlier: tuple[str, ...] = ()

    @property
    def phase(self) -> Phase:
        return self.progress.phase

    @property
    def epoch(self) -> int:
        return self.progress.epoch

    @property
    def final(self) -> bool:
        """Whether no traffic will be changed any more."""
        return self.progress.phase in FINAL

    @property
    def leaving(self) -> Track:
        """The track that has no traffic any more once it is final: stable after the promotion, the
        candidate after a way back.
        """
        return Track.STABLE if self.phase is Phase.PROMOTED else Track.CANDIDATE

    @property
    def successor(self) -> Successor | None:
        """The successor that has the router, by the marker that was read last."""
        observed = self.routing.observed
        marker = None if observed is None else observed.marker
        return successor_of(self.progress, marker)

    @property
    def read_by(self) -> Release:
        """The release by which the router is read: that of who has it, this rollout or a successor.

        Where a successor has everything and not all that it knows is there, it may have removed its
        own old version: then by its candidate alone, which proves that nothing else is served.
        """
        successor, routing = self.successor, self.routing
        if successor is None:
            return self.release
        seen = routing.observed if routing.read_as == successor.rollout else None
        if seen is not None and seen.traffic.candidate == EVERYTHING and not seen.converged:
            return attrs.evolve(successor.release, stable=None, baseline=None)
        return successor.release

    @property
    def over(self) -> bool:
        """Whether it is final and nothing is left to retire: it need not be ticked again."""
        return self.final and self.progress.retirement in (Retirement.NONE, Retirement.DONE)

    @property
    def waits_for_person(self) -> bool:
        """Whether only a person's event or a deadline can end its current wait."""
        if self.phase is Phase.HELD:
            return True
        return (
            self.phase is Phase.PROGRESSING
            and self.plan.steps[self.progress.step].approval is not None
        )

    @property
    def status(self) -> Status:
        """Its phase and step, and what it waits for."""
        served = None if self.routing.read_as else self.routing.observed
        return Status(
            phase=self.phase,
            step=self.plan.steps[self.progress.step].id,
            position=self.progress.step + 1,
            steps=len(self.plan.steps),
            asked=self.routing.desired.candidate,
            declared=None if served is None else served.traffic.candidate,
            waiting=self.progress.waiting,
            reason=self.progress.reason,
        )

    def __repr__(self) -> str:
        return f"<Rollout {self.id!r} serial {self.serial}: {self.status}>"


def successor_of(progress: Progress, marker: Marker | None) -> Successor | None:
    """Return the successor whose marker this is; None if it is nobody's or another's."""
    if marker is None or not progress.successors:
        return None
    owners = {Marker.owner_of(each.rollout): each for each in progress.successors}
    return owners.get(marker.owner)


EVERYTHING: Final = percent(100)


def begin(plan: Plan, release: Release, *, id: str, at: datetime) -> Rollout:
    """Make a new rollout: PENDING, with nothing asked of the world yet.

    ``id`` is yours; the same id always means the same rollout. Raises `StrategyError` if the
    release has no stable version, or no baseline that the plan needs.
    """
    fields.name(id, "begin(id=)")
    if not isinstance(release, Release):
        raise StrategyError(
            f"begin(release): {fields.brief(release)} is no Release; write Release(service=..., "
            "stable=Version(...), candidate=Version(...))"
        )
    if release.stable is None:
        raise StrategyError(
            f"release.stable: {release.service!r} has no stable version; a first deployment "
            "has nothing to return to or to "
            "compare with; use first_deployment(router, release)"
        )
    if release.baseline is None and any(traffic.baseline.ppm for traffic in plan.traffics):
        raise StrategyError(
            "release.baseline: the plan gives a baseline traffic; name it in Release(baseline=...)"
        )
    at = fields.moment(at, "begin(at=)")
    return Rollout(
        id=id,
        release=release,
        plan=plan,
        progress=Progress(),
        routing=Routing(owner=Marker.owner_of(id)),
        evidence=Evidence(
            series=(SeriesState(),) * len(plan.series),
            check_states=(CheckState(),) * len(plan.checks),
            probes=tuple(Probe(metric=metric.name, start=at) for metric in plan.metrics),
        ),
        clocks=Clocks(created=at, now=at, entered=at, readings=(Reading(at=at),)),
        wake_at=at,
    )
