"""`verify(strategy)`: every state that a plan can get into, under everything that the world, the clock or a person can do to it.

The walk is exhaustive over an abstraction, and the engine in it is the real one. Time is abstracted to what somebody could wait for: the next
`wake_at`, the deadline that is waited for, past every deadline, and a clock that steps back. Checks are abstracted to their verdicts: in each
tick all of them pass, fail, can't tell, find no data or get no answer. Counters, causes, approvals and what is on the router are kept; two
states that differ in nothing else are one. In each tick one thing goes wrong, or nothing; what goes wrong in one tick after another is walked.

What must hold is checked on every move (`promises`), and on the whole: an abort leads to 0 % from everywhere, there is a way to an end from
everywhere, and every step is reached. A plan that breaks one comes with the shortest way to it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final

import attrs

from ..analysis.judge import Analysis
from ..analysis.verdict import Check, Judgement, Memory, Tolerance, Verdict
from ..codec import dumps_event
from ..conversation import Kept, Save, Saved, converse
from ..engine import Decision, decide
from ..errors import Failure
from ..lifecycle import Phase
from ..measurement import Counts, Look, Metric, NoAnswer, NoData
from ..messages import (
    Abort,
    Apply,
    Approve,
    AskGate,
    ClosedUntil,
    Command,
    CommandFailed,
    Event,
    GateAnswered,
    Go,
    Hold,
    HookAnswer,
    HookAnswered,
    Inspect,
    Inspected,
    Measure,
    Measured,
    NotYet,
    Open,
    PromoteNow,
    Read,
    Reject,
    Resume,
    Retire,
    Retired,
    RunHook,
    Seen,
    Skip,
    Stop,
    Survey,
    Surveyed,
    Tick,
    Wrote,
)
from ..notes import Entered
from ..plan import Plan
from ..release import Release
from ..rollout import Rollout, begin
from ..starting import Strategy
from ..traffic import Marker, Served, Track, Traffic
from ..units import hours, percent, seconds
from .doubles import EPOCH
from .simulation import RELEASE

__all__ = ["Broken", "Invariant", "Report", "Transition", "verify"]

NOTHING: Final = Traffic()
ZERO: Final = timedelta()
SOON: Final = timedelta(seconds=1)
MOST_STATES: Final = 50_000
BACK: Final = (Phase.ROLLING_BACK, Phase.ROLLED_BACK)
VERDICTS: Final = (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.NO_DATA, Verdict.ERROR)


# ------------------------------------------------------------------------------------------------------------------ the checks


@attrs.frozen(kw_only=True)
class _Oracle:
    """A check that says what it is told: the number of events in a look is the place of the verdict in `Verdict`."""

    kind: ClassVar[str] = "oracle"
    of: Check
    id: str
    metric: Metric
    observe: bool
    tolerance: Tolerance
    share_of_alpha: float = 0.0
    needs: tuple[Track, ...]
    wants: tuple[Track, ...]

    def judge(self, look: Look, memory: Memory, alpha: float) -> tuple[Judgement, Memory]:
        found = look.of(Track.CANDIDATE)
        if not isinstance(found, Counts):
            starved = isinstance(look.of(Track.STABLE), Counts)
            return Judgement(verdict=Verdict.NO_DATA, why="no data on the candidate", starved=starved), None
        verdict = tuple(Verdict)[found.events]
        return Judgement(verdict=verdict, why=f"it says {verdict.value}"), None


def _oracle(each: Check) -> _Oracle:
    return _Oracle(
        of=each, id=each.id, metric=each.metric, observe=each.observe, tolerance=each.tolerance, needs=tuple(each.needs), wants=tuple(each.wants)
    )


def abstract(plan: Plan) -> Plan:
    """The plan with oracles for its checks, and looked at as seldom as its longest step allows: twice in it."""
    longest = max([step.span for step in plan.steps], default=ZERO)
    seldom = max(longest / 2, seconds(1))
    analyses = tuple(
        Analysis(
            each.name,
            checks=[_oracle(one) for one in each.checks],
            interval=max(each.interval, seldom),
            warmup=each.warmup,
            synthetic=each.synthetic,
        )
        for each in plan.analyses
    )
    return attrs.evolve(plan, analyses=analyses, watch_every=max(plan.watch_every, longest + hours(1)))


# ------------------------------------------------------------------------------------------------------------------- the world


@attrs.frozen(kw_only=True)
class _Router:
    """What is on the router, and what the promises ask about the past."""

    traffic: Traffic = NOTHING
    marker: Marker | None = None
    revision: int = 1
    back: bool = False
    """0 % was written since it turned back, or the marker closed."""
    judged: bool = False
    """Something was measured at full traffic."""


@attrs.frozen
class _Weather:
    """What one tick meets: one thing that is not as it should be, or none. ``name`` is how a trace calls it."""

    name: str = "all is well"
    verdict: Verdict = Verdict.PASS
    later: Callable[[Rollout], timedelta] | None = None
    reads: bool = True
    writes: Failure | None = None
    lost: bool = False
    strangers: Callable[[_Router], _Router] | None = None
    hook: str = "go"
    open: bool = True
    says: Callable[[Rollout, datetime], Sequence[Event]] | None = None
    applies: Callable[[Rollout], bool] = lambda rollout: True


def _edited(to: float) -> Callable[[_Router], _Router]:
    def edit(router: _Router) -> _Router:
        return attrs.evolve(router, traffic=Traffic(candidate=percent(to)), revision=router.revision + 1)

    return edit


def _forgot(router: _Router) -> _Router:
    return attrs.evolve(router, traffic=NOTHING, marker=None, revision=router.revision + 1)


def _closed(router: _Router) -> _Router:
    marker = None if router.marker is None else attrs.evolve(router.marker, closed=True, serial=router.marker.serial + 1)
    return attrs.evolve(router, traffic=NOTHING, marker=marker, revision=router.revision + 1, back=True)


def _taken(router: _Router) -> _Router:
    marker = Marker(generation=(router.marker.generation if router.marker else 0) + 1, serial=1)
    return attrs.evolve(router, marker=marker, revision=router.revision + 1)


def _said(kind: type[Any], **more: Any) -> Callable[[Rollout, datetime], Sequence[Event]]:
    return lambda rollout, at: [kind(at=at, by="somebody", why="it is walked", **more)]


def _to_the_deadline(rollout: Rollout) -> timedelta:
    waiting = rollout.progress.waiting
    return ZERO if waiting is None or waiting.until is None else waiting.until - rollout.clocks.now


def _weathers(plan: Plan) -> tuple[_Weather, ...]:
    """Everything that can go on in one tick, the good one first."""
    far = max([plan.deadline.within, *(step.deadline.within for step in plan.steps if step.deadline is not None)]) + hours(25)

    def forward(rollout: Rollout) -> bool:
        return not rollout.final and rollout.phase is not Phase.ROLLING_BACK

    def awaited(rollout: Rollout) -> str | None:
        return plan.steps[rollout.progress.step].approval if forward(rollout) else None

    found = [
        _Weather(),
        *(_Weather(f"every check says {verdict.value}", verdict=verdict) for verdict in VERDICTS if plan.checks),
        _Weather("the deadline that is waited for comes", later=_to_the_deadline),
        _Weather("nobody comes until every deadline is over", later=lambda rollout: far),
        _Weather("the clock steps back an hour", later=lambda rollout: -hours(1)),
        _Weather("the router can't be read", reads=False),
        _Weather("a write fails", writes=Failure.TRANSIENT),
        _Weather("a write is refused", writes=Failure.PERMANENT),
        _Weather("the answer to a write is lost", lost=True),
        _Weather("a stranger sets 100 %", strangers=_edited(100), applies=lambda rollout: rollout.routing.claimed),
        _Weather("a stranger sets 0 %", strangers=_edited(0), applies=lambda rollout: rollout.routing.claimed),
        _Weather("the router forgets everything", strangers=_forgot, applies=lambda rollout: rollout.routing.claimed),
        _Weather("somebody takes it back by hand", strangers=_closed, applies=lambda rollout: rollout.routing.claimed and forward(rollout)),
        _Weather("another rollout claims the router", strangers=_taken, applies=lambda rollout: rollout.routing.claimed),
        _Weather("abort", says=_said(Abort), applies=forward),
        _Weather("hold", says=_said(Hold), applies=lambda rollout: forward(rollout) and not rollout.progress.causes),
        _Weather(
            "resume",
            says=lambda rollout, at: [Resume(at=at, cause=cause.name, by="somebody", why="it is walked") for cause in rollout.progress.causes],
            applies=lambda rollout: rollout.phase is Phase.HELD,
        ),
        _Weather(
            "skip",
            says=lambda rollout, at: [Skip(at=at, epoch=rollout.epoch, by="somebody", why="it is walked")],
            applies=lambda rollout: rollout.phase is Phase.PROGRESSING and not rollout.progress.skipped,
        ),
        _Weather("promote now", says=_said(PromoteNow), applies=forward),
        _Weather(
            "approve",
            says=lambda rollout, at: [Approve(at=at, approval=awaited(rollout) or "", by="somebody", why="it is walked")],
            applies=lambda rollout: awaited(rollout) is not None,
        ),
        _Weather(
            "reject",
            says=lambda rollout, at: [Reject(at=at, approval=awaited(rollout) or "", by="somebody", why="it is walked")],
            applies=lambda rollout: awaited(rollout) is not None,
        ),
    ]
    if any(step.hook is not None for step in plan.steps):
        asked = [lambda rollout: rollout.phase is Phase.PROGRESSING and plan.steps[rollout.progress.step].hook is not None]
        found += [_Weather(f"the hook says {said}", hook=said, applies=asked[0]) for said in ("not yet", "stop")]
    if plan.gates:
        found.append(_Weather("every gate is closed", open=False, applies=lambda rollout: rollout.phase is Phase.PROGRESSING))
    return tuple(found)


# ------------------------------------------------------------------------------------------------------------------ one move


@attrs.frozen(kw_only=True)
class Transition:
    """One tick of the walk, for an invariant: the rollout before and after it, what the router served before, and what was written to it."""

    what: str
    before: Rollout
    after: Rollout
    served: Traffic
    written: tuple[Traffic, ...]
    on_router: Traffic
    judged_at_full: bool
    took_back: bool


Invariant = Callable[[Transition], str | None]
"""What must hold of every transition: None, or a sentence that says what does not."""


class _Driver:
    """One tick in one weather. Remembers what each decision was told, so that it can be told again."""

    def __init__(self, rollout: Rollout, router: _Router, weather: _Weather, now: datetime) -> None:
        self.rollout, self.router, self.weather, self.now = rollout, router, weather, now
        self.told: list[tuple[Event, ...]] = []
        self.written: list[Traffic] = []
        self.steps: list[str] = []

    def tick(self) -> Rollout:
        """The whole tick: what somebody says first, then the time."""
        says = self.weather.says
        if says is not None:
            events = tuple(says(self.rollout, self.now))
            self.told.append(events)
            self.rollout = decide(self.rollout, *events).rollout
        if self.weather.strangers is not None:
            self.router = self.weather.strangers(self.router)
        rollout, tick = self.rollout, Tick(at=self.now)
        talk = converse(rollout, (), tick=tick, stored=True, expected=rollout.serial)
        self.told.append((tick,))
        reply: Kept | None = None
        while True:
            try:
                move = talk.send(reply)  # type: ignore[arg-type]
            except StopIteration as stop:
                decision: Decision = stop.value.decision
                self.steps += [note.step for note in decision.notes if isinstance(note, Entered)]
                return decision.rollout
            if isinstance(move, Save):
                self.rollout = move.rollout
                reply = Saved()
            else:
                reply = [self._do(command) for command in move.commands]
                self.told.append(tuple(reply))

    def _do(self, command: Command) -> Event:
        at = self.now
        match command:
            case Inspect():
                return Inspected(at=at, undo="by hand", fleet=False)
            case Read() if not self.weather.reads:
                return CommandFailed(at=at, command="read", epoch=0, failure=Failure.TRANSIENT, why="it can't be read")
            case Read():
                return Seen(at=at, served=self._served())
            case Apply():
                return self._apply(command)
            case Measure():
                return self._measure(command)
            case RunHook():
                answers: dict[str, HookAnswer] = {"go": Go(), "not yet": NotYet(at + seconds(20), "not yet"), "stop": Stop("it says stop")}
                return HookAnswered(at=at, epoch=command.epoch, step=command.step, answer=answers[self.weather.hook])
            case AskGate():
                answer = Open() if self.weather.open else ClosedUntil(at + hours(1), "closed")
                return GateAnswered(at=at, epoch=command.epoch, gate=command.gate, answer=answer)
            case Retire():
                return Retired(at=at)
            case Survey():
                return Surveyed(at=at, tracks={})

    def _served(self) -> Served:
        return Served(traffic=self.router.traffic, version=str(self.router.revision), marker=self.router.marker)

    def _apply(self, command: Apply) -> Event:
        router, weather = self.router, self.weather
        there, ours = router.marker, command.marker
        if weather.writes is not None:
            return CommandFailed(at=self.now, command="apply", epoch=command.epoch, failure=weather.writes, why="it can't be written")
        overtaken = there is not None and (there.supersedes(ours) or (there.generation == ours.generation and there.closed and not ours.closed))
        if overtaken or command.expect not in (None, str(router.revision)):
            return CommandFailed(at=self.now, command="apply", epoch=command.epoch, failure=Failure.CONFLICT, why="it moved")
        self.written.append(command.traffic)
        self.router = attrs.evolve(
            router, traffic=command.traffic, marker=ours, revision=router.revision + 1, back=router.back or not command.traffic.candidate.ppm
        )
        if weather.lost:
            return CommandFailed(at=self.now, command="apply", epoch=command.epoch, failure=Failure.UNKNOWN, why="the answer was lost")
        return Wrote(at=self.now, epoch=command.epoch, traffic=command.traffic, served=self._served())

    def _measure(self, command: Measure) -> Event:
        verdict = self.weather.verdict
        full = self.rollout.plan.traffics[-1]
        if full in (self.router.traffic, self.rollout.routing.standing) and verdict not in (Verdict.NO_DATA, Verdict.ERROR):
            self.router = attrs.evolve(self.router, judged=True)

        def said(track: Track) -> Any:
            if verdict is Verdict.ERROR:
                return NoAnswer("nobody answers")
            if verdict is Verdict.NO_DATA and track is Track.CANDIDATE:
                return NoData("nothing")
            return Counts(events=tuple(Verdict).index(verdict), trials=1_000)

        tracks = tuple((track, said(track)) for track in command.tracks)
        reading = "read" if command.metric.counter else None
        look = Look(metric=command.metric.name, window=command.window, tracks=tracks, reading=reading)
        return Measured(at=self.now, analyses=command.analyses, look=look)


# ---------------------------------------------------------------------------------------------------------------- the promises


def _full(plan: Plan) -> Traffic:
    return plan.traffics[-1]


def _r1(move: Transition) -> str | None:
    """Never more than a step that was reached allows."""
    allowed = move.after.plan.traffics[: move.after.progress.step + 1]
    above = [traffic for traffic in move.written if all(traffic.exceeds(one) for one in allowed)]
    if above and above[0].exceeds(move.served):
        return f"R1: wrote {above[0]} in step {move.after.status.step}, which allows less"
    return None


def _r2(move: Transition) -> str | None:
    """Never raised after it turned back."""
    turned = move.before.phase in BACK
    raised = [traffic for traffic in move.written if traffic.exceeds(move.served)]
    return f"R2: wrote {raised[0]} after it had turned back, {move.served} was served" if turned and raised else None


def _r15(move: Transition) -> str | None:
    """No promotion without one measurement at full traffic, where a check could have had one."""
    plan, progress = move.after.plan, move.after.progress
    entered = move.after.phase is Phase.PROMOTED and move.before.phase is not Phase.PROMOTED
    last = {guard.analysis for guard in plan.guards}.union(*(step.analyses for step in plan.steps if step.traffic is None))
    judges = any(
        analysis.name in last and not each.observe and all(_full(plan).reaches(track) for track in each.needs) for analysis, each in plan.checks
    )
    if entered and judges and not move.judged_at_full and not progress.waived and not _said_promote(move):
        return "R15: promoted without one measurement at full traffic"
    return None


def _said_promote(move: Transition) -> bool:
    return move.what == "promote now" or move.before.progress.forced or move.before.progress.skipped or move.what == "skip"


def _r17(move: Transition) -> str | None:
    """A check that has failed never goes on."""
    after = move.after
    if after.phase is not Phase.PROGRESSING:
        return None
    for tally, key, (_, each) in zip(after.evidence.tallies, after.plan.keys, after.plan.checks, strict=True):
        if tally.failed and not each.observe and key not in after.progress.waived and each.id not in after.progress.waived:
            return f"R17: {key} has failed, and it goes on"
    return None


def _r23(move: Transition) -> str | None:
    """Rolled back only after a write of 0 %, or where another rollout has taken over; promoted only while the router serves it."""
    after = move.after
    if after.phase is move.before.phase:
        return None
    if after.phase is Phase.ROLLED_BACK and after.routing.touched and not after.progress.reason.startswith("superseded"):
        if not move.took_back:
            return "R23: rolled back without a write of 0 %"
        if move.on_router != NOTHING:
            return f"R23: rolled back, and the router serves {move.on_router}"
    if after.phase is Phase.PROMOTED and move.on_router != _full(after.plan):
        return f"R23: promoted, and the router serves {move.on_router}"
    return None


def _r24(move: Transition) -> str | None:
    """A final phase is never left."""
    before, after = move.before, move.after
    return f"R24: left {before.phase.value} for {after.phase.value}" if before.final and after.phase is not before.phase else None


def _r30(move: Transition) -> str | None:
    """Nothing waits without a reason, a deadline and an action; only a way back has no deadline."""
    after, waiting = move.after, move.after.progress.waiting
    if after.over:
        return None if after.wake_at is None else "R30: over, and somebody is to come back"
    if after.wake_at is None:
        return "R30: not over, and nobody is to come back"
    if waiting is None:
        return None if after.final else "R30: it waits, and does not say for what"
    if not waiting.why or (waiting.until is None and after.phase is not Phase.ROLLING_BACK and not waiting.then):
        return f"R30: waits for {waiting.why!r} without a deadline and an action"
    return None


PROMISES: Final[tuple[Invariant, ...]] = (_r1, _r2, _r15, _r17, _r23, _r24, _r30)


# ------------------------------------------------------------------------------------------------------------------- the walk


@attrs.frozen
class TraceStep:
    """One tick on the way: what went wrong in it, what each decision was told, and where it stood afterwards."""

    what: str
    told: tuple[tuple[Event, ...], ...]
    status: str

    def __str__(self) -> str:
        return f"{self.what}: {self.status}"


@attrs.frozen(kw_only=True)
class Broken:
    """What does not hold, and the shortest way to it from the start."""

    what: str
    begin: Rollout
    trace: tuple[TraceStep, ...]

    def replay(self) -> Rollout:
        """Decide over the trace again; the rollout as it is then. For a test that this never comes back."""
        rollout = self.begin
        for step in self.trace:
            for events in step.told:
                rollout = decide(rollout, *events).rollout
        return rollout

    def events(self) -> tuple[tuple[str, ...], ...]:
        """The trace as JSON, one tuple for each decision, to keep with a test (`progressive.codec.loads_event` reads it)."""
        return tuple(tuple(dumps_event(event) for event in events) for step in self.trace for events in step.told)

    def __str__(self) -> str:
        return "\n".join([self.what, *(f"  {n}. {step}" for n, step in enumerate(self.trace, 1))])


@attrs.frozen(kw_only=True, repr=False)
class Report:
    """What the walk found. ``assert report.ok, report`` is a whole test.

    ``complete``: every reachable state was seen; False if ``most_states`` stopped it, and then what was not seen is not promised.
    """

    states: int
    transitions: int
    complete: bool
    steps: tuple[str, ...]
    unreached: tuple[str, ...]
    broken: tuple[Broken, ...]

    @property
    def ok(self) -> bool:
        """Everything holds in all that was seen, and all was seen."""
        return self.complete and not self.broken and not self.unreached

    def __str__(self) -> str:
        lines = [f"{self.states:,} states, {self.transitions:,} transitions, {'all that there are' if self.complete else 'STOPPED BY most_states'}"]
        lines += [f"step {step} is never reached" for step in self.unreached]
        lines += [str(each) for each in self.broken]
        return "\n".join([*lines, "every promise holds" if self.ok else "NOT OK"])

    __repr__ = __str__


@attrs.define
class _Node:
    rollout: Rollout
    router: _Router
    now: datetime
    parent: int
    step: TraceStep | None
    good: int = -1
    aborted: int = -1
    out: set[int] = attrs.field(factory=set)


def verify(
    strategy: Strategy, *, invariants: Sequence[Invariant] = (), release: Release = RELEASE, most_states: int = MOST_STATES, most_broken: int = 3
) -> Report:
    """Walk every reachable state of ``strategy``; see the module for what is abstracted.

    ``invariants``: functions of a `Transition` that return a sentence where something of yours does not hold. ``most_states`` bounds the walk,
    ``most_broken`` the reports of each kind. Breadth first, so each way that is reported is a shortest one. The same strategy gives the same report.
    """
    walk = _Walk(strategy, (*PROMISES, *invariants), release, most_states, most_broken)
    walk.walk()
    return walk.report()


class _Walk:
    def __init__(self, strategy: Strategy, invariants: Sequence[Invariant], release: Release, most_states: int, most_broken: int) -> None:
        self.plan = abstract(strategy.plan)
        self.invariants = tuple(invariants)
        self.weathers = _weathers(self.plan)
        self.most_states, self.most_broken = most_states, most_broken
        self.nodes: list[_Node] = []
        self.known: dict[object, int] = {}
        self.transitions = 0
        self.complete = True
        self.broken: list[Broken] = []
        self.steps: set[str] = set()
        self._kinds: dict[str, int] = {}
        self.begin = begin(self.plan, release, id="verified", at=EPOCH)

    def walk(self) -> None:
        """Breadth first; the order of the weathers is fixed, so the walk is."""
        self._reach(self.begin, _Router(), EPOCH, -1, None)
        waiting = deque([0])
        while waiting:
            here = waiting.popleft()
            for weather in self.weathers:
                if self.nodes[here].rollout.over:
                    break
                if weather.applies(self.nodes[here].rollout):
                    there, new = self._move(here, weather)
                    if new:
                        waiting.append(there)
            if len(self.nodes) >= self.most_states and waiting:
                self.complete = False
                return
        self._whole()

    def _reach(self, rollout: Rollout, router: _Router, now: datetime, parent: int, step: TraceStep | None) -> tuple[int, bool]:
        key = _key(rollout, router)
        known = self.known.get(key)
        if known is not None:
            return known, False
        self.known[key] = len(self.nodes)
        self.nodes.append(_Node(rollout, router, now, parent, step))
        return len(self.nodes) - 1, True

    def _move(self, here: int, weather: _Weather) -> tuple[int, bool]:
        node = self.nodes[here]
        now = node.now + SOON
        if weather.later is not None:
            now = node.now + weather.later(node.rollout)
        elif weather.says is None and weather.strangers is None:  # people and strangers do not wait until somebody looks
            now = max(node.now + timedelta(milliseconds=1), node.rollout.wake_at or node.now)
        driver = _Driver(node.rollout, node.router, weather, now)
        try:
            after = driver.tick()
        except Exception as error:
            self._report(f"raised: {type(error).__name__}: {error}", here, TraceStep(weather.name, tuple(driver.told), "it raised"))
            return here, False
        step = TraceStep(weather.name, tuple(driver.told), str(after.status))
        router = driver.router
        took_back = router.back
        if after.phase in BACK and node.rollout.phase not in BACK:
            took_back = any(not one.candidate.ppm for one in driver.written) or (router.marker is not None and router.marker.closed)
        router = attrs.evolve(router, back=took_back and after.phase in BACK)
        move = Transition(
            what=weather.name,
            before=node.rollout,
            after=after,
            served=node.router.traffic if weather.strangers is None else weather.strangers(node.router).traffic,
            written=tuple(driver.written),
            on_router=router.traffic,
            judged_at_full=router.judged,
            took_back=took_back,
        )
        self.transitions += 1
        self.steps.update(driver.steps)
        for invariant in self.invariants:
            if (what := invariant(move)) is not None:
                self._report(what, here, step)
        there, new = self._reach(after, router, now, here, step)
        node.out.add(there)
        if weather is self.weathers[0]:
            node.good = there
        if weather.name == "abort":
            node.aborted = there
        return there, new

    def _report(self, what: str, here: int, step: TraceStep | None) -> None:
        kind = what.partition(":")[0]
        self._kinds[kind] = self._kinds.get(kind, 0) + 1
        if self._kinds[kind] <= self.most_broken:
            trace = [*self._trace(here), *([step] if step is not None else [])]
            self.broken.append(Broken(what=what, begin=self.begin, trace=tuple(trace)))

    def _trace(self, here: int) -> list[TraceStep]:
        found: list[TraceStep] = []
        while (step := self.nodes[here].step) is not None:
            found.append(step)
            here = self.nodes[here].parent
        return found[::-1]

    # ------------------------------------------------------------------------------------------------------------ on the whole

    def _whole(self) -> None:
        """What holds of all states together: an abort leads to 0 %, and there is a way to an end."""
        for here, node in enumerate(self.nodes):
            if node.aborted >= 0 and not self._ends_at_zero(node.aborted):
                self._report("an abort does not lead to 0 % here", here, None)
            if node.rollout.over and (heard := _heard_when_over(node.rollout)):
                self._report(heard, here, None)
        if not any(node.rollout.phase is Phase.PROMOTED for node in self.nodes):
            self._report("whatever happens, it is never promoted", 0, None)
        dead = set(range(len(self.nodes))) - self._can_end()
        for here in sorted(dead):
            self._report("there is no way to an end from here", here, None)

    def _ends_at_zero(self, here: int) -> bool:
        seen: set[int] = set()
        while here >= 0 and here not in seen:
            node = self.nodes[here]
            if node.rollout.phase is Phase.ROLLED_BACK:
                return node.router.traffic == NOTHING or node.rollout.progress.reason.startswith("superseded")
            seen.add(here)
            here = node.good
        return False

    def _can_end(self) -> set[int]:
        """Every state from which some way leads to a final phase."""
        into: dict[int, list[int]] = {}
        for here, node in enumerate(self.nodes):
            for there in node.out:
                into.setdefault(there, []).append(here)
        waiting = [here for here, node in enumerate(self.nodes) if node.rollout.final]
        found = set(waiting)
        while waiting:
            for before in into.get(waiting.pop(), ()):
                if before not in found:
                    found.add(before)
                    waiting.append(before)
        return found

    def report(self) -> Report:
        """What was found."""
        names = tuple(step.id for step in self.plan.steps)
        unreached = tuple(name for name in names if name not in self.steps) if self.complete else ()
        return Report(
            states=len(self.nodes),
            transitions=self.transitions,
            complete=self.complete,
            steps=names,
            unreached=unreached,
            broken=tuple(self.broken),
        )


def _heard_when_over(rollout: Rollout) -> str | None:
    """R24 again, for what people say when it is over."""
    at = rollout.clocks.now
    for kind in (Abort, Hold, PromoteNow):
        try:
            decision = decide(rollout, kind(at=at, by="somebody", why="it is walked"))
        except Exception as error:
            return f"R24: {kind.__name__} was heard when it was over: {error}"
        if decision.rollout.phase is not rollout.phase or decision.commands:
            return f"R24: {kind.__name__} was heard when it was over"
    return None


# -------------------------------------------------------------------------------------------------------------- what is the same


def _key(rollout: Rollout, router: _Router) -> object:
    """What tells two states apart: everything but times, serials and sentences; how long something lasted counts in a few classes."""
    return (_progress(rollout), _routing(rollout), _evidence(rollout), _clocks(rollout), _on_router(rollout, router))


def _class(length: timedelta, *bounds: timedelta) -> int:
    return sum(length >= bound for bound in bounds)


def _progress(rollout: Rollout) -> object:
    progress = rollout.progress
    return (
        progress.phase,
        progress.step,
        repr(progress.memory),
        type(progress.answer).__name__,
        progress.skipped,
        progress.forced,
        tuple((cause.name, cause.person) for cause in progress.causes),
        tuple(given.approval for given in progress.approvals),
        progress.waived,
        progress.closing is not None,
        progress.frozen is not None and progress.frozen[2] > rollout.clocks.now,
        progress.retirement,
        progress.overdue,
        progress.reason.startswith("superseded"),
    )


def _routing(rollout: Rollout) -> object:
    routing = rollout.routing
    return (
        routing.wanted,
        routing.standing,
        None if routing.served is None else routing.served.traffic,
        routing.verified_since is None,
        routing.claimed,
        routing.touched,
        routing.written >= rollout.progress.epoch,
        routing.sent[0] == rollout.progress.epoch,
        routing.generation is None,
        min(routing.attempts, 2),
        len(routing.drifts),
        routing.reasserted,
        routing.inspected,
    )


def _evidence(rollout: Rollout) -> object:
    evidence = rollout.evidence
    enough = max([getattr(step, "count", 1) for step in rollout.plan.steps], default=1)
    tallies = tuple(
        (
            tally.verdict,
            min(tally.here, enough),
            min(tally.looks_here, enough),
            None if each.tolerance.failures is None else min(tally.failures, each.tolerance.failures + 1),
            min(tally.in_a_row, each.tolerance.in_a_row),
            tally.failed,
            tally.bad,
        )
        for tally, (_, each) in zip(evidence.tallies, rollout.plan.checks, strict=True)
    )
    series = tuple((each.start is None, each.tail is None) for each in evidence.series)
    return tallies, series, tuple(probe.answered for probe in evidence.probes)


def _clocks(rollout: Rollout) -> object:
    clocks, span = rollout.clocks, rollout.plan.steps[rollout.progress.step].span
    watched, stepped = _class(clocks.watched, span / 2, span), _class(clocks.stepped, span)
    return (watched, stepped, bool(clocks.unreadable), bool(clocks.astray), bool(clocks.escalated))


def _on_router(rollout: Rollout, router: _Router) -> object:
    ours, there = rollout.routing.generation, router.marker
    marker = None if there is None else (ours is None or there.generation == ours, there.closed)
    return (router.traffic, marker, router.back, router.judged)
