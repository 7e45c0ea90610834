"""The public API as a user's type checker sees it; checked by mypy strict and pyright, never
run.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, time
from typing import ClassVar, assert_type

import attrs

from progressive import (
    Analysis,
    BlueGreen,
    Canary,
    ClosedUntil,
    Decision,
    ExitCode,
    Go,
    IfRunning,
    Limit,
    MannWhitney,
    Metric,
    NotYet,
    NoWorse,
    Open,
    Outcome,
    Phase,
    Ports,
    Release,
    Revert,
    Rollout,
    SampleRatio,
    Served,
    Stop,
    Tolerance,
    Track,
    Traffic,
    Version,
    arun,
    decide,
    dumps,
    first_deployment,
    geometric,
    history,
    linear,
    loads,
    minutes,
    ms,
    percent,
    percents,
    run,
    start,
    tick,
)
from progressive.analysis import Check, Judgement, Kayenta, KayentaJudge, KayentaMetric, Verdict
from progressive.calendar import OpenHours
from progressive.fleets.kubernetes import Deployments
from progressive.metrics.envoy import ERRORS, LATENCY, EnvoyStats
from progressive.metrics.prometheus import Counter, Joined, Prometheus, PromQL, Ratio, Regex
from progressive.metrics.prometheus import istio as of_istio
from progressive.model import Capabilities, Capacity, Counts, Look, Marker, Percent, Window
from progressive.model.actions import Memory
from progressive.plan import Kinds, Plan, Situation, Step
from progressive.plan.step import Advance, Done, Wait
from progressive.ports import (
    Fleet,
    Gate,
    Hook,
    ListingStore,
    MetricsProvider,
    Store,
    TrafficRouter,
)
from progressive.reports import OverviewReport, RolloutReport, overview, report
from progressive.rollout.history import Ended
from progressive.rollout.listing import Page
from progressive.routers.envoy import Envoy
from progressive.routers.istio import Istio, Kubernetes
from progressive.stores.file import FileStore
from progressive.stores.sqlite import SqliteStore
from progressive.testing import (
    Call,
    MemoryRouter,
    MemoryStore,
    Recording,
    Replay,
    ScriptedMetrics,
    check_metrics,
    check_router,
    check_store,
    notes_from,
    replay,
    simulate,
)

ORDERS = Metric("orders", kind="value", bad="down", lag=minutes(1))
FAILED = Metric("failed", kind="ratio", lag=minutes(1))


class MyRouter:
    """A user's own router: nothing is inherited."""

    capabilities = Capabilities(smallest_weight=percent(1))

    def read(self, release: Release) -> Served:
        return Served(traffic=Traffic())

    def apply(
        self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        return self.read(release)


class MyMetrics:
    """A user's own provider."""

    metrics = (Metric("orders", kind="ratio", bad="down"),)

    def measure(
        self,
        release: Release,
        metric: Metric,
        tracks: Sequence[Track],
        window: Window,
        since: str | None,
    ) -> Look:
        return Look(
            metric=metric.name,
            window=window,
            tracks=[(track, Counts(events=1, trials=2)) for track in tracks],
        )


class MyFleet:
    """A user's own fleet."""

    def survey(self, release: Release) -> dict[Track, Capacity]:
        return {Track.CANDIDATE: Capacity(percent(50), why="1 of 2")}

    def retire(self, release: Release, version: Version) -> None:
        """Gone."""


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
    required_tracks: tuple[Track, ...] = (Track.CANDIDATE,)
    measured_tracks: tuple[Track, ...] = (Track.CANDIDATE,)

    def judge(self, look: Look, memory: Memory, alpha: float) -> tuple[Judgement, Memory]:
        return Judgement(verdict=Verdict.PASS, why="always"), None


router: TrafficRouter = MyRouter()
another: TrafficRouter = MemoryRouter()
envoy: TrafficRouter = Envoy(prefix="shop")
istio: TrafficRouter = Istio(
    api=Kubernetes("http://127.0.0.1:8001"), virtual_service="shop", host="shop"
)
provider: MetricsProvider = MyMetrics()
stats: MetricsProvider = EnvoyStats(admin="http://127.0.0.1:9901")
requests = Counter("http_requests_total", version="version", labels={"job": "shop"})
joined = Counter("http_requests_total", version=Joined("service_version", on=["job", "instance"]))
prometheus: MetricsProvider = Prometheus(
    "http://prometheus:9090",
    metrics={**of_istio("shop"), ORDERS: PromQL('sum(orders{version="{backend}"})')},
)
counted: MetricsProvider = Prometheus(
    "http://prometheus:9090",
    metrics={FAILED: Ratio(events=requests.where(code=Regex("5..")), total=requests)},
)
scripted: MetricsProvider = ScriptedMetrics({})
fleet: Fleet = MyFleet()
deployments: Fleet = Deployments(api=Kubernetes("http://127.0.0.1:8001", namespace="shop"))
store: Store = FileStore("rollouts")
database: Store = SqliteStore("rollouts.db")
memory: Store = MemoryStore()
listing: tuple[ListingStore, ...] = (
    FileStore("rollouts"),
    SqliteStore("rollouts.db"),
    MemoryStore(),
)
page = listing[0].rollouts(phase=[Phase.HELD, Phase.PROGRESSING], waiting_for_person=True, limit=10)
assert_type(page, Page[Rollout])
assert_type(page[0], Rollout)
assert_type(page[1:], tuple[Rollout, ...])
assert_type(listing[0].rollouts(phase="held", after=page[-1]).more, bool)
for ended in history(listing[0], "shop"):
    assert_type(ended, Ended)
assert_type(store.due(datetime.now(UTC)), Sequence[str])
watched: TrafficRouter = Recording(MyRouter())
asked: MetricsProvider = Recording(MyMetrics())
surveyed: Fleet = Recording(MyFleet())
kept: Store = Recording(MemoryStore())
hook: Hook = smoke
gate: Gate = freeze
hours: Gate = OpenHours(zone="Europe/Vienna", opens=time(9, 30))
check: Check = Always(metric=ERRORS)

canary = Canary(
    weights=percents(1, 10, 50, 100),
    bake=minutes(10),
    checks=[
        NoWorse(ERRORS),
        Limit(ERRORS, at_most=percent(1)),
        Limit(LATENCY, quantile=0.99, at_most=ms(400)),
        check,
    ],
    analyses=[Analysis("orders", checks=[Limit(MyMetrics.metrics[0], at_least=percent(2))])],
    guards=["orders"],
    gates=["freeze"],
)
grows = Canary(
    weights=geometric(1, factor=3),
    baseline=percent(10),
    checks=[NoWorse(ERRORS, than=Track.BASELINE), check],
)
every_check = Canary(
    weights=percents(10, 100),
    bake=minutes(5),
    checks=[
        SampleRatio(ERRORS),
        NoWorse(LATENCY, accept=1.5),
        MannWhitney(Metric("queue", kind="value")),
        Kayenta(
            KayentaJudge(metrics=[KayentaMetric("queue", groups=["work"])]),
            metrics=[Metric("queue", kind="value")],
        ),
    ],
)
blue_green = BlueGreen(
    preview_hook="smoke", checks=[Limit(ERRORS, at_most=percent(1))], pause=minutes(5)
)
release = Release(service="shop", stable=Version("v1"), candidate=Version("v2", backend="canary"))
ports = Ports(
    router=router,
    metrics=[provider, stats],
    hooks={"smoke": smoke},
    gates={"freeze": freeze},
    store=store,
    fleet=fleet,
)

assert_type(percent(1), Percent)
assert_type(canary.plan, Plan)
assert_type(Revert().plan, Plan)
assert_type(linear(20), tuple[Percent, ...])


def script() -> ExitCode:
    """A deployment script."""
    rollout = start(canary, release, id="shop-v2", ports=ports)
    assert_type(rollout, Rollout)
    assert_type(tick(rollout, ports), Decision)
    assert_type(run("shop-v2", ports), Outcome)
    assert_type(decide(rollout).rollout, Rollout)
    assert_type(loads(dumps(rollout), Kinds(Warm, Always)), Rollout)
    assert_type(
        first_deployment(istio, Release(service="shop", stable=None, candidate=Version("v1"))),
        Served,
    )
    assert_type(
        start(Revert(), release.reversed(), id="back", ports=ports, if_running=IfRunning.SUPERSEDE),
        Rollout,
    )
    return run(rollout, ports).exit_code


async def web_handler() -> bool:
    """The same with asyncio."""
    return (await arun("shop-v2", ports)).promoted


def laws() -> None:
    """The test kit."""
    recording = Recording(MemoryRouter())
    check_router(recording, release, settle=minutes(1), edit=recording.port.edit)
    check_metrics(
        asked,
        release,
        Window(datetime.now(UTC) - minutes(1), datetime.now(UTC)),
        between=lambda: None,
    )
    check_store(lambda place: SqliteStore(f"{place}.db"))
    check_store(lambda place: MemoryStore(), shared=False)
    assert_type(recording.read(release), Served)
    assert_type(recording.of("apply"), list[Call])


def what_if() -> None:
    """A recorded rollout judged again."""
    found = replay(SqliteStore("rollouts.db").notes("shop-v2"), canary, release=release)
    assert_type(found, Replay)
    assert_type(found.stops_at, datetime | None)
    assert_type(found.spared.of("failed"), Counts)
    assert_type(replay(notes_from("shop-v2.notes"), canary), Replay)
    assert_type(replay(simulate(canary), Revert()), Replay)


def reports() -> None:
    """What rollouts did, as pages."""
    made = report(store.notes("shop-v2"), rollout=store.load("shop-v2"))
    assert_type(made, RolloutReport)
    assert_type(made.html(), str)
    assert_type(report(simulate(canary)).svg(), str)
    assert_type(report(notes_from("shop-v2.notes")).id, str)
    assert_type(overview([made], link=lambda each: f"{each.id}.html"), OverviewReport)
