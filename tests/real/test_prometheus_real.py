"""`Prometheus` against the real Prometheus and the real VictoriaMetrics: counts are what the
services themselves have counted.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import attrs
import pytest
from tests.support.envoy_process import wait_until
from tests.support.metrics_servers import SERVERS
from tests.support.prometheus_process import MetricsServer, Shop
from tests.support.rules import rule

from progressive.errors import Failure, MetricsError
from progressive.metrics.prometheus import (
    Buckets,
    Counter,
    Http,
    Prometheus,
    PromQL,
    Rate,
    Ratio,
    Regex,
    errors,
    latency,
    request_rate,
)
from progressive.model.measurement import (
    Counts,
    Gauge,
    Histogram,
    Look,
    Metric,
    NoAnswer,
    NoData,
    Window,
)
from progressive.model.release import Release, Version
from progressive.model.traffic import Track
from progressive.model.units import seconds
from progressive.testing import check_metrics

pytestmark = [pytest.mark.real, pytest.mark.external]

RELEASE = Release(service="shop", stable=Version("v1"), candidate=Version("v2"))
BOTH = (Track.STABLE, Track.CANDIDATE)
ERRORS, LATENCY, RATE = errors(seconds(15)), latency(seconds(15)), request_rate(seconds(15))
DEPTH = Metric("depth", kind="value", lag=seconds(15))
INJECTION = 'x"}[5m])) or vector(1) #'
ODD = "a\\b\n'é\u2028{}|.*"


@attrs.frozen
class Town:
    """One server, and everything that it scrapes, by application.

    ``shown``: every sample of the five seconds before this moment is there to be seen.
    """

    server: MetricsServer
    shops: dict[str, tuple[Shop, ...]]
    shown: datetime

    def look(
        self,
        app: str,
        metric: Metric,
        begin: datetime,
        end: datetime,
        query: Any = None,
        release: Release = RELEASE,
    ) -> Look:
        """One look at one application, which both colours answer alike."""
        with self.provider(app, query) as provider:
            found = provider.measure(release, metric, BOTH, Window(begin, end), None)
            assert (
                asyncio.run(provider.ameasure(release, metric, BOTH, Window(begin, end), None))
                == found
            )
        return found

    def provider(self, app: str, query: Any = None) -> Prometheus:
        """What measures one application. A target that was silent for 3 s counts as down."""
        requests = Counter("requests_total", version="version", labels={"app": app})
        queries = {
            ERRORS: Ratio(events=requests.where(code=Regex("5..")), total=requests),
            LATENCY: Buckets("seconds_bucket", version="version", labels={"app": app}),
            RATE: Rate(requests),
            DEPTH: query or PromQL('max(depth{version="{backend}"})'),
        }
        return Prometheus(self.server.url, metrics=queries, scrape=seconds(1), lag=seconds(15))

    def stable(
        self, app: str, metric: Metric, begin: datetime, end: datetime, query: Any = None
    ) -> Any:
        return self.look(app, metric, begin, end, query).of(Track.STABLE)


@pytest.fixture(scope="module", params=["2.42", "3.16", "1.79", "1.151"])
def town(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Town]:
    """Every test has applications of its own; the server is the same for all, so that it is started
    once. The oldest and the newest of each: `test_raw_counters_real` asks those between them too.
    """
    chosen = SERVERS[str(request.param)]
    kinds = {
        "exact": [
            ("v1", "200", "500"),
            ("v2", "200", "500", "503"),
            ("v2", "200", "500", "503", "404"),
        ],
        "busy": [("v1", "200"), ("v2",)],
        "lawful": [("v1", "200", "500"), ("v2", "200", "500")],
        "restarted": [("v1", "200", "500")],
        "late": [("v1", "200", "500")],
        "several": [("v1", "200")],
        "renamed": [("v1", "200", "500")],
        "respelt": [("v1", "200")],
        "newborn": [("v1", "200"), ("v2",)],
        "silent": [("v1", "200"), ("v2", "200", "500")],
        "quick": [("v1", "200"), ("v1", "200")],
        "dotted": [("v1.0", "200"), ("v1x0", "200"), ("v2.0", "200")],
        "rated": [("v1", "200")],
        "asked": [("v1", "200", "404")],
        INJECTION: [("v1", "200", "500")],
        "x": [("v1", "200")],
        ODD: [("v1", "200")],
    }
    shops = {app: tuple(Shop(app, *each) for each in instances) for app, instances in kinds.items()}
    everyone = [shop for each in shops.values() for shop in each]
    with ExitStack() as everything:
        for shop in everyone:
            everything.callback(shop.kill)
        server = everything.enter_context(
            MetricsServer(chosen, everyone, tmp_path_factory.mktemp("server"))
        )
        begun = server.settled(*everyone)
        wait_until("five seconds of history", lambda: datetime.now(UTC) > begun + seconds(5))
        yield Town(server, shops, server.complete(*everyone))


# ------------------------------------------------------------------------------------------- counts


def test_counts_are_exactly_those_of_the_services(town: Town) -> None:
    v1, v2, other = shops = town.shops["exact"]
    edges = [town.server.settled(*shops)]
    for step in range(3):
        v1.serve(100 + step)
        v2.serve(10)
        v2.serve(2, "500")
        other.serve(1, "503")
        other.serve(4, "404")
        edges.append(town.server.settled(*shops))
    looks = [town.look("exact", ERRORS, begin, end) for begin, end in pairwise(edges)]

    assert [each.of(Track.STABLE) for each in looks] == [
        Counts(events=0, trials=100 + step) for step in range(3)
    ]
    assert [each.of(Track.CANDIDATE) for each in looks] == [Counts(events=3, trials=17)] * 3
    assert town.look("exact", ERRORS, edges[0], edges[3]).of(Track.CANDIDATE) == Counts(
        events=9, trials=51
    )


@rule("R13", "R18")
def test_it_keeps_the_laws_of_all_providers(town: Town) -> None:
    shops = town.shops["lawful"]
    edges = [town.server.settled(*shops)]
    for _ in range(3):
        for shop in shops:
            shop.serve(50, took=0.05)
            shop.serve(3, "500", took=0.3)
        edges.append(town.server.settled(*shops))

    with town.provider("lawful") as provider:
        check_metrics(provider, RELEASE, Window(edges[0], edges[-1]), cuts=edges[1:-1])


@rule("R18")
def test_looks_at_a_busy_service_add_up_to_the_truth(town: Town) -> None:
    """Each is cut at any moment, while codes are answered for the first time, and taken when the
    server shows what was served up to then: how long that takes is the machine's and the server's.
    """
    shop, begin = town.shops["busy"][0], town.server.settled(*town.shops["busy"])
    over = threading.Event()
    found = []

    def busy() -> None:
        served = 0
        while not over.wait(0.004):
            shop.serve(1)
            served += 1
            if served % 150 == 0:
                shop.serve(3, str(500 + served // 150))

    users = threading.Thread(target=busy)
    users.start()
    try:
        start = begin
        while len(found) < 3:
            window = Window(start, town.server.complete(shop))
            found.append(town.stable("busy", ERRORS, window.start, window.end))
            start = window.end
    finally:
        over.set()
        users.join()
    found.append(town.stable("busy", ERRORS, start, town.server.settled(shop)))
    counts = [each for each in found if isinstance(each, Counts)]
    truth = sum(shop.codes.values()) - 1000

    assert sum(each.trials for each in counts) == truth
    assert sum(each.events for each in counts) == truth - (shop.codes["200"] - 1000) > 0


def test_a_restart_is_counted_from_zero(town: Town) -> None:
    [shop] = town.shops["restarted"]
    begin = town.server.settled(shop)
    shop.serve(20)
    town.server.settled(shop)
    shop.kill()
    shop.start()
    shop.serve(7)
    shop.serve(1, "500")

    assert town.stable("restarted", ERRORS, begin, town.server.settled(shop)) == Counts(
        events=1, trials=28
    )


def test_an_older_value_of_a_counter_puts_no_past_into_a_window(town: Town) -> None:
    """For one scrape or two it shows a request less."""
    [shop] = town.shops["late"]
    begin = town.server.settled(shop)
    shop.serve(20)
    shop.serve(2, "500")
    town.server.settled(shop)
    shop.show_for_one_scrape(1)
    shop.show_for_one_scrape(1, "500")
    shop.serve(10)
    shop.serve(1, "500")

    assert town.stable("late", ERRORS, begin, town.server.settled(shop)) == Counts(
        events=3, trials=33
    )


def test_a_counter_that_falls_again_and_again_is_no_answer(town: Town) -> None:
    """As where several processes behind one target answer in turn."""
    [shop] = town.shops["several"]
    begin = town.server.settled(shop)
    for _ in range(8):
        shop.show_for_one_scrape(400)
    found = town.look("several", ERRORS, begin, town.server.settled(shop))

    assert isinstance(found.of(Track.STABLE), NoAnswer)
    assert "several processes behind one target" in found.of(Track.STABLE).why


def test_series_under_other_labels_go_on(town: Town) -> None:
    [shop] = town.shops["renamed"]
    begin = town.server.settled(shop)
    shop.serve(20)
    shop.serve(2, "500")
    town.server.settled(shop)
    shop.labels = {**shop.labels, "zone": "b"}
    shop.serve(10)
    shop.serve(1, "500")
    end = town.server.settled(shop)

    assert town.stable("renamed", ERRORS, begin, end) == Counts(events=3, trials=33)


def test_edges_that_are_written_otherwise_under_way_are_the_same_buckets(town: Town) -> None:
    [shop] = town.shops["respelt"]
    begin = town.server.settled(shop)
    shop.serve(20, took=0.3)
    town.server.settled(shop)
    shop.edges = ("0.10", "5e-01")
    shop.serve(10)
    found = town.stable("respelt", LATENCY, begin, town.server.settled(shop))

    assert found == Histogram(edges=(0.1, 0.5), cumulative=(10, 30, 30))


@rule("R13")
def test_the_first_errors_of_a_version_are_counted_and_the_first_requests_too(town: Town) -> None:
    """Their series are born with their first event, which `rate()` and `increase()` never see."""
    shop, idle = shops = town.shops["newborn"]
    begin = town.server.settled(*shops)
    shop.serve(10)
    shop.serve(3, "500")
    idle.serve(2, "502")
    found = town.look("newborn", ERRORS, begin, town.server.settled(*shops))

    assert found.of(Track.STABLE) == Counts(events=3, trials=13)
    assert found.of(Track.CANDIDATE) == Counts(events=2, trials=2)


def test_buckets_give_exact_limits(town: Town) -> None:
    shop, other = shops = town.shops["quick"]
    shop.serve(1000, took=0.2)
    begin = town.server.settled(*shops)
    shop.serve(95, took=0.05)
    shop.serve(4, took=0.3)
    other.serve(1, took=2.0)
    found = town.stable("quick", LATENCY, begin, town.server.settled(*shops))

    assert found == Histogram(edges=(0.1, 0.5), cumulative=(95, 99, 100))
    assert (found.above(0.5), found.quantile(0.99)) == ((1, 0.5), 0.5)


def test_a_rate_is_that_of_the_service(town: Town) -> None:
    [shop] = town.shops["rated"]
    begin = town.server.settled(shop)
    shop.serve(1000)
    end = town.server.settled(shop)
    found = town.stable("rated", RATE, begin, end)

    assert isinstance(found, Gauge)
    assert 1000 / (end - begin + seconds(3)).total_seconds() < found.samples[0] < 1000 / 0.3
    assert town.stable("rated", RATE, end, town.server.settled(shop)) == Gauge(samples=(0.0,))


# ------------------------------------------------------------------------------------------ silence


@rule("R13", "R20")
def test_healthy_idle_absent_and_dead_are_four_things(town: Town) -> None:
    shop, dying = shops = town.shops["silent"]
    begin = town.server.settled(*shops)
    shop.serve(10)
    between = town.server.settled(*shops)
    dying.serve(5, "500")
    town.server.settled(*shops)
    dying.kill()
    healthy = town.look("silent", ERRORS, begin, between)
    absent = Release(service="shop", stable=Version("v1"), candidate=Version("v3"))
    nobody = town.look("silent", ERRORS, begin, between, release=absent).of(Track.CANDIDATE)

    assert healthy.of(Track.STABLE) == Counts(events=0, trials=10)
    assert healthy.of(Track.CANDIDATE) == NoData("no requests")
    assert isinstance(nobody, NoData) and "no sample of requests_total" in nobody.why

    def noticed() -> bool:
        """VictoriaMetrics since 1.145 shows a sample up to five seconds after its time, so two
        looks up to now, one after the other, may differ: this takes one.
        """
        window = Window(between, datetime.now(UTC))
        with town.provider("silent") as provider:
            found = provider.measure(RELEASE, ERRORS, BOTH, window, None)
        return found.covered.end < window.end - seconds(8)

    wait_until("the dead one is noticed", noticed)
    end = town.server.complete(shop)
    last_words = town.look("silent", ERRORS, between, end)
    silence = town.look("silent", ERRORS, last_words.covered.end, end).of(Track.CANDIDATE)

    assert last_words.of(Track.CANDIDATE) == Counts(events=5, trials=5)
    assert isinstance(silence, NoData) and "the target is down" in silence.why


@rule("R19")
def test_a_server_that_is_gone_is_an_error_that_may_pass() -> None:
    http = Http("http://127.0.0.1:1", deadline=seconds(0.3))
    provider = Prometheus(
        http,
        metrics={DEPTH: PromQL('max(depth{version="{backend}"})')},
        scrape=seconds(1),
        lag=seconds(15),
    )
    now = datetime.now(UTC)

    with (
        provider,
        pytest.raises(
            MetricsError, match=r"Prometheus at http://127\.0\.0\.1:1: POST /api/v1/query: Connect"
        ) as caught,
    ):
        provider.measure(RELEASE, DEPTH, BOTH, Window(now - seconds(5), now), None)
    assert caught.value.failure is Failure.TRANSIENT


# -------------------------------------------------------------------------------------------- names


@rule("R42")
def test_a_hostile_name_is_a_name_and_nothing_else(town: Town) -> None:
    """Unquoted, ``x"}[5m])) or vector(1) #`` makes a version that only fails look like one that
    never does.
    """
    apps = (INJECTION, "x", ODD)
    shops = [town.shops[app][0] for app in apps]
    begin = town.server.settled(*shops)
    shops[0].serve(9, "500")
    shops[1].serve(50)
    shops[2].serve(4)
    end = town.server.settled(*shops)

    assert [town.stable(app, ERRORS, begin, end) for app in apps] == [
        Counts(events=9, trials=9),
        Counts(events=0, trials=50),
        Counts(events=0, trials=4),
    ]


@rule("R42")
def test_names_of_several_versions_match_nothing_but_themselves(town: Town) -> None:
    shops = town.shops["dotted"]
    begin = town.server.settled(*shops)
    for count, each in enumerate(shops, start=1):
        each.serve(count)
    end = town.server.settled(*shops)
    release = Release(service="shop", stable=Version("v1.0"), candidate=Version("v2.0"))
    found = town.look("dotted", ERRORS, begin, end, release=release)
    query = PromQL('sum(requests_total{app="dotted",version=~"{backend}"})')

    assert found.tracks == (
        (Track.CANDIDATE, Counts(events=0, trials=3)),
        (Track.STABLE, Counts(events=0, trials=1)),
    )
    assert town.look("dotted", DEPTH, begin, end, query, release).of(Track.STABLE) == Gauge(
        samples=(1001.0,)
    )


# ----------------------------------------------------------------------------- queries of one's own


@rule("R13")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ('sum(requests_total{app="asked",version="{backend}"})', Gauge(samples=(2000.0,))),
        ('max(depth{app="asked",version=~"{backend}|nobody"})', Gauge(samples=(2.5,))),
        (
            'sum(rate(requests_total{app="asked",version="{backend}"}[{window}]))',
            Gauge(samples=(0.0,)),
        ),
        (
            'sum(rate(requests_total{app="asked",version="{backend}",code="none"}[{window}]))',
            "the query found nothing",
        ),
        (
            'requests_total{app="asked",version="{backend}"}',
            "the query answers 2 series, more than one: aggregate it",
        ),
        (
            'requests_total{app="asked",version="{backend}"}[5m]',
            "the query answers a matrix, not one number",
        ),
        (
            'max(depth{app="asked",version="{backend}"}) / 0',
            "the query answers +inf, which is no number",
        ),
        (
            'sum(depth{app="asked",version="{backend}"} * 0) / 0',
            ("the query answers NaN", "the query found nothing"),
        ),
    ],
)
def test_queries_of_ones_own_are_answered_or_not_on_purpose(
    town: Town, query: str, expected: Any
) -> None:
    """Nothing changes at this service, so any moment that is stored for sure will do."""
    begin = town.shown - timedelta(seconds=2)
    found = town.stable("asked", DEPTH, begin, town.shown, PromQL(query))

    if isinstance(expected, Gauge):
        assert found == expected
    else:
        assert isinstance(found, NoData | NoAnswer)
        assert found.why.startswith(expected), found.why


@rule("R19")
def test_a_query_that_can_not_be_parsed_comes_back_in_the_servers_words(town: Town) -> None:
    broken = PromQL('sum(depth{version="{backend}"}')

    with pytest.raises(
        MetricsError, match=r"answered 4(00|22).*(unclosed left parenthesis|unexpected token)"
    ) as caught:
        town.look("asked", DEPTH, town.shown - seconds(5), town.shown, broken)
    assert caught.value.failure is Failure.PERMANENT
