"""Drive a rollout for a while in a made-up world: the drivers' own protocol, answered by a script.
Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import attrs

from progressive.errors import ConflictError, Failure
from progressive.model.actions import ClosedUntil, Go, HookAnswer, NotYet, Open, Stop
from progressive.model.capacity import Capacity
from progressive.model.measurement import (
    Counts,
    Gauge,
    Histogram,
    Kind,
    Look,
    Measurement,
    Moments,
    NoAnswer,
    NoData,
)
from progressive.model.release import Release
from progressive.model.traffic import Track, Traffic
from progressive.model.units import hours, percent, seconds
from progressive.plan.plan import Plan
from progressive.rollout.commands import (
    Apply,
    AskGate,
    Command,
    Inspect,
    Measure,
    Read,
    Retire,
    RunHook,
    Survey,
)
from progressive.rollout.events import (
    Abort,
    Approve,
    CommandFailed,
    Event,
    GateAnswered,
    Hold,
    HookAnswered,
    Inspected,
    Measured,
    PersonEvent,
    PromoteNow,
    Reject,
    Resume,
    Retired,
    RouterApplied,
    RouterRead,
    Skip,
    Surveyed,
    Tick,
)
from progressive.rollout.state import Rollout, begin
from progressive.runtime.protocol import Persist, Persisted, Reply, tick_protocol

from .doubles import MemoryRouter

EDITED: Final = Traffic(candidate=percent(40))

NUMBERS: Final[dict[Kind, tuple[Measurement, Measurement]]] = {
    Kind.RATIO: (Counts(events=0, trials=5_000), Counts(events=4_000, trials=5_000)),
    Kind.LATENCY: (
        Histogram(edges=(0.0005,), cumulative=(90, 90)),
        Histogram(edges=(0.0005,), cumulative=(0, 90)),
    ),
    Kind.MEAN: (Moments(n=90, mean=0.0, m2=0.0), Moments(n=90, mean=1e300, m2=0.0)),
    Kind.VALUE: (Gauge(samples=(0.0,)), Gauge(samples=(1e300,))),
}
"""The measurements of a good and of a bad version."""


@attrs.frozen(kw_only=True)
class Way:
    """The state of the world in one tick: without trouble, or with one."""

    late: timedelta = timedelta()
    router: str = "obeys"
    candidate: str = "good"
    hook: str = "go"
    gate: str = "open"
    fleet: str = "ready"
    person: str = "is silent"


TROUBLES: Final = (
    *(Way(late=late) for late in (seconds(0.001), seconds(30), hours(1), hours(30))),
    *(Way(router=router) for router in ("edited", "away", "refuses")),
    *(Way(candidate=candidate) for candidate in ("bad", "bad", "idle", "silent")),
    *(Way(hook=hook) for hook in ("later", "stop")),
    *(Way(gate=gate) for gate in ("closed",)),
    *(Way(fleet=fleet) for fleet in ("starting", "away")),
    *(
        Way(person=person)
        for person in (
            "approves",
            "approves",
            "holds",
            "resumes",
            "skips",
            "skips",
            "promotes",
            "rejects",
            "aborts",
        )
    ),
)
WAYS: Final = (*[Way()] * len(TROUBLES) * 2, *TROUBLES)
"""To draw from: two ticks in three are without trouble, or no rollout would ever end."""

LAST: Final = (*TROUBLES, *[Way(person="aborts", router="away")] * 9)
"""To draw the last one from: a way back that has not been read back yet is rare otherwise."""


def reached(plan: Plan, release: Release, *, id: str, at: datetime, ways: Sequence[Way]) -> Rollout:
    """Return the rollout after a tick for each of ``ways``, or as soon as it is over."""
    rollout, router, now = begin(plan, release, id=id, at=at), MemoryRouter(), at
    for way in ways:
        if rollout.wake_at is None:
            break
        now = max(now, rollout.wake_at) + way.late
        if way.router == "edited":
            router.edit(EDITED)
        rollout = _ticked(rollout, _World(now=now, way=way, router=router, release=release))
    return rollout


def _ticked(rollout: Rollout, world: _World) -> Rollout:
    make_event = _PERSON_EVENTS.get(world.way.person)
    common = {"at": world.now, "by": "eve", "why": "so it was drawn"}
    events = () if make_event is None else (make_event(rollout, common),)
    protocol = tick_protocol(
        rollout, events, tick=Tick(at=world.now), stored=True, expected=rollout.serial
    )
    reply: Reply = Persisted()
    try:
        effect = next(protocol)
        while True:
            reply = (
                Persisted()
                if isinstance(effect, Persist)
                else [world.answer(command) for command in effect.commands]
            )
            effect = protocol.send(reply)
    except StopIteration as stop:
        ticked: Rollout = stop.value.decision.rollout
        return ticked


def _approval(rollout: Rollout) -> str:
    return rollout.plan.steps[rollout.progress.step].approval or "none"


_PERSON_EVENTS: Final[dict[str, Callable[[Rollout, dict[str, Any]], PersonEvent]]] = {
    "approves": lambda rollout, common: Approve(approval=_approval(rollout), **common),
    "rejects": lambda rollout, common: Reject(approval=_approval(rollout), **common),
    "holds": lambda rollout, common: Hold(**common),
    "resumes": lambda rollout, common: Resume(
        cause=next((cause.name for cause in rollout.progress.causes), "person"), **common
    ),
    "skips": lambda rollout, common: Skip(epoch=rollout.epoch, **common),
    "promotes": lambda rollout, common: PromoteNow(waive=rollout.plan.keys, **common),
    "aborts": lambda rollout, common: Abort(**common),
}


@attrs.frozen(kw_only=True)
class _World:
    """The answers of the ports at one moment."""

    now: datetime
    way: Way
    router: MemoryRouter
    release: Release

    def answer(self, command: Command) -> Event:
        """Return the event of a command."""
        return _ANSWERS[type(command)](self, command)

    def failed(self, command: str, epoch: int, failure: Failure) -> Event:
        return CommandFailed(
            at=self.now, command=command, epoch=epoch, failure=failure, why="so it was drawn"
        )

    def inspect(self, command: Inspect) -> Event:
        return Inspected(at=self.now, undo="by hand", fleet=self.way.fleet != "away")

    def read(self, command: Read) -> Event:
        if self.way.router == "away":
            return self.failed("read", 0, Failure.TRANSIENT)
        return RouterRead(at=self.now, served=self.router.read(self.release))

    def apply(self, command: Apply) -> Event:
        if self.way.router in ("away", "refuses"):
            return self.failed(
                "apply",
                command.epoch,
                Failure.UNKNOWN if self.way.router == "away" else Failure.PERMANENT,
            )
        try:
            served = self.router.apply(
                self.release, command.traffic, marker=command.marker, expect=command.expect
            )
        except ConflictError:
            return self.failed("apply", command.epoch, Failure.CONFLICT)
        return RouterApplied(
            at=self.now, epoch=command.epoch, traffic=command.traffic, served=served
        )

    def measure(self, command: Measure) -> Event:
        tracks = [(track, self._measured(command.metric.kind, track)) for track in command.tracks]
        reading = "read" if command.metric.counter else None
        look = Look(
            metric=command.metric.name, window=command.window, tracks=tracks, reading=reading
        )
        return Measured(at=self.now, analyses=command.analyses, look=look)

    def _measured(self, kind: Kind, track: Track) -> Measurement:
        if self.way.candidate == "silent":
            return NoAnswer("503")
        if track is not Track.CANDIDATE:
            return NUMBERS[kind][0]
        return (
            NoData("no requests")
            if self.way.candidate == "idle"
            else NUMBERS[kind][self.way.candidate == "bad"]
        )

    def hook(self, command: RunHook) -> Event:
        answers: dict[str, HookAnswer] = {
            "go": Go(),
            "later": NotYet(self.now + seconds(20), "warming up"),
            "stop": Stop("it smokes"),
        }
        return HookAnswered(
            at=self.now, epoch=command.epoch, step=command.step, answer=answers[self.way.hook]
        )

    def gate(self, command: AskGate) -> Event:
        answer = Open() if self.way.gate == "open" else ClosedUntil(self.now + hours(1), "night")
        return GateAnswered(at=self.now, epoch=command.epoch, gate=command.gate, answer=answer)

    def survey(self, command: Survey) -> Event:
        if self.way.fleet == "away":
            return self.failed("survey", 0, Failure.TRANSIENT)
        able = Capacity(percent(100 if self.way.fleet == "ready" else 30), why="as it was drawn")
        return Surveyed(at=self.now, tracks=tuple(dict.fromkeys(Track, able).items()))

    def retire(self, command: Retire) -> Event:
        return (
            self.failed("retire", 0, Failure.TRANSIENT)
            if self.way.fleet == "away"
            else Retired(at=self.now)
        )


_ANSWERS: Final[dict[type, Callable[[_World, Any], Event]]] = {
    Apply: _World.apply,
    AskGate: _World.gate,
    Inspect: _World.inspect,
    Measure: _World.measure,
    Read: _World.read,
    Retire: _World.retire,
    RunHook: _World.hook,
    Survey: _World.survey,
}
