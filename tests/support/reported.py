"""Rollouts to report on: simulated ones of every ending, and one that was driven with a store."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
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
    Version,
    hours,
    minutes,
    ms,
    percent,
    percents,
    seconds,
)
from progressive.calendar import OpenHours
from progressive.model.actions import HookAnswer
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


STORIES: Final[dict[str, Callable[[], Story]]] = {
    each.__name__: cache(each)
    for each in (rolled_back, promoted, slow, eventful, switched, unfinished)
}
"""Each by its name, simulated once."""


def stored(store: MemoryStore, strategy: Canary | None = None) -> str:
    """Drive a rollout with a store to its end, and return its id."""
    outcome = play(
        strategy or Canary(weights=percents(10, 100), bake=seconds(60), checks=CHECKS[:2]),
        RELEASE,
        metrics=[ScriptedMetrics({ERRORS: steady(200, stable=0.002, candidate=0.002)})],
        store=store,
    )
    return outcome.rollout.id
