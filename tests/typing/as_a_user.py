"""The public API as a user's type checker sees it; checked by mypy strict and pyright, never run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, assert_type

import attrs

from progressive import (
    Analysis,
    BlueGreen,
    Canary,
    Capabilities,
    Check,
    ClosedUntil,
    Counts,
    Decision,
    ExitCode,
    Fleet,
    Gate,
    Go,
    Hook,
    Judgement,
    Kinds,
    Limit,
    Look,
    Marker,
    Metric,
    MetricsProvider,
    NotYet,
    NoWorse,
    Open,
    Outcome,
    Percent,
    Plan,
    Ports,
    Release,
    Rollout,
    Served,
    Situation,
    Step,
    Stop,
    Store,
    Tolerance,
    Track,
    Traffic,
    TrafficRouter,
    Verdict,
    Version,
    Window,
    arun,
    decide,
    dumps,
    loads,
    minutes,
    ms,
    percent,
    percents,
    run,
    start,
    tick,
)
from progressive.analysis.verdict import Memory
from progressive.metrics.envoy import ERRORS, LATENCY, EnvoyStats
from progressive.routers.envoy import Envoy
from progressive.step import Advance, Done, Wait
from progressive.stores.file import FileStore
from progressive.testing import MemoryRouter, MemoryStore, ScriptedMetrics


class MyRouter:
    """A user's own router: nothing is inherited."""

    capabilities = Capabilities(smallest_weight=percent(1))

    def read(self, release: Release) -> Served:
        return Served(traffic=Traffic())

    def apply(self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None) -> Served:
        return self.read(release)


class MyMetrics:
    """A user's own provider."""

    metrics = (Metric("orders", kind="ratio", bad="down"),)

    def measure(self, release: Release, metric: Metric, tracks: Sequence[Track], window: Window, since: str | None) -> Look:
        return Look(metric=metric.name, window=window, tracks=[(track, Counts(events=1, trials=2)) for track in tracks])


class MyFleet:
    """A user's own fleet."""

    def retire(self, release: Release, version: Version) -> None: ...


def smoke(key: str, release: Release) -> Go | NotYet | Stop:
    """A user's own hook."""
    return Go()


def freeze(release: Release, now: datetime) -> Open | ClosedUntil:
    """A user's own gate."""
    return Open()


@attrs.frozen(kw_only=True)
class Warm(Step):
    """A user's own step kind."""

    kind: ClassVar[str] = "warm"

    id: str = "warm"

    def advance(self, situation: Situation) -> Advance:
        return Done() if situation.watched > minutes(1) else Wait("it to be warm")


@attrs.frozen(kw_only=True)
class Always:
    """A user's own check kind."""

    kind: ClassVar[str] = "always"

    metric: Metric
    share_of_alpha: float = 0.0
    id: str = "always"
    observe: bool = False
    tolerance: Tolerance = Tolerance()
    needs: tuple[Track, ...] = (Track.CANDIDATE,)
    wants: tuple[Track, ...] = (Track.CANDIDATE,)

    def judge(self, look: Look, memory: Memory, alpha: float) -> tuple[Judgement, Memory]:
        return Judgement(verdict=Verdict.PASS, why="always"), None


router: TrafficRouter = MyRouter()
another: TrafficRouter = MemoryRouter()
envoy: TrafficRouter = Envoy(prefix="shop")
provider: MetricsProvider = MyMetrics()
stats: MetricsProvider = EnvoyStats(admin="http://127.0.0.1:9901")
scripted: MetricsProvider = ScriptedMetrics({})
fleet: Fleet = MyFleet()
store: Store = FileStore("rollouts")
memory: Store = MemoryStore()
hook: Hook = smoke
gate: Gate = freeze
check: Check = Always(metric=ERRORS)

canary = Canary(
    weights=percents(1, 10, 50, 100),
    bake=minutes(10),
    checks=[NoWorse(ERRORS), Limit(ERRORS, at_most=percent(1)), Limit(LATENCY, quantile=0.99, at_most=ms(400)), check],
    analyses=[Analysis("orders", checks=[Limit(MyMetrics.metrics[0], at_least=percent(2))])],
    guards=["orders"],
    gates=["freeze"],
)
blue_green = BlueGreen(preview_hook="smoke", checks=[Limit(ERRORS, at_most=percent(1))], pause=minutes(5))
release = Release(service="shop", stable=Version("v1"), candidate=Version("v2", backend="canary"))
ports = Ports(router=router, metrics=[provider, stats], hooks={"smoke": smoke}, gates={"freeze": freeze}, store=store, fleet=fleet)

assert_type(percent(1), Percent)
assert_type(canary.plan, Plan)


def script() -> ExitCode:
    """A deployment script."""
    rollout = start(canary, release, id="shop-v2", ports=ports)
    assert_type(rollout, Rollout)
    assert_type(tick(rollout, ports), Decision)
    assert_type(run("shop-v2", ports), Outcome)
    assert_type(decide(rollout).rollout, Rollout)
    assert_type(loads(dumps(rollout), Kinds(Warm, Always)), Rollout)
    return run(rollout, ports).exit_code


async def web_handler() -> bool:
    """The other colour."""
    return (await arun("shop-v2", ports)).promoted
