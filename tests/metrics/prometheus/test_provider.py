"""What is asked of a server, what may be declared, and what Istio calls it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import attrs
import pytest
from tests.support.fake_prometheus import FakePrometheus, parsed
from tests.support.rules import rule
from tests.support.scraped import (
    BOTH,
    BUCKETS,
    QUEUE,
    RATIO,
    RELEASE,
    REQUESTS,
    START,
    ZERO,
    World,
    scraping,
)

from progressive.adapters.flow import feed
from progressive.errors import MetricsError, StrategyError
from progressive.metrics.prometheus import (
    ERRORS,
    LATENCY,
    REQUEST_RATE,
    Buckets,
    Counter,
    Http,
    Not,
    Prometheus,
    Rate,
    Ratio,
    Regex,
    errors,
    istio,
    latency,
)
from progressive.model.measurement import Counts, Gauge, Histogram, Metric, Window
from progressive.model.release import Release, Version
from progressive.model.traffic import Track
from progressive.model.units import minutes, ms, seconds

# ---------------------------------------------------------------------------------------- questions


def test_one_query_brings_both_versions_and_both_counts(world: World) -> None:
    for second in range(4):
        world.scrape(second, "a:80", "v1", _200=second, _500=second)
        world.scrape(second, "b:80", "v2", _200=second)
    look = world.look(0, 3)

    assert look.tracks == (
        (Track.CANDIDATE, Counts(events=0, trials=3)),
        (Track.STABLE, Counts(events=3, trials=6)),
    )
    assert world.server.queries == ['requests_total{version=~"v1|v2"}[40s]']
    assert look.query == f'requests_total{{version=~"v1|v2"}}[40s]  # time={ZERO // 1000 + 3}.000'


def test_a_second_query_is_sent_only_where_a_series_seems_to_begin(world: World) -> None:
    for second in range(4):
        world.scrape(second, "a:80", "v1", _200=second)
    world.scrape(3, "b:80", "v2", _200=1)
    look = world.look(0, 3)

    assert look.of(Track.CANDIDATE) == Counts(events=0, trials=1)
    assert world.server.queries[1] == (
        'last_over_time(requests_total{version=~"v1|v2"}[1h]) or '
        'last_over_time(up{job=~"shop"}[1h] offset 3s)'
    )
    assert [line.rpartition("time=")[2] for line in look.query.splitlines()] == [
        f"{ZERO // 1000 + 3}.000",
        f"{ZERO // 1000}.000",
    ]


def test_what_all_counters_share_is_left_to_the_server() -> None:
    requests = Counter(
        "requests_total", version="v", labels={"job": "shop", "path": Not(Regex("/health.*"))}
    )
    failures = Counter("failures_total", version="v", labels={"job": "shop", "kind": Not("client")})
    window = Window(START, START + ms(61_500))
    request = next(
        scraping(Ratio(events=failures, total=requests), ERRORS)._measure(
            RELEASE, ERRORS, (Track.CANDIDATE,), window, None
        )
    )

    assert request.content is not None
    assert (
        b"query=%7B__name__%3D~%22failures_total%7Crequests_total%22"
        b"%2Cjob%3D%22shop%22%2Cv%3D%22v2%22%7D%5B67500ms%5D&" in request.content
    )


def test_labels_choose_among_what_the_server_sent(world: World) -> None:
    for second in range(2):
        for path in ("/", "/health", "/healthy"):
            for code in ("200", "500"):
                world.server.add(
                    ZERO + second * 1000,
                    second,
                    job="shop",
                    instance="a",
                    version="v1",
                    path=path,
                    code=code,
                )
    requests = Counter("requests_total", version="version", labels={"path": Not("/health")})

    assert world.stable(0, 1, Ratio(events=requests.where(code="500"), total=requests)) == Counts(
        events=2, trials=4
    )
    assert world.stable(
        0, 1, Ratio(events=requests.where(code=Not(Regex("2.."))), total=requests)
    ) == Counts(events=2, trials=4)
    assert world.stable(0, 1, Ratio(events=requests.where(zone=""), total=requests)) == Counts(
        events=4, trials=4
    )


@rule("R42")
def test_names_of_opentelemetry_are_quoted(world: World) -> None:
    """In a selector of one name and of several, as a label of all versions and of one."""
    failures = Counter("http.server.failures", version="service.version", labels={"k8s.pod-x": "1"})
    requests = Counter("http.server.requests_total", version="service.version")
    for second in range(2):
        for name in ("http.server.failures", "http.server.requests_total", "httpxserver.failures"):
            world.server.add(
                ZERO + second * 1000,
                second,
                name=name,
                job="shop",
                instance="a",
                **{"service.version": "v1", "k8s.pod-x": "1"},
            )

    assert world.stable(0, 1, Rate(failures), REQUEST_RATE) == Gauge(samples=(1.0,))
    assert world.stable(0, 1, Ratio(events=failures, total=requests)) == Counts(events=1, trials=1)
    assert world.server.queries == [
        '{"http.server.failures","k8s.pod-x"="1","service.version"=~"v1|v2"}[40s]',
        (
            '{__name__=~"http\\\\.server\\\\.failures|http\\\\.server\\\\.requests_total",'
            '"service.version"=~"v1|v2"}[40s]'
        ),
    ]


def test_versions_may_be_told_apart_by_several_labels(world: World) -> None:
    told = Counter("requests_total", version={"app": "{service}", "pod": "{service}-{version}"})
    for second in range(2):
        for app, pod in (("shop", "shop-1.0"), ("shop", "shop-1x0"), ("other", "shop-1.0")):
            world.server.add(
                ZERO + second * 1000, second, job="shop", instance="a", app=app, pod=pod
            )

    assert world.stable(0, 1, Ratio(events=told.where(code="500"), total=told)) == Counts(
        events=0, trials=1
    )
    assert (
        world.server.queries[0]
        == 'requests_total{app="shop",pod=~"shop-1\\\\.0|shop-1\\\\.1"}[40s]'
    )


def fingerprint(
    query: Any, metric: Metric = ERRORS, release: Release = RELEASE, start: datetime = START
) -> str:
    flow = scraping(query, metric)._measure(
        release, metric, BOTH, Window(start, start + seconds(30)), None
    )
    return feed(flow, FakePrometheus()).fingerprint


def test_the_fingerprint_is_of_the_query_and_not_of_versions_or_times() -> None:
    another = Release(service="till", stable=Version("7"), candidate=Version("8"))

    assert (
        fingerprint(RATIO)
        == fingerprint(RATIO, release=another)
        == fingerprint(RATIO, start=START + minutes(5))
        != ""
    )
    assert fingerprint(RATIO) != fingerprint(
        Ratio(events=REQUESTS.where(code="500"), total=REQUESTS)
    )
    assert fingerprint(RATIO) != fingerprint(
        RATIO, errors(minutes(1)).__class__("other", kind="ratio", lag=minutes(1))
    )


def test_other_buckets_are_no_other_question(world: World) -> None:
    """What was seen of the old ones stays evidence: see `tests/analysis/comparisons`."""
    for second in range(4):
        for labels in ({"instance": f"{second // 2}"}, {"version": "v2", "instance": "b"}):
            world.observe(
                second,
                second,
                second,
                second,
                edges="1 2 +Inf" if second < 2 else "1 3 +Inf",
                **labels,
            )
    before, after = (world.look(begin, begin + 0.5, BUCKETS, LATENCY) for begin in (0.5, 20))

    assert before.fingerprint == after.fingerprint == fingerprint(BUCKETS, LATENCY) != ""
    assert world.look(0.5, 3, BUCKETS, LATENCY).fingerprint == before.fingerprint


# ------------------------------------------------------------------------------------- declarations


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: Prometheus("http://x", metrics={LATENCY: RATIO}),
            "latency is a latency, and Ratio(...) measures a ratio",
        ),
        (lambda: Prometheus("http://x", metrics={}), "give a mapping of metrics to queries"),
        (
            lambda: Prometheus("http://x", metrics={"errors": RATIO}),
            "'errors' is no Metric; write Metric('errors', kind='ratio')",
        ),
        (
            lambda: Prometheus("http://x", metrics={ERRORS: REQUESTS}),
            "is no Ratio(...), Buckets(...), Rate(...) or PromQL(...)",
        ),
        (
            lambda: Prometheus("http://x", metrics={ERRORS: RATIO}, scrape=seconds(30)),
            (
                "error-rate has a lag of 0:00:30, but numbers are complete after 0:00:45; write "
                "lag=seconds(45)"
            ),
        ),
        (
            lambda: Prometheus(
                "http://x", metrics={Metric("e", kind="ratio", counter=True, lag=minutes(1)): RATIO}
            ),
            "e has counter=True, which is for systems without history",
        ),
        (
            lambda: Prometheus("http://x", metrics={ERRORS: RATIO, errors(minutes(1)): RATIO}),
            "'error-rate' stands for two metrics",
        ),
        (lambda: Prometheus("http://x", metrics={ERRORS: RATIO}, scrape=15), "15 has no unit"),
        (
            lambda: Counter('x{job="a"}', version="v"),
            "is not the name of a series; give it without braces",
        ),
        (
            lambda: Counter("x", version="v", labels={"a b": "c"}),
            "'a b' is not the name of a label",
        ),
        (
            lambda: Counter("x", version="v", labels={"__name__": "c"}),
            "'__name__' is not the name of a label",
        ),
        (
            lambda: Counter("x", version="v", labels={"code": 500}),
            "Counter.labels['code']: 500 is no str, Regex('5..') or Not('200')",
        ),
        (lambda: Counter("x", version="v", labels=["code"]), "is no mapping of labels"),
        (lambda: Counter("x", version="v", labels={"a": "\ud800"}), "a half of a character"),
        (
            lambda: Counter("x", version="v", labels={"v": "1"}),
            "'v' stands in labels= and in version=",
        ),
        (lambda: Counter("x", version={"app": "{service}"}), "is the same for every version"),
        (
            lambda: Counter("x", version={"app": "{name}-{backend}"}),
            "may have {backend}, {version} and {service} in braces",
        ),
        (lambda: Counter("x", version=5), "5 is no label; write version='version'"),
        (
            lambda: Ratio(events=REQUESTS, total=Counter("x", version="track")),
            "must have the same labels for that",
        ),
        (lambda: Ratio(events="x", total=REQUESTS), "write Counter('x', version='version')"),
        (
            lambda: Buckets("x_bucket", version="v", labels={"le": "0.5"}),
            "all of the buckets are needed",
        ),
        (lambda: Not(5), "a label's value is a str or a Regex(...)"),
        (lambda: istio("shop", reporter="both"), "reporter='both' is not one of"),
    ],
)
def test_a_wrong_declaration_shows_its_mend(make: Callable[[], object], said: str) -> None:
    with pytest.raises(StrategyError, match=re.escape(said)):
        make()


def test_metrics_are_those_that_were_declared_and_no_others() -> None:
    provider = Prometheus("http://127.0.0.1:9090", metrics={ERRORS: RATIO, LATENCY: BUCKETS})

    assert provider.metrics == (ERRORS, LATENCY)
    with pytest.raises(
        MetricsError, match="Prometheus answers for error-rate, latency; not for queue"
    ):
        feed(provider._measure(RELEASE, QUEUE, BOTH, Window(START, START), None), FakePrometheus())


@pytest.mark.parametrize(
    ("own", "expected"), [(None, seconds(5)), (seconds(20), seconds(20))], ids=str
)
def test_there_are_new_numbers_with_each_scrape(own: timedelta | None, expected: timedelta) -> None:
    metric = attrs.evolve(errors(seconds(30)), resolution=own)
    provider = Prometheus("http://x", metrics={metric: RATIO}, scrape=seconds(5))

    assert [each.resolution for each in provider.metrics] == [expected]


def test_a_server_may_be_given_with_everything_that_http_needs() -> None:
    http = Http(
        "https://metrics.example/prometheus",
        credentials="Bearer abc",
        headers={"X-Scope-OrgID": "shop"},
    )
    provider = Prometheus(http, metrics={ERRORS: RATIO})

    assert provider.server == http
    assert "abc" not in repr(provider)


# -------------------------------------------------------------------------------------------- istio


def test_istio_counts_by_service_and_version_in_seconds(world: World) -> None:
    labels = {
        "job": "mesh",
        "instance": "10.0.0.1:15020",
        "reporter": "destination",
        "destination_workload_namespace": "prod",
        "destination_service_name": "shop",
    }
    for second in range(2):
        moment = ZERO + second * 1000
        for version, ok, failed in (("v1", 100, 0), ("v2", 9, 1)):
            for code, count in (("200", ok), ("503", failed)):
                world.server.add(
                    moment,
                    second * count,
                    name="istio_requests_total",
                    destination_version=version,
                    response_code=code,
                    **labels,
                )
            for edge in ("250", "400", "+Inf"):
                world.server.add(
                    moment,
                    second * ok,
                    name="istio_request_duration_milliseconds_bucket",
                    destination_version=version,
                    le=edge,
                    **labels,
                )
        for stranger in (
            {"destination_service_name": "till"},
            {"destination_workload_namespace": "test"},
            {"reporter": "source"},
        ):
            more = {**labels, **stranger}
            world.server.add(
                moment,
                second * 50,
                name="istio_requests_total",
                destination_version="v2",
                response_code="503",
                **more,
            )
    queries = {metric.name: (query, metric) for metric, query in istio("prod").items()}
    found = [world.look(0, 1, *queries[name]) for name in ("error-rate", "latency", "request-rate")]

    assert found[0].of(Track.STABLE) == Counts(events=0, trials=100)
    assert found[0].of(Track.CANDIDATE) == Counts(events=1, trials=10)
    assert found[1].of(Track.CANDIDATE) == Histogram(edges=(0.25, 0.4), cumulative=(9, 9, 9))
    assert found[2].of(Track.CANDIDATE) == Gauge(samples=(10.0,))


def test_istio_can_be_asked_by_workload_from_the_gateways_side() -> None:
    declared = istio(
        "prod",
        reporter="source",
        version="destination_workload",
        labels={"source_workload": "gateway"},
        lag=minutes(1),
    )
    ratio = declared[errors(minutes(1))]

    assert Prometheus("http://x", metrics=declared).metrics[1] == latency(minutes(1))
    assert isinstance(ratio, Ratio)
    assert parsed(ratio.total.of({"backend": "shop-v2", "version": "", "service": ""})) == [
        ("__name__", "=", "istio_requests_total"),
        ("destination_workload", "=", "shop-v2"),
        ("destination_workload_namespace", "=", "prod"),
        ("reporter", "=", "source"),
        ("source_workload", "=", "gateway"),
    ]
