"""Run one tick of the engine under one perturbation, against the abstract router."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Final

from progressive.analysis.contract import Verdict
from progressive.engine.decide import Decision, decide
from progressive.errors import Failure
from progressive.model.actions import ClosedUntil, Go, HookAnswer, NotYet, Open, Stop
from progressive.model.measurement import (
    Gauge,
    Look,
    Measurement,
    Metric,
    NoAnswer,
    NoData,
    Window,
)
from progressive.model.replace import evolve
from progressive.model.router_state import Served
from progressive.model.traffic import Track, Traffic
from progressive.model.units import hours, seconds
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
from progressive.rollout.notes import PhaseEntered
from progressive.rollout.state import Rollout
from progressive.runtime.protocol import Persist, Persisted, Reply, tick_protocol
from progressive.testing.doubles import EPOCH

from .perturbations import Perturbation, Router

__all__ = ["Decisions", "OneTick"]

ANSWERS: Final[dict[Verdict, Measurement]] = {
    verdict: NoAnswer("nobody answers")
    if verdict is Verdict.ERROR
    else Gauge(samples=(float(index),))
    for index, verdict in enumerate(Verdict)
}
"""What the stubs are given for each verdict; the candidate has no data where they shall say so."""


class Decisions:
    """The engine, asked each question once.

    Ticks of one state under several perturbations are the same up to the first answer that differs,
    if they come at the same time. The engine is a function, so what it has decided once it would
    decide again, to the byte.
    """

    def __init__(self) -> None:
        self._made: dict[tuple[int, tuple[Event, ...]], tuple[Rollout, Decision]] = {}

    def decide(self, rollout: Rollout, *events: Event) -> Decision:
        """Decide as `progressive.engine.decide.decide` does."""
        question = (id(rollout), events)
        if (made := self._made.get(question)) is None:
            # With the rollout, so that its id stays its own.
            made = self._made[question] = (rollout, decide(rollout, *events))
        return made[1]


class OneTick:
    """One tick under one perturbation.

    * ``told``: the events of each decision, so that it can be decided again.
    * ``asked``: the kinds of commands that were issued.
    * ``written``: the traffic of the writes that were done.
    * ``steps``: the steps that were entered.
    """

    def __init__(
        self,
        rollout: Rollout,
        router: Router,
        perturbation: Perturbation,
        now: datetime,
        decisions: Decisions,
    ) -> None:
        self.rollout, self.router, self.now = rollout, router, now
        self.perturbation = perturbation
        alone = perturbation.says is not None or perturbation.later is not None
        self._decide = decide if alone else decisions.decide
        self.told: list[tuple[Event, ...]] = []
        self.asked: set[type[Command]] = set()
        self.written: list[Traffic] = []
        self.steps: list[str] = []

    def tick(self) -> Rollout:
        """Run the whole tick, persons' events first, and return the rollout after it."""
        says = self.perturbation.says
        if says is not None:
            events = tuple(says(self.rollout, self.now))
            self.told.append(events)
            self.rollout = self._decide(self.rollout, *events).rollout
        if self.perturbation.strangers is not None:
            self.router = self.perturbation.strangers(self.router)
        rollout, tick = self.rollout, Tick(at=self.now)
        protocol = tick_protocol(
            rollout, (), tick=tick, stored=True, expected=rollout.serial, decided_by=self._decide
        )
        self.told.append((tick,))
        reply: Reply | None = None
        while True:
            try:
                effect = protocol.send(reply)  # type: ignore[arg-type]
            except StopIteration as stop:
                decision: Decision = stop.value.decision
                self.steps += [
                    note.step for note in decision.notes if isinstance(note, PhaseEntered)
                ]
                return decision.rollout
            if isinstance(effect, Persist):
                self.rollout = effect.rollout
                reply = Persisted()
            else:
                reply = [self._do(command) for command in effect.commands]
                self.told.append(tuple(reply))

    def _do(self, command: Command) -> Event:
        at = self.now
        self.asked.add(type(command))
        match command:
            case Inspect():
                return Inspected(at=at, undo="by hand", fleet=False)
            case Read() if not self.perturbation.reads:
                return CommandFailed(
                    at=at,
                    command="read",
                    epoch=0,
                    failure=Failure.TRANSIENT,
                    why="it can't be read",
                )
            case Read():
                return RouterRead(at=at, served=self._served())
            case Apply():
                return self._apply(command)
            case Measure():
                return self._measure(command)
            case RunHook():
                answers: dict[str, HookAnswer] = {
                    "go": Go(),
                    "not yet": NotYet(at + seconds(20), "not yet"),
                    "stop": Stop("it says stop"),
                }
                return HookAnswered(
                    at=at,
                    epoch=command.epoch,
                    step=command.step,
                    answer=answers[self.perturbation.hook],
                )
            case AskGate():
                answer = Open() if self.perturbation.open else ClosedUntil(at + hours(1), "closed")
                return GateAnswered(at=at, epoch=command.epoch, gate=command.gate, answer=answer)
            case Retire():
                return Retired(at=at)
            case Survey():
                return Surveyed(at=at, tracks={})

    def _served(self) -> Served:
        return Served(
            traffic=self.router.traffic,
            version=str(self.router.revision),
            marker=self.router.marker,
        )

    def _apply(self, command: Apply) -> Event:
        router, perturbation = self.router, self.perturbation
        present, ours = router.marker, command.marker
        if perturbation.writes is not None:
            return CommandFailed(
                at=self.now,
                command="apply",
                epoch=command.epoch,
                failure=perturbation.writes,
                why="it can't be written",
            )
        overtaken = present is not None and present.forbids(ours)
        if overtaken or command.expect not in (None, str(router.revision)):
            return CommandFailed(
                at=self.now,
                command="apply",
                epoch=command.epoch,
                failure=Failure.CONFLICT,
                why="it moved",
            )
        self.written.append(command.traffic)
        self.router = evolve(
            router,
            traffic=command.traffic,
            marker=ours,
            revision=router.revision + 1,
            back=router.back or not command.traffic.candidate.ppm,
        )
        if perturbation.lost:
            return CommandFailed(
                at=self.now,
                command="apply",
                epoch=command.epoch,
                failure=Failure.UNKNOWN,
                why="the answer was lost",
            )
        return RouterApplied(
            at=self.now, epoch=command.epoch, traffic=command.traffic, served=self._served()
        )

    def _measure(self, command: Measure) -> Event:
        verdict = self.perturbation.verdict
        full = self.rollout.plan.traffics[-1]
        if full in (self.router.traffic, self.rollout.routing.last_verified) and verdict not in (
            Verdict.NO_DATA,
            Verdict.ERROR,
            Verdict.MISSING,
        ):
            self.router = evolve(self.router, judged=True)

        look = _answer(command.metric, command.tracks, verdict)
        look = evolve(look, window=command.window, covered=command.window)
        return Measured(at=self.now, analyses=command.analyses, look=look)


@cache
def _answer(metric: Metric, tracks: tuple[Track, ...], verdict: Verdict) -> Look:
    """Return a look by which the stubs give a verdict, of some window."""
    stable = ANSWERS[verdict]
    candidate = NoData("nothing") if verdict is Verdict.NO_DATA else stable
    answers = [(track, candidate if track is Track.CANDIDATE else stable) for track in tracks]
    return Look(
        metric=metric.name,
        window=Window(EPOCH, EPOCH),
        tracks=answers,
        reading="read" if metric.counter else None,
    )
