"""A world of faults in virtual time: a router, metrics and a store that misbehave on request, and drivers that can be paused or killed.

The drivers are the library's own `converse`; every move that it yields is a place to stop. `World` checks, at every write and every save, what
no fault may ever break; `heal` ends the faults and demands an end.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs

from progressive import (
    Analysis,
    Canary,
    Capacity,
    Counts,
    Failure,
    Limit,
    Look,
    Measurement,
    Metric,
    NoAnswer,
    NoData,
    NoWorse,
    Phase,
    Release,
    Rollout,
    Traffic,
    Version,
    begin,
    dumps,
    loads,
    minutes,
    percent,
    percents,
    seconds,
)
from progressive.conversation import Do, Save, Saved, converse
from progressive.engine import Decision, decide
from progressive.errors import ConflictError
from progressive.messages import (
    Apply,
    AskGate,
    Command,
    CommandFailed,
    Event,
    GateAnswered,
    Go,
    HookAnswered,
    Inspect,
    Inspected,
    Measure,
    Measured,
    Open,
    Read,
    Retire,
    Retired,
    RunHook,
    Seen,
    Survey,
    Surveyed,
    Tick,
    Wrote,
)
from progressive.notes import Note
from progressive.traffic import Marker, Served, Track
from progressive.units import Percent

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
ERRORS = Metric("error-rate", kind="ratio")
RELEASE = Release(service="shop", stable=Version("v1"), candidate=Version("v2"))


def canary(**changes: Any) -> Canary:
    """The strategy of most tests: three weights, both kinds of check."""
    given: dict[str, Any] = {
        "weights": percents(5, 50, 100),
        "bake": minutes(2),
        "checks": [Limit(ERRORS, at_most=percent(2)), NoWorse(ERRORS)],
        "interval": seconds(30),
    }
    return Canary(**(given | changes))


class Killed(Exception):
    """The driver's process is gone."""


class Broken(AssertionError):
    """Something happened that must never happen."""


@attrs.define
class World:
    """The truth, the faults, and what was persisted."""

    strategy: Any = attrs.field(factory=canary)
    now: datetime = START
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
    answers: list[Measured] = attrs.field(factory=list)
    owed: dict[Track, float] = attrs.field(factory=dict)
    hook: Callable[[str], Any] = attrs.field(default=lambda key: Go())
    gate: Callable[[datetime], Any] = attrs.field(default=lambda now: Open())
    # the store
    text: str = ""
    store_down: bool = False
    saves: int = 0
    notes: list[Note] = attrs.field(factory=list)
    retired: int = 0
    retire_fails: bool = False
    # the fleet
    able: dict[Track, Capacity] | None = None
    fleet_down: bool = False
    # the ghost: what the world knows and the engine does not
    ceiling: int = 0
    aborted: bool = False
    zero_written_since_abort: bool = False
    phases: list[Phase] = attrs.field(factory=list)
    data_at_full: int = 0
    said_able: dict[Track, Capacity] = attrs.field(factory=dict)
    duplicate: bool = False
    shuffle: random.Random | None = None

    def __attrs_post_init__(self) -> None:
        self.text = dumps(begin(self.strategy.plan, RELEASE, id="r", at=self.now))
        self.phases.append(Phase.PENDING)

    # -------------------------------------------------------------------------------------------------------------- truth

    @property
    def rollout(self) -> Rollout:
        """What is stored, as any new driver would read it."""
        return loads(self.text)

    @property
    def phase(self) -> Phase:
        return self.rollout.phase

    @property
    def candidate(self) -> Percent:
        """What the router really serves."""
        self._settle()
        return self.traffic.candidate

    def _settle(self) -> None:
        while self.coming and self.coming[0][0] <= self.now:
            self.traffic = self.coming.pop(0)[1]

    def advance(self, by: timedelta) -> None:
        self.now += by

    def edit(self, weight: float) -> None:
        """A stranger changes the router."""
        self._settle()
        self.coming.clear()
        self.traffic = Traffic(candidate=percent(weight))
        self.revision += 1

    # ------------------------------------------------------------------------------------------------------------- router

    def served(self) -> Served:
        self._settle()
        return Served(traffic=self.traffic, version=str(self.revision), marker=self.marker if self.carries_marker else None)

    def _read(self) -> Event:
        self.reads += 1
        if self.unreadable:
            return CommandFailed(at=self.now, command="read", epoch=0, failure=Failure.TRANSIENT, why="connection refused")
        return Seen(at=self.now, served=self.served())

    def _apply(self, command: Apply) -> Event:
        def failed(failure: Failure, why: str) -> Event:
            return CommandFailed(at=self.now, command="apply", epoch=command.epoch, failure=failure, why=why)

        if self.permanent:
            return failed(Failure.PERMANENT, "403")
        if self.unwritable:
            return failed(Failure.TRANSIENT, "connection refused")
        self._settle()
        there = self.marker
        if self.compare_and_set and command.expect is not None and command.expect != str(self.revision):
            return failed(Failure.CONFLICT, f"revision is {self.revision}")
        if self.carries_marker and there is not None:
            closed = there.generation == command.marker.generation and there.closed and not command.marker.closed
            if there.supersedes(command.marker) or closed:
                return failed(Failure.CONFLICT, f"marker {there}")
        self._check_write(command)
        self.writes.append((self.now, command.traffic))
        if self.lag:
            self.coming.append((self.now + self.lag, command.traffic))
        else:
            self.coming.clear()
            self.traffic = command.traffic
        self.revision += 1
        self.marker = command.marker
        if self.aborted and not command.traffic.candidate.ppm:
            self.zero_written_since_abort = True
        if self.lose_reply:
            return failed(Failure.UNKNOWN, "no answer")
        return Wrote(at=self.now, epoch=command.epoch, traffic=command.traffic, served=self.served())

    def rollback_now(self) -> None:
        """A person takes it back by hand, with nothing but the router."""
        self._settle()
        self.coming.clear()
        self.traffic = Traffic()
        self.revision += 1
        mark = self.marker or Marker(generation=0)
        self.marker = attrs.evolve(mark, closed=True)
        self.aborted = True
        self.zero_written_since_abort = True

    # -------------------------------------------------------------------------------------------------------------- fleet

    def _survey(self) -> Event:
        assert self.able is not None, "asked for instances that nobody bound"
        if self.fleet_down:
            return CommandFailed(at=self.now, command="survey", epoch=0, failure=Failure.TRANSIENT, why="the API is away")
        self.said_able = dict(self.able)
        return Surveyed(at=self.now, tracks=tuple(self.able.items()))

    # ------------------------------------------------------------------------------------------------------------ metrics

    def _measurement(self, command: Measure, track: Track) -> Measurement:
        if self.silent:
            return NoAnswer("503 from the metrics system")
        share = self.traffic.share(track).fraction
        if self.night or (self.idle and track is Track.CANDIDATE):
            return NoData("no requests")
        long = max(command.window.length.total_seconds(), 1.0)
        trials = round(self.rps * share * long) if share else 0
        if not trials:
            return NoData("no requests")
        rate = self.bad if track is Track.CANDIDATE else self.stable_bad
        owed = self.owed.get(track, 0.0) + trials * rate
        events = min(trials, int(owed))
        self.owed[track] = owed - events
        return Counts(events=events, trials=trials)

    def _measure(self, command: Measure) -> Event:
        tracks = tuple((track, self._measurement(command, track)) for track in command.tracks)
        event = Measured(
            at=self.now,
            analyses=command.analyses,
            look=Look(metric=command.metric.name, window=command.window, tracks=tracks),
        )
        self.answers.append(event)
        if self.traffic.candidate.ppm == 1_000_000 and any(found.sample for track, found in tracks if track is Track.CANDIDATE):
            self.data_at_full += 1
        return event

    # -------------------------------------------------------------------------------------------------------------- ghost

    def _check_write(self, command: Apply) -> None:
        asked, serves = command.traffic.candidate.ppm, self.traffic.candidate.ppm
        if asked > self.ceiling:
            raise Broken(f"R1: asked for {asked} ppm, no persisted step allows more than {self.ceiling}")
        if self.aborted and asked > serves:
            raise Broken(f"R2: raised from {serves} to {asked} ppm after an abort")
        if self.able is not None and asked > serves and asked > self.said_able[Track.CANDIDATE].able.ppm:
            raise Broken(f"R6: raised to {asked} ppm, the candidate can carry {self.said_able[Track.CANDIDATE]}")
        if asked > serves and self.store_down:
            raise Broken("R4: raised while nothing could be stored")

    def _check_save(self, rollout: Rollout, notes: Sequence[Note]) -> None:
        phase, last = rollout.phase, self.phases[-1]
        if last in (Phase.PROMOTED, Phase.ROLLED_BACK) and phase is not last:
            raise Broken(f"R24: left the final phase {last.value} for {phase.value}")
        self.phases.append(phase)
        again = decide(rollout, Tick(at=rollout.clocks.now))
        if again.rollout.progress != rollout.progress or again.notes:
            raise Broken(f"a decision stopped half way: at the same instant it goes on from {rollout.progress} to {again.rollout.progress}")
        if phase is Phase.PROGRESSING:
            self.ceiling = max(self.ceiling, rollout.routing.wanted.candidate.ppm)
        if phase in (Phase.ROLLING_BACK, Phase.ROLLED_BACK) and not self.aborted:
            self.aborted = True
            self.zero_written_since_abort = not rollout.routing.touched
        if all(rollout.routing.wanted.exceeds(traffic) for traffic in rollout.plan.traffics[: rollout.progress.step + 1]):
            raise Broken(f"R1: wants {rollout.routing.wanted} in step {rollout.progress.step}")
        wrote_zero = any(not traffic.candidate.ppm for _, traffic in self.writes) or (self.marker is not None and self.marker.closed)
        owes_a_write = rollout.routing.touched and "superseded" not in rollout.progress.reason
        if phase is Phase.ROLLED_BACK and last is not phase and owes_a_write and not wrote_zero:
            raise Broken("R23: rolled back without ever writing 0 %")
        if phase is Phase.PROMOTED and last is not phase and self.strategy.unguarded is None and not self.data_at_full:
            raise Broken("R15: promoted without one measurement at full traffic")
        if phase is Phase.PROGRESSING and any(
            tally.failed and not each.observe and key not in rollout.progress.waived and each.id not in rollout.progress.waived
            for tally, key, (_, each) in zip(rollout.evidence.tallies, rollout.plan.keys, rollout.plan.checks, strict=True)
        ):
            raise Broken("R17: a failed check, and it goes on")

    # ------------------------------------------------------------------------------------------------------------- drivers

    def do(self, command: Command) -> Event:
        match command:
            case Inspect():
                return Inspected(at=self.now, undo="undo by hand", fleet=self.able is not None)
            case Survey():
                return self._survey()
            case Read():
                return self._read()
            case Apply():
                return self._apply(command)
            case Measure():
                return self._measure(command)
            case RunHook():
                return HookAnswered(at=self.now, epoch=command.epoch, step=command.step, answer=self.hook(command.key))
            case AskGate():
                return GateAnswered(at=self.now, epoch=command.epoch, gate=command.gate, answer=self.gate(self.now))
            case Retire() if self.retire_fails:
                return CommandFailed(at=self.now, command="retire", epoch=0, failure=Failure.PERMANENT, why="403")
            case Retire():
                self.retired += 1
                return Retired(at=self.now)

    def save(self, move: Save) -> Saved:
        if self.store_down:
            return Saved("disk full")
        if loads(self.text).serial != move.expected:
            raise ConflictError("somebody else saved")
        self.saves += 1
        self.text = dumps(move.rollout)
        assert loads(self.text) == move.rollout, "R32: what is stored is not what was decided"
        self.notes += move.notes
        self._check_save(move.rollout, move.notes)
        return Saved()

    def moves(self, *events: Event) -> Generator[Any, None, Decision]:
        """One tick, stopping before each move; the caller may walk away at any of them, or come back much later."""
        rollout = self.rollout
        talk = converse(rollout, events, tick=Tick(at=self.now), stored=True, expected=rollout.serial)
        reply: Any = None
        while True:
            try:
                move = talk.send(reply)
            except StopIteration as stop:
                decision: Decision = stop.value.decision
                return decision
            yield move
            if isinstance(move, Save):
                reply = self.save(move)
            else:
                assert isinstance(move, Do)
                reply = [self.do(command) for command in move.commands]
                if self.duplicate:
                    reply += reply
                if self.shuffle is not None:
                    self.shuffle.shuffle(reply)

    def tick(self, *events: Event, kill_before: int | None = None) -> Decision | None:
        """One whole tick; None if it was killed before its n-th move or lost a compare-and-set."""
        moves = self.moves(*events)
        for n in range(1_000):
            try:
                next(moves)
            except StopIteration as stop:
                decision: Decision = stop.value
                return decision
            except ConflictError:
                return None
            if n == kill_before:
                return None
        raise Broken("a tick that never ends")

    def say(self, event: Event) -> Decision:
        """A person's word, submitted to the store."""
        rollout = self.rollout
        decision = decide(rollout, event)
        self.save(Save(decision.rollout, decision.notes, rollout.serial))
        return decision

    def until(self, wanted: Callable[[World], bool], *, ticks: int = 400) -> World:
        """Tick at every ``wake_at`` until something holds."""
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
        raise AssertionError(f"it never came to that: {self.rollout!r}\n" + "\n".join(map(str, self.notes[-25:])))

    def until_phase(self, *phases: Phase, ticks: int = 400) -> World:
        return self.until(lambda world: world.phase in phases, ticks=ticks)

    def until_weight(self, weight: float) -> World:
        """Until the candidate really has this weight and the engine knows it."""
        wanted = Traffic(candidate=percent(weight))
        return self.until(lambda world: world.traffic == wanted and world.rollout.routing.verified_since is not None)

    def until_next_tick_raises(self) -> World:
        """Until everything but the last read before the raise to the second weight is there."""
        self.until(lambda world: world.rollout.progress.step == 1 and world.rollout.clocks.watched >= seconds(90))
        return self

    def heal(self) -> None:
        """Every fault ends."""
        self.unreadable = self.unwritable = self.permanent = self.lose_reply = False
        self.silent = self.idle = self.night = self.store_down = self.duplicate = False
        self.lag = timedelta()
        self.fleet_down = False
        if self.able is not None:
            self.able = dict.fromkeys(Track, Capacity(percent(100)))

    def said(self, kind: str) -> list[Any]:
        """The notes of one kind."""
        return [note for note in self.notes if note.kind == kind]


__all__ = ["ERRORS", "RELEASE", "START", "Analysis", "Broken", "World", "canary"]
