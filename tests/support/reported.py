"""Rollouts to report on: simulated ones of every ending, and one that was driven with a store."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Final

from progressive import (
    Action,
    Approve,
    BlueGreen,
    Canary,
    Go,
    Hold,
    Limit,
    Metric,
    NotYet,
    NoWorse,
    Release,
    Resume,
    SampleRatio,
    Served,
    Track,
    Traffic,
    Version,
    hours,
    minutes,
    ms,
    percent,
    percents,
    seconds,
)
from progressive.calendar import OpenHours
from progressive.errors import Failure
from progressive.model.actions import HookAnswer
from progressive.model.measurement import Counts, Look, Window
from progressive.rollout import (
    Asked,
    CommandFailed,
    Drifted,
    Escalated,
    EventRecorded,
    Judged,
    Late,
    Measured,
    Note,
    PhaseEntered,
    Refused,
    Released,
    Unjudged,
    Verified,
)
from progressive.steps import Approval, Bake, SetWeight
from progressive.steps import Hook as HookStep
from progressive.testing import (
    Behaviour,
    Latency,
    MemoryStore,
    PersonAction,
    ScriptedMetrics,
    SimTime,
    Story,
    World,
    play,
    simulate,
    steady,
    troubles,
)

ERRORS: Final = Metric("error-rate", kind="ratio")
LATENCY: Final = Metric("latency", kind="latency")
RELEASE: Final = Release(
    service="checkout", stable=Version("2026.11.4"), candidate=Version("2026.11.5")
)

CHECKS: Final = [
    NoWorse(ERRORS),
    Limit(ERRORS, at_most=percent(1)),
    NoWorse(LATENCY),
    Limit(LATENCY, quantile=0.99, at_most=ms(800)),
]
HEALTHY: Final = Behaviour(errors=0.002)


def _worse_from_ten(when: SimTime) -> float:
    return 0.002 if when.share < 0.05 else 0.012


def rolled_back() -> Story:
    """A canary that is taken back by a check, at its second weight."""
    canary = Canary(
        weights=percents(1, 10, 50, 100), bake=minutes(10), checks=[*CHECKS, SampleRatio(ERRORS)]
    )
    world = World(load=100, stable=HEALTHY, candidate=Behaviour(errors=_worse_from_ten))
    return simulate(canary, world, release=RELEASE)


def promoted() -> Story:
    """A canary without any incident."""
    canary = Canary(weights=percents(1, 10, 50, 100), bake=minutes(10), checks=CHECKS)
    return simulate(
        canary, World(load=100, stable=HEALTHY, candidate=HEALTHY), release=RELEASE, seed=1
    )


def slow() -> Story:
    """A candidate whose requests take too long, found by a bound on a quantile."""
    canary = Canary(
        weights=percents(5, 25, 100),
        bake=minutes(5),
        checks=[Limit(LATENCY, quantile=0.99, at_most=ms(800), plain=True), NoWorse(ERRORS)],
    )
    slower = Behaviour(errors=0.002, latency=Latency(ms(120), ms(2400)))
    return simulate(canary, World(load=80, candidate=slower), release=RELEASE)


class _SmokeTest:
    """It is asked twice before it answers."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, key: str, release: Release) -> HookAnswer:
        self.asked += 1
        if self.asked % 2:
            return NotYet(until=self.until, why="the smoke test runs: 12 of 40 pages")
        return Go()

    until: datetime


def eventful() -> Story:
    """A canary over a night: a hook, a hold, an approval, a gate, a router that fails."""
    canary = Canary(
        steps=[
            SetWeight(percent(5), id="weight-5"),
            HookStep("smoke", id="smoke"),
            Bake(minutes(20), id="bake-5"),
            Approval("go", within=hours(20), otherwise=Action.ROLL_BACK, id="go"),
            SetWeight(percent(50), id="weight-50"),
            Bake(minutes(30), id="bake-50"),
            SetWeight(percent(100), id="weight-100"),
            Bake(minutes(30), id="bake-100"),
        ],
        checks=CHECKS,
        gates=["office"],
        interval=minutes(1),
    )
    start = datetime.fromisoformat("2026-03-02T15:10:00+00:00")
    smoke = _SmokeTest()
    smoke.until = start + minutes(3)
    world = World(
        load=60,
        stable=HEALTHY,
        candidate=HEALTHY,
        start=start,
        people=(
            PersonAction(minutes(8), Hold, by="eve@example.com", why="the mail queue looks odd"),
            PersonAction(minutes(31), Resume, by="eve@example.com", why="it was another service"),
            PersonAction(
                minutes(70), Approve, approval="go", by="bob@example.com", why="dashboards are fine"
            ),
        ),
        troubles=(
            troubles.MetricsDown(minutes(40), lasting=minutes(2)),
            troubles.RouterDown(minutes(55), lasting=minutes(1)),
        ),
    )
    return simulate(
        canary,
        world,
        release=RELEASE,
        hooks={"smoke": smoke},
        gates={"office": OpenHours(zone="Europe/Vienna")},
    )


def switched() -> Story:
    """A blue-green switch after an approval."""
    blue_green = BlueGreen(
        preview_checks=[Limit(ERRORS, at_most=percent(2))],
        approval=Approval("switch", within=hours(4), otherwise=Action.ROLL_BACK),
        checks=[Limit(ERRORS, at_most=percent(1)), NoWorse(LATENCY)],
        bake=minutes(15),
    )
    world = World(
        load=50,
        stable=HEALTHY,
        candidate=HEALTHY,
        people=(
            PersonAction(minutes(25), Approve, approval="switch", by="eve", why="I looked at it"),
        ),
    )
    return simulate(blue_green, world, release=RELEASE)


def unfinished() -> Story:
    """A canary that is still held."""
    canary = Canary(weights=percents(5, 100), bake=minutes(10), checks=CHECKS)
    world = World(
        load=50,
        people=(PersonAction(minutes(4), Hold, by="eve", why="let us wait for the news"),),
    )
    return simulate(canary, world, release=RELEASE, until=minutes(30))


BEGAN: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)

STORIES: Final[dict[str, Callable[[], Story]]] = {
    each.__name__: cache(each)
    for each in (rolled_back, promoted, slow, eventful, switched, unfinished)
}
"""Each by its name, simulated once."""


def canned() -> list[tuple[str, Note]]:
    """Notes of every kind, by hand, as a store gives them; no change of the engine changes them."""

    def at(minute: float) -> datetime:
        return BEGAN + minutes(minute)

    def weight(value: float) -> Traffic:
        return Traffic(candidate=percent(value))

    def look(minute: float, events: int, trials: int) -> EventRecorded:
        window = Window(at(minute - 5), at(minute))
        tracks = {
            Track.CANDIDATE: Counts(events=events, trials=trials),
            Track.STABLE: Counts(events=2, trials=1000),
        }
        taken = Look(metric="error-rate", window=window, tracks=tracks, query="errors{v='v2'}")
        return EventRecorded(
            at=at(minute), event=Measured(at=at(minute), analyses=("checks",), look=taken)
        )

    def judged(minute: float, verdict: str, why: str, **numbers: float) -> Judged:
        return Judged(
            at=at(minute),
            analysis="checks",
            check="error-rate",
            verdict=verdict,
            why=why,
            numbers=tuple(numbers.items()),
        )

    def entered(
        minute: float, phase: str, step: str, epoch: int, why: str, by: str = "engine"
    ) -> PhaseEntered:
        return PhaseEntered(at=at(minute), phase=phase, step=step, epoch=epoch, why=why, by=by)

    failed = CommandFailed(
        at=at(6), command="apply", epoch=1, failure=Failure.TRANSIENT, why="503 <busy>"
    )
    notes: list[Note] = [
        Verified(at=at(0), traffic=weight(0), version="7"),
        entered(0, "progressing", "weight-10", 1, "preflight passed"),
        Asked(at=at(0), traffic=weight(10), why="step weight-10"),
        Verified(at=at(1), traffic=weight(10), version="8"),
        Unjudged(at=at(1), analysis="checks", what="error-rate", why="warm-up of 1 min"),
        look(6, 0, 100),
        judged(6, "no_data", "100 of 300 requests", candidate=0.0, candidate_sample=100.0),
        EventRecorded(at=at(6), event=failed),
        Late(at=at(8), by=minutes(1), why="came 60 s late, bake not counted"),
        EventRecorded(at=at(9), event=Hold(at=at(9), by="eve", why="odd & <strange>")),
        entered(9, "held", "weight-10", 2, "person: odd & <strange>", "eve"),
        Refused(at=at(10), event="skip", why="its epoch is over"),
        EventRecorded(at=at(11), event=Resume(at=at(11), by="bob", why="it was another service")),
        entered(11, "progressing", "weight-10", 3, "resumed", "bob"),
        Drifted(
            at=at(12),
            asked=weight(10),
            served=Served(traffic=weight(30), version="9"),
            why="30 % candidate where 10 % was asked for",
        ),
        look(15, 12, 300),
        judged(
            15,
            "fail",
            "4 % is above 1 %",
            candidate=0.04,
            candidate_sample=300.0,
            stable=0.002,
            log_evidence=5.0,
            alpha=0.001,
        ),
        Escalated(at=at(15), why="stable can't carry it all", undo="curl -X POST 'http://r/undo'"),
        entered(15, "rolling_back", "", 4, "checks/error-rate: 4 % is above 1 %"),
        Asked(at=at(15), traffic=weight(0), why="the way back"),
        Verified(at=at(16), traffic=weight(0), version="10"),
        entered(16, "rolled_back", "", 5, "checks/error-rate: 4 % is above 1 %"),
        Released(at=at(16), version="candidate (v2)"),
    ]
    return [(f"shop-v2/{n // 3}/{n % 3}", note) for n, note in enumerate(notes)]


def stored(store: MemoryStore, strategy: Canary | None = None) -> str:
    """Drive a rollout with a store to its end, and return its id."""
    outcome = play(
        strategy or Canary(weights=percents(10, 100), bake=seconds(60), checks=CHECKS[:2]),
        RELEASE,
        metrics=[ScriptedMetrics({ERRORS: steady(200, stable=0.002, candidate=0.002)})],
        store=store,
    )
    return outcome.rollout.id
