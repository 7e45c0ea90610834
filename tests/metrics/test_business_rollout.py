"""Whole canaries that are judged by what a shop sells."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from tests.support.business import COLOURS, RELEASE, database
from tests.support.reporting_api import BOUNDS, Api
from tests.support.rules import rule

from progressive import (
    Canary,
    Limit,
    NoWorse,
    Outcome,
    Phase,
    minutes,
    ms,
    percent,
    percents,
    seconds,
    times,
)
from progressive.metrics.function import Function
from progressive.metrics.json_http import Endpoint, JsonHttp
from progressive.metrics.sql import Query, Sql
from progressive.model.measurement import Histogram, Metric, Window
from progressive.model.release import Release, Version
from progressive.model.traffic import Track, Traffic
from progressive.testing import (
    MemoryRouter,
    ScriptedMetrics,
    VirtualClock,
    aplay,
    check_metrics,
    play,
    steady,
)

CONVERSION = Metric("orders-per-visit", kind="ratio", bad="down", lag=seconds(2))
ERRORS = Metric("error-rate", kind="ratio")
LATENCY = Metric("latency", kind="latency", unit="s")
FAST = Histogram(edges=(0.1, 0.4), cumulative=(900, 1000, 1000))


class Shop(VirtualClock):
    """Visitors of a shop, as time passes: every one leaves a row in its database, of the version
    that the router sent them to.
    """

    def __init__(self, folder: Path, buying: Mapping[str, int]) -> None:
        super().__init__()
        self.connect = database(
            folder,
            "create table visits (at integer, version text, ordered integer)",
            "create index by_time on visits (version, at)",
        )
        self.router = MemoryRouter()
        self.buying = buying
        self.visitors = 0
        self.until(self.now + minutes(2))

    def until(self, at: datetime) -> None:
        rows = []
        while self.now < at:
            for _ in range(20):
                self.visitors += 1
                new = self.visitors * 7919 % 1_000_000 < self.router.traffic.candidate.ppm
                version = "v2" if new else "v1"
                rows.append(
                    (
                        round(self.now.timestamp() * 1000),
                        version,
                        self.visitors % 100 < self.buying[version],
                    )
                )
            self.now = min(self.now + seconds(1), at)
        with self.connect() as filling:
            filling.executemany("insert into visits values (?, ?, ?)", rows)
            filling.commit()

    def counted(self, release: Release, version: Version, window: Window) -> tuple[int, int]:
        with self.connect() as reading:
            found = reading.execute(
                "select coalesce(sum(ordered), 0), count(*) from visits where version = ? and at "
                ">= ? and at < ?",
                (version.identity, window.start.timestamp() * 1000, window.end.timestamp() * 1000),
            ).fetchone()
        return int(found[0]), int(found[1])


def sql_of(shop: Shop, api: Api) -> Any:
    text = (
        "select coalesce(sum(ordered), 0), count(*) from visits where version = :version and at >= "
        ":start and at < :end"
    )
    return Sql(shop.connect, {CONVERSION: Query(text, times="unix_ms")})


def function_of(shop: Shop, api: Api) -> Any:
    return Function({CONVERSION: shop.counted})


def json_of(shop: Shop, api: Api) -> Any:
    def answers(query: dict[str, str]) -> str:
        window = Window(*(datetime.fromisoformat(query[name]) for name in ("from", "to")))
        ordered, visits = shop.counted(RELEASE, Version(query["version"]), window)
        return json.dumps({"visits": {"all": visits, "ordered": ordered}})

    api.answers = answers
    return JsonHttp(
        api.url,
        {
            CONVERSION: Endpoint(
                "/visits", params=BOUNDS, events="visits.ordered", trials="visits.all"
            )
        },
    )


@rule("R13", "R18")
@pytest.mark.parametrize("provider", [sql_of, function_of, json_of])
def test_they_keep_the_laws_of_all_providers(tmp_path: Path, api: Api, provider: Any) -> None:
    shop = Shop(tmp_path, {"v1": 20, "v2": 8})
    shop.router.edit(Traffic(candidate=percent(30)))
    begun = shop()
    shop.until(begun + minutes(2))

    release = Release(service="shop", stable=Version("v1"), candidate=Version("v2"))
    check_metrics(
        provider(shop, api),
        release,
        Window(begun, begun + minutes(1)),
        cuts=[begun + seconds(1), begun + seconds(17)],
    )


CONVERTING = Canary(
    weights=percents(10, 50, 100),
    bake=minutes(3),
    checks=[
        NoWorse(ERRORS),
        Limit(LATENCY, quantile=0.99, at_most=ms(400)),
        Limit(CONVERSION, at_least=times(0.8)),
    ],
    early=False,
)


def played(shop: Shop, provider: Any, colour: str) -> Outcome:
    fine = ScriptedMetrics(
        {
            ERRORS: steady(20, stable=0.001, candidate=0.001),
            LATENCY: {Track.STABLE: FAST, Track.CANDIDATE: FAST},
        }
    )
    release = Release(service="shop", stable=Version("v1"), candidate=Version("v2"))
    ports = {"metrics": [fine, provider], "router": shop.router, "clock": shop}
    return (
        play(CONVERTING, release, **ports)
        if colour == "measure"
        else asyncio.run(aplay(CONVERTING, release, **ports))
    )


@rule("R17")
@pytest.mark.parametrize("provider", [sql_of, function_of, json_of])
@pytest.mark.parametrize("colour", COLOURS)
def test_a_version_that_answers_fast_and_without_errors_but_sells_less_goes_back(
    tmp_path: Path, api: Api, provider: Any, colour: str
) -> None:
    shop = Shop(tmp_path, {"v1": 20, "v2": 8})
    outcome = played(shop, provider(shop, api), colour)

    assert outcome.rollout.phase is Phase.ROLLED_BACK
    assert re.search(
        r"orders-per-visit: \d\.\d+ % is below 16\.\d+ % ", outcome.rollout.progress.reason
    )
    assert shop.router.highest == percent(10)
    assert shop.router.traffic.candidate == percent(0)


@pytest.mark.parametrize("colour", COLOURS)
def test_a_version_that_sells_as_much_is_promoted(tmp_path: Path, api: Api, colour: str) -> None:
    shop = Shop(tmp_path, {"v1": 20, "v2": 20})

    assert played(shop, sql_of(shop, api), colour).promoted
