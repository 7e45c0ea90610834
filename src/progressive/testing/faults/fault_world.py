"""A world of faults in virtual time: a router, metrics, a fleet and a store that misbehave on
request, and drivers that stop anywhere.

`World` is a service to try a strategy on; this one is an enemy. Every fault is a switch, somebody
else edits the router, processes die between any two effects, and every write and every save is
checked against the promises that no fault may break (`PromiseBroken`). `soak` turns the switches at
random.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from datetime import datetime, timedelta
from typing import Final, Self

import attrs

from progressive.codec.documents import dumps, loads
from progressive.engine.decide import Decision, decide
from progressive.errors import ConflictError, Failure
from progressive.model.actions import GateAnswer, Go, HookAnswer, Open
from progressive.model.capacity import Capacity
from progressive.model.measurement import (
    Counts,
    Gauge,
    Histogram,
    Kind,
    Look,
    Measurement,
    Metric,
    Moments,
    NoAnswer,
    NoData,
)
from progressive.model.release import Release
from progressive.model.router_state import Marker, Served
from progressive.model.traffic import ALL_STABLE, Track, Traffic
from progressive.model.units import MILLION, Percent, percent
from progressive.plan.plan import Strategy
from progressive.plan.step import Kinds
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
    CommandFailed,
    Event,
    GateAnswered,
    HookAnswered,
    Inspected,
    Measured,
    Retired,
    RouterApplied,
    RouterRead,
    Surveyed,
    Tick,
)
from progressive.rollout.notes import Note
from progressive.rollout.phases import Phase
from progressive.rollout.state import Rollout, begin
from progressive.runtime.protocol import Effect, Execute, Persist, Persisted, Reply, tick_protocol
from progressive.testing.doubles import EPOCH
from progressive.testing.simulation.simulate import RELEASE

from .reference_model import PromiseBroken, ReferenceModel

__all__ = ["FaultWorld"]

HARM: Final = 0.05
"""From this rate of failures on, every other metric of a version is bad too."""

MATCHED: Final = 0.01
"""This fraction of the requests carries a header or cookie of the traffic's ``matches``."""

PREVIEW: Final = 10.0
"""Requests a second that a load test sends to a candidate without any other, for strategies that
judge it there.
"""

MOST_MOVES: Final = 1_000
"""A tick has a handful of effects; one with more than this never ends."""


@attrs.define(kw_only=True)
class FaultWorld:
    """One rollout, the world around it with its faults, and the stored state. Every field may be
    set at any time.

    * The router: ``lag`` until it serves a write; ``unreadable``, ``unwritable``, ``permanent``
      (every write is refused for good), ``lose_reply`` (written, and no answer);
      ``compare_and_set`` and ``carries_marker``: whether it has these capabilities.
    * The metrics: ``rps`` to the whole service (a hundredth of them match a header route; a preview
      without any has ten a second of its own), the rates of failure of the candidate (``bad``) and
      of stable (``stable_bad``), ``silent`` (no answer), ``idle`` (no requests to the candidate),
      ``night`` (no requests at all), ``no_reading`` (a counter is answered without one).
    * The store: ``store_down``.
    * The fleet, if there is one: what each track is ``able`` to carry, ``fleet_down``,
      ``retire_fails``.
    * Answers: ``duplicate`` (each twice), ``shuffle`` (in another order each time).
    """

    strategy: Strategy = attrs.field(kw_only=False)
    release: Release = RELEASE
    kinds: Kinds = Kinds()
    now: datetime = EPOCH
    # the router
    traffic: Traffic = Traffic()
    revision: int = 1
    marker: Marker | None = None
    compare_and_set: bool = True
    carries_marker: bool = True
    lag: timedelta = timedelta()
    coming: list[tuple[datetime, Traffic]] = attrs.field(factory=list)
    unreadable: bool = False
    unwritable: bool = False
    permanent: bool = False
    lose_reply: bool = False
    writes: list[tuple[datetime, Traffic]] = attrs.field(factory=list)
    reads: int = 0
    # the metrics
    bad: float = 0.001
    stable_bad: float = 0.001
    rps: float = 200.0
    silent: bool = False
    idle: bool = False
    night: bool = False
    no_reading: bool = False
    answers: list[Measured] = attrs.field(factory=list)
    _owed: dict[Track, float] = attrs.field(factory=dict)
    # people's code
    hook: Callable[[str], HookAnswer] = attrs.field(default=lambda key: Go())
    gate: Callable[[datetime], GateAnswer] = attrs.field(default=lambda now: Open())
    # the store
    text: str = ""
    _loaded: tuple[str, Rollout | None] = ("", None)
    store_down: bool = False
    saves: int = 0
    notes: list[Note] = attrs.field(factory=list)
    # the fleet
    able: dict[Track, Capacity] | None = None
    fleet_down: bool = False
    _surveyed: dict[datetime, dict[Track, Capacity]] = attrs.field(factory=dict)
    retired: int = 0
    retire_fails: bool = False
    # between them
    duplicate: bool = False
    shuffle: random.Random | None = None
    ghost: ReferenceModel = attrs.field(factory=ReferenceModel)
    events: int = 0

    def __attrs_post_init__(self) -> None:
        self.text = dumps(begin(self.strategy.plan, self.release, id="r", at=self.now), self.kinds)

    # ---------------------------------------------------------------------------------------- truth

    @property
    def rollout(self) -> Rollout:
        """The stored rollout, as any new driver would load it."""
        text, rollout = self._loaded
        if rollout is None or text != self.text:
            rollout = loads(self.text, self.kinds)
            self._loaded = self.text, rollout
        return rollout

    @property
    def phase(self) -> Phase:
        """The phase of the stored rollout."""
        return self.rollout.phase

    @property
    def candidate(self) -> Percent:
        """The weight of the candidate that the router really serves."""
        self._settle()
        return self.traffic.candidate

    def _settle(self) -> None:
        while self.coming and self.coming[0][0] <= self.now:
            self.traffic = self.coming.pop(0)[1]

    def advance(self, by: timedelta) -> None:
        """Let time pass."""
        self.now += by

    def edit(self, weight: float) -> None:
        """Set the candidate's weight in percent, as somebody else would."""
        self._settle()
        self.coming.clear()
        self.traffic = Traffic(candidate=percent(weight))
        self.revision += 1

    def forget(self) -> None:
        """Restart the router from a file without our writes.

        Whoever had claimed it raises nothing until a person resumes. Where nothing can tell (the
        router carries no marker, or does not compare while a driver sleeps between its read and its
        write), a rollback by hand that no driver had read is gone too.
        """
        self.edit(0)
        self.marker = None
        self.ghost.superseded = False
        routing = self.rollout.routing
        seen = self.compare_and_set and self.carries_marker and routing.marked
        if seen and not routing.reassert:
            self.ghost.lost = True
        else:
            self._accept()

    def claim_by_another(self) -> None:
        """Let a rollout of another store claim the router, while all traffic is on stable."""
        assert self.served().shows(ALL_STABLE), "a rollout begins on stable"
        generation = 1 if self.marker is None else self.marker.generation + 1
        self.revision += 1
        owner = f"another{self.revision}"
        self.marker = Marker(generation=generation, serial=1, owner=owner)
        self.ghost.superseded = self.compare_and_set and self.rollout.routing.ownership_confirmed

    def _accept(self) -> None:
        """Whatever the router has forgotten counts no more."""
        self.ghost.lost = False
        self.ghost.aborted = self.phase in (Phase.ROLLING_BACK, Phase.ROLLED_BACK)

    def rollback_now(self) -> None:
        """Roll back by hand, with nothing but the router.

        Where that compares nothing and has lost the marker, a driver that sleeps between its read
        and its write covers it, and nothing can tell.
        """
        bare = not self.compare_and_set and (self.marker is None or not self.carries_marker)
        self.ghost.covered_by = self.rollout.serial if bare else None
        self.edit(0)
        self.marker = attrs.evolve(self.marker or Marker(generation=0), closed=True)
        self.ghost.aborted, self.ghost.decided = True, None

    def heal(self) -> None:
        """End every fault."""
        self.unreadable = self.unwritable = self.permanent = self.lose_reply = False
        self.silent = self.idle = self.night = self.store_down = self.duplicate = False
        self.lag = timedelta()
        self.fleet_down = False
        if self.able is not None:
            self.able = dict.fromkeys(Track, Capacity(percent(100)))

    # --------------------------------------------------------------------------------------- router

    def served(self) -> Served:
        """Return the traffic that a read shows."""
        self._settle()
        return Served(
            traffic=self.traffic,
            version=str(self.revision),
            marker=self.marker if self.carries_marker else None,
        )

    def _read(self, command: Read) -> Event:
        self.reads += 1
        if self.unreadable:
            return CommandFailed(
                at=self.now,
                command="read",
                epoch=0,
                failure=Failure.TRANSIENT,
                why="connection refused",
            )
        return RouterRead(at=self.now, served=self.served())

    def _apply(self, command: Apply) -> Event:
        def failed(failure: Failure, why: str) -> Event:
            return CommandFailed(
                at=self.now, command="apply", epoch=command.epoch, failure=failure, why=why
            )

        if self.permanent:
            return failed(Failure.PERMANENT, "403")
        if self.unwritable:
            return failed(Failure.TRANSIENT, "connection refused")
        self._settle()
        if (
            self.compare_and_set
            and command.expect is not None
            and command.expect != str(self.revision)
        ):
            return failed(Failure.CONFLICT, f"revision is {self.revision}")
        if self.carries_marker and self.marker is not None and self.marker.forbids(command.marker):
            return failed(Failure.CONFLICT, f"marker {self.marker}")
        needs = {"fleet": self.able is not None, "way_back": self.strategy.plan.needs_stable}
        self.ghost.writing(command, self.served(), store_down=self.store_down, **needs)
        self.writes.append((self.now, command.traffic))
        if self.lag:
            self.coming.append((self.now + self.lag, command.traffic))
        else:
            self.coming.clear()
            self.traffic = command.traffic
        self.revision += 1
        self.marker = command.marker
        if self.lose_reply:
            return failed(Failure.UNKNOWN, "no answer")
        return RouterApplied(
            at=self.now, epoch=command.epoch, traffic=command.traffic, served=self.served()
        )

    # -------------------------------------------------------------------------------------- metrics

    def counted(self, command: Measure, track: Track) -> Counts | NoData | NoAnswer:
        """Return the requests and failures of a track in the window; failures are evenly spaced."""
        if self.silent:
            return NoAnswer("503 from the metrics system")
        if self.night or (self.idle and track is Track.CANDIDATE):
            return NoData("no requests")
        long = max(command.window.length.total_seconds(), 1.0)
        trials = round(self._requests(track) * long)
        if not trials:
            return NoData("no requests")
        owed = self._owed.get(track, 0.0) + trials * self._rate(track)
        events = min(trials, int(owed))
        self._owed[track] = owed - events
        return Counts(events=events, trials=trials)

    def _requests(self, track: Track) -> float:
        """Return the requests a second of a track: by its weight, by headers and cookies, as
        copies, and of a load test.
        """
        matched = MATCHED if self.traffic.matches else 0.0
        share = (1.0 - matched) * self.traffic.share(track).fraction
        if track is not Track.CANDIDATE:
            return self.rps * share
        copies = (1.0 - matched) * self.traffic.stable.fraction * self.traffic.mirror.fraction
        preview = any(each.synthetic for each in self.strategy.plan.analyses)
        return self.rps * (share + matched + copies) or (PREVIEW if preview else 0.0)

    def _rate(self, track: Track) -> float:
        return self.bad if track is Track.CANDIDATE else self.stable_bad

    def measurement(self, command: Measure, track: Track) -> Measurement:
        """Measure a track: failures as they are; any other kind far on the good or the bad side."""
        counts = self.counted(command, track)
        if not isinstance(counts, Counts):
            return counts
        return _shown(command.metric, counts.trials, self._rate(track) >= HARM) or counts

    def _measure(self, command: Measure) -> Event:
        tracks = tuple((track, self.measurement(command, track)) for track in command.tracks)
        reading = "read" if command.metric.counter and not self.no_reading else None
        look = Look(
            metric=command.metric.name, window=command.window, tracks=tracks, reading=reading
        )
        event = Measured(at=self.now, analyses=command.analyses, look=look)
        self.answers.append(event)
        full = self.traffic.candidate.ppm == MILLION
        self.ghost.judged_at_full += full and any(
            found.sample > 0 for track, found in tracks if track is Track.CANDIDATE
        )
        return event

    # ------------------------------------------------------------------ people's code and the fleet

    def _inspect(self, command: Inspect) -> Event:
        return Inspected(at=self.now, undo="undo by hand", fleet=self.able is not None)

    def _run_hook(self, command: RunHook) -> Event:
        return HookAnswered(
            at=self.now, epoch=command.epoch, step=command.step, answer=self.hook(command.key)
        )

    def _ask_gate(self, command: AskGate) -> Event:
        return GateAnswered(
            at=self.now, epoch=command.epoch, gate=command.gate, answer=self.gate(self.now)
        )

    def _survey(self, command: Survey) -> Event:
        assert self.able is not None, "asked for instances that nobody bound"
        if self.fleet_down:
            return CommandFailed(
                at=self.now,
                command="survey",
                epoch=0,
                failure=Failure.TRANSIENT,
                why="the API is away",
            )
        self.ghost.said_able = self._surveyed[self.now] = dict(self.able)
        return Surveyed(at=self.now, tracks=tuple(self.able.items()))

    def _retire(self, command: Retire) -> Event:
        if self.retire_fails:
            return CommandFailed(
                at=self.now, command="retire", epoch=0, failure=Failure.PERMANENT, why="403"
            )
        self.retired += 1
        return Retired(at=self.now)

    def do(self, command: Command) -> Event:
        """Execute one command in this world, and return its event."""
        event: Event = getattr(self, _DOES[type(command)])(command)
        return event

    # -------------------------------------------------------------------- the store and the drivers

    def save(self, effect: Persist) -> Persisted:
        """Save as a store would; `ConflictError` if another driver has saved."""
        if self.store_down:
            return Persisted("disk full")
        before = self.rollout
        if before.serial != effect.expected:
            raise ConflictError("somebody else saved")
        self.saves += 1
        self.text = dumps(effect.rollout, self.kinds)
        if before.routing.marked and not effect.rollout.routing.marked:  # a person resumed
            self._accept()
        if self.rollout != effect.rollout:
            raise PromiseBroken("R32: what is stored is not what was decided")
        self.notes += effect.notes
        self.ghost.saved(effect.rollout, self.marker)
        return Persisted()

    def moves(self, *events: Event) -> Generator[Effect, None, Decision]:
        """Run one tick that stops before each effect, and yield it.

        The caller may drop the generator at any of them, or go on much later.
        """
        rollout = self.rollout
        protocol = tick_protocol(
            rollout, events, tick=Tick(at=self.now), stored=True, expected=rollout.serial
        )
        self.events += 1 + len(events)
        # What the fleet said to this driver, in this tick or at its instant; others ask it too.
        said = self._surveyed.get(self.now, {})
        reply: Reply | None = None
        while True:
            try:
                effect = protocol.send(reply)  # type: ignore[arg-type]
            except StopIteration as stop:
                decision: Decision = stop.value.decision
                return decision
            yield effect
            if isinstance(effect, Persist):
                reply = self.save(effect)
            else:
                assert isinstance(effect, Execute)
                self.ghost.said_able = said
                reply = [self.do(command) for command in effect.commands]
                said = self.ghost.said_able
                if self.duplicate:
                    reply += reply
                if self.shuffle is not None:
                    self.shuffle.shuffle(reply)
                self.events += len(reply)

    def tick(self, *events: Event, kill_before: int | None = None) -> Decision | None:
        """Run one whole tick, and return its decision.

        None if it was killed before its effect ``kill_before`` (counted from 0), or lost a
        compare-and-set.
        """
        moves = self.moves(*events)
        for n in range(MOST_MOVES):
            try:
                next(moves)
            except StopIteration as stop:
                decision: Decision = stop.value
                return decision
            except ConflictError:
                return None
            if n == kill_before:
                return None
        raise PromiseBroken("a tick that never ends")

    def say(self, event: Event) -> Decision:
        """Submit a person's event to the store."""
        rollout = self.rollout
        decision = decide(rollout, event)
        self.events += 1
        self.save(Persist(decision.rollout, decision.notes, rollout.serial))
        return decision

    def until(self, wanted: Callable[[Self], bool], *, ticks: int = 400) -> Self:
        """Tick at every ``wake_at`` until a condition holds, and return this world.

        Raises `AssertionError`, with the last notes, if it does not hold after ``ticks``.
        """
        for _ in range(ticks):
            if wanted(self):
                return self
            self.tick()
            wake = self.rollout.wake_at
            if wake is None:
                break
            self.now = max(self.now + timedelta(milliseconds=1), wake)
        if wanted(self):
            return self
        raise AssertionError(
            f"it never came to that: {self.rollout!r}\n" + "\n".join(map(str, self.notes[-25:]))
        )

    def said(self, kind: str) -> list[Note]:
        """Return the notes of one kind, such as ``"entered"``."""
        return [note for note in self.notes if note.kind == kind]


_DOES: Final = {
    Apply: "_apply",
    AskGate: "_ask_gate",
    Inspect: "_inspect",
    Measure: "_measure",
    Read: "_read",
    Retire: "_retire",
    RunHook: "_run_hook",
    Survey: "_survey",
}


def _shown(metric: Metric, n: int, bad: bool) -> Measurement | None:
    """Return ``n`` values of a kind other than failures, beyond every bound; None for a ratio."""
    match metric.kind:
        case Kind.RATIO:
            return None
        case Kind.LATENCY:
            return Histogram(edges=(0.001, 600.0), cumulative=(0 if bad else n, 0 if bad else n, n))
        case Kind.MEAN | Kind.VALUE:
            high = bad is (metric.bad.value == "up")
            level = 1e9 if high else 0.0
            return (
                Moments(n=n, mean=level, m2=float(n))
                if metric.kind is Kind.MEAN
                else Gauge(samples=(level,))
            )
