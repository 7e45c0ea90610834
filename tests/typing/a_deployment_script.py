"""A deployment script with business metrics, observers and ports of its own, as a type checker sees
it; never run.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import assert_type

from progressive import (
    Canary,
    Decision,
    Go,
    Metric,
    NotYet,
    Open,
    Outcome,
    Ports,
    Release,
    Rollout,
    Served,
    Traffic,
    Version,
    arun,
    first_deployment,
    minutes,
    percents,
    rollback_now,
    run,
    start,
    submit,
    tick,
)
from progressive.metrics.function import Function
from progressive.metrics.json_http import Endpoint, JsonHttp
from progressive.metrics.sql import Query, Sql
from progressive.model import Capabilities, Counts, Marker, Window
from progressive.ports import AsyncTrafficRouter, TrafficRouter
from progressive.rollout import Abort, Note
from progressive.stores.sqlite import SqliteStore

ORDERS = Metric("orders", kind="ratio", bad="down")
RETURNS = Metric("returns", kind="ratio")
QUEUE = Metric("queue", kind="value")
RELEASE = Release(service="shop", stable=Version("v1"), candidate=Version("v2"))


class OnlyAsync:
    """A router that is only there for asyncio."""

    capabilities = Capabilities()

    async def aread(self, release: Release) -> Served:
        return Served(traffic=Traffic())

    async def aapply(
        self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        return await self.aread(release)


class NoRouter:
    """It reads, and can't write."""

    capabilities = Capabilities()

    def read(self, release: Release) -> Served:
        return Served(traffic=Traffic())


def waiting(release: Release, version: Version, window: Window) -> float:
    return 4.0


async def returned(release: Release, version: Version, window: Window) -> Counts:
    return Counts(events=1, trials=10)


def shown(rollout: Rollout, notes: Sequence[Note]) -> None:
    print(rollout.status, *notes, sep="\n")


def smoke(key: str, release: Release) -> Go | NotYet:
    return Go()


async def awaited_smoke(key: str, release: Release) -> Go:
    return Go()


def always(release: Release, now: datetime) -> Open:
    return Open()


SQL = Sql(
    lambda: sqlite3.connect("shop.db"),
    metrics={ORDERS: Query("select 1, 2 where :version = :backend and :start < :end")},
)
JSON = JsonHttp(
    "http://127.0.0.1:8080",
    metrics={RETURNS: Endpoint("/returns?v={version}&a={start}&b={end}", events="n", trials="of")},
)


def ports(router: TrafficRouter | AsyncTrafficRouter) -> Ports:
    return Ports(
        router=router,
        metrics=[SQL, JSON],
        hooks={"smoke": smoke, "later": awaited_smoke},
        gates={"always": always},
        observers=[shown],
        store=SqliteStore("rollouts.db"),
    )


def deploy(router: TrafficRouter) -> int:
    bound = ports(router)
    rollout = start(Canary(weights=percents(5, 100), unguarded="x"), RELEASE, id="1", ports=bound)
    assert_type(rollout, Rollout)
    assert_type(tick(rollout, bound), Decision)
    outcome = run(rollout, bound, budget=minutes(30))
    assert_type(outcome, Outcome)
    if bound.store is not None:
        submit(bound.store, "1", Abort(at=rollout.clocks.now, by="eve", why="enough"))
    assert_type(rollback_now(router, RELEASE), Served)
    return outcome.exit_code


async def adeploy() -> int:
    router = OnlyAsync()
    return (await arun("1", ports(router))).exit_code


def mistakes() -> None:
    Ports(router=NoRouter())  # type: ignore[arg-type]
    Ports(router=OnlyAsync(), store="rollouts.db")  # type: ignore[arg-type]
    Ports(router=OnlyAsync(), hooks={"smoke": always})  # type: ignore[dict-item]
    rollback_now(OnlyAsync(), RELEASE)  # type: ignore[arg-type]
    first_deployment(NoRouter(), RELEASE)  # type: ignore[arg-type]


FUNCTION = Function({QUEUE: waiting, RETURNS: returned})
