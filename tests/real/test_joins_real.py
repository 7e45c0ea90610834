"""A version that stands only in ``target_info``, at three versions each of Prometheus and
VictoriaMetrics: on a host that goes from one version to the next each has what it did, and the
server's own join gives both the same.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import httpx
import pytest
from tests.support import otlp
from tests.support.envoy_process import wait_until
from tests.support.metrics_servers import PROMETHEUS, SERVERS, Server, ServerProcess
from tests.support.remote_write import exponential, number, write
from tests.support.rules import rule

from progressive.metrics.prometheus import (
    ERRORS,
    LATENCY,
    REQUEST_RATE,
    Buckets,
    Counter,
    Joined,
    Prometheus,
    Rate,
    Ratio,
)
from progressive.model.measurement import Counts, Gauge, Histogram, Look, Metric, NoAnswer, Window
from progressive.model.release import Release, Version
from progressive.model.traffic import Track

pytestmark = [pytest.mark.real, pytest.mark.external]

RELEASE = Release(service="shop", stable=Version("v2"), candidate=Version("v3"))
BOTH = (Track.STABLE, Track.CANDIDATE)
VERSION = Joined("service_version")
SCRAPE, BEFORE, AFTER = 15, -300, 135
"""Seconds: from export to export, and of the first and the last one. At 0 is the last of v2."""


def shown(second: int) -> tuple[str, dict[str, int]]:
    """Version and counters of host1: v2 answers well; v3 begins after second 0 and fails always."""
    if second <= 0:
        return "v2", {"200": 1000 + (second - BEFORE) // SCRAPE * 10, "500": 0}
    return "v3", {"200": 0, "500": second // SCRAPE * 10}


def provider_of(url: str, name: str = "requests_total", job: str = "shop") -> Prometheus:
    labels = {"job": job}
    requests = Counter(name, version=VERSION, labels=labels)
    return Prometheus(
        url,
        metrics={
            ERRORS: Ratio(events=requests.where(code="500"), total=requests),
            REQUEST_RATE: Rate(requests),
            LATENCY: Buckets("seconds_bucket", version=VERSION, labels=labels),
        },
    )


@attrs.frozen
class Written:
    """A server that has the exports of a host, whose last one of v2 is at this second since 1970.

    ``job``: what it is called there; ``name``: of the counter.
    """

    server: Server
    url: str
    zero: int
    name: str = "requests_total"

    def look(self, metric: Metric, begin: int, end: int, job: str = "shop") -> Look:
        zero = datetime.fromtimestamp(self.zero, UTC)
        window = Window(*(zero + timedelta(seconds=second) for second in (begin, end)))
        with provider_of(self.url, self.name, job) as provider:
            look = provider.measure(RELEASE, metric, BOTH, window, None)
            assert asyncio.run(provider.ameasure(RELEASE, metric, BOTH, window, None)) == look
        return look

    def asked(self, query: str, second: int) -> float | None:
        """What the server itself says; None for nothing."""
        form = {"query": query, "time": str(self.zero + second), "nocache": "1"}
        answer = httpx.post(f"{self.url}/api/v1/query", data=form, trust_env=False).json()
        found = answer["data"]["result"]
        return float(found[0]["value"][1]) if found else None

    def own_join(self, version: str, second: int) -> float | None:
        """Errors a second of a version by a join in PromQL."""
        return self.asked(
            f'sum(rate({self.name}{{code="500",job="shop"}}[1m]) * on (job, instance) '
            f'group_left(service_version) target_info{{service_version="{version}"}})',
            second,
        )


def whole_minutes_ago() -> int:
    return int(time.time()) // SCRAPE * SCRAPE - 300


def by_remote_write(url: str, zero: int, *, native: bool) -> int:
    """Write all that there is; how many samples that can be counted. A host of two processes,
    under a job of its own, too.
    """
    series: dict[tuple[tuple[str, str], ...], bytes] = {}
    count = 0

    def add(name: str, sample: bytes, **labels: str) -> None:
        target = {"job": "shop", "instance": "host1", "__name__": name, **labels}
        key = tuple(sorted(target.items()))
        series[key] = series.get(key, b"") + sample

    for second in range(BEFORE, AFTER + 1, SCRAPE):
        at = (zero + second) * 1000
        version, codes = shown(second)
        for code, shows in codes.items():
            add("requests_total", number(at, shows), code=code)
            add("requests_total", number(at, shows), code=code, job="two")
        for le in ("0.1", "0.5", "+Inf"):
            add("seconds_bucket", number(at, sum(codes.values())), le=le)
        add("target_info", number(at, 1), service_version=version)
        add("target_info", number(at, 1), service_version="v2", job="two")
        add("target_info", number(at + 7000, 1), service_version="v3", job="two")
        count += 10
        if native:
            add("spread", exponential(at, [0.3] * (sum(codes.values()) // 10), schema=3))
    write(url, [(dict(key), samples) for key, samples in series.items()])
    return count


@pytest.fixture(scope="module", params=[*SERVERS])
def written(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Written]:
    server = SERVERS[str(request.param)]
    flags = ("--web.enable-remote-write-receiver",) if server.family == PROMETHEUS else ()
    with ServerProcess(server, tmp_path_factory.mktemp("server"), *flags) as process:
        made = Written(server, process.url, whole_minutes_ago())
        count = by_remote_write(process.url, made.zero, native=server.version == "3.16")
        if server.family != PROMETHEUS:  # that shows at once what it has taken
            shows = 'sum(count_over_time({job=~"shop|two"}[1h]))'
            wait_until("all is shown", lambda: (made.asked(shows, AFTER + 60) or 0) >= count)
        yield made


def of_both(look: Look) -> tuple[Any, Any]:
    return look.of(Track.STABLE), look.of(Track.CANDIDATE)


@rule("R13")
def test_each_version_of_a_host_that_stays_has_what_it_did(written: Written) -> None:
    """At the change, and while the old ``target_info`` still answers."""
    rise = Counts(events=0, trials=20), Counts(events=20, trials=20)

    assert of_both(written.look(ERRORS, -30, 30)) == rise
    stable, candidate = of_both(written.look(REQUEST_RATE, -30, 30))
    assert (stable, candidate) == (Gauge(samples=(20 / 30,)), Gauge(samples=(20 / 30,)))
    stable, candidate = of_both(written.look(LATENCY, -30, 30))
    assert isinstance(stable, Histogram)
    assert (stable.sample, candidate.sample) == (20, 20)

    after = written.look(ERRORS, 60, 120)
    assert after.of(Track.CANDIDATE) == Counts(events=40, trials=40)
    assert after.of(Track.STABLE).sample == 0


def test_the_own_join_of_the_server_gives_each_the_errors_of_the_other(written: Written) -> None:
    """One minute later; it is why this one is made sample by sample."""
    for version in ("v2", "v3"):
        assert written.own_join(version, 75) == pytest.approx(2 / 3, abs=0.01)


def test_two_processes_that_write_as_one_are_named(written: Written) -> None:
    for found in of_both(written.look(ERRORS, -30, 30, job="two")):
        assert isinstance(found, NoAnswer)
        assert "target_info shows two versions of" in found.why


def test_a_native_histogram_is_split_too(written: Written) -> None:
    if written.server.version != "3.16":
        pytest.skip("one server that keeps them without a word is enough")
    zero = datetime.fromtimestamp(written.zero, UTC)
    window = Window(zero - timedelta(seconds=30), zero + timedelta(seconds=30))
    query = Buckets("spread", version=VERSION, labels={"job": "shop"})
    with Prometheus(written.url, metrics={LATENCY: query}) as provider:
        stable, candidate = of_both(provider.measure(RELEASE, LATENCY, BOTH, window, None))

    assert (stable.sample, candidate.sample) == (2, 2)


# --------------------------------------------------------------------------------------------- OTLP


def resource(version: str) -> Mapping[str, str]:
    return {
        "service.name": "shop",
        "service.instance.id": "host1",
        "service.version": version,
    }


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Written]:
    """Exports over OTLP, one by one, to a Prometheus that promotes nothing."""
    server, flag = SERVERS["3.16"], "--web.enable-otlp-receiver"
    with ServerProcess(server, tmp_path_factory.mktemp("server"), flag) as process:
        made = Written(server, process.url, whole_minutes_ago(), name="http_requests_total")
        for second in range(BEFORE, AFTER + 1, SCRAPE):
            version, codes = shown(second)
            at = (made.zero + second) * 1000
            otlp.export(process.url, at, resource(version), "http.requests", codes)
        yield made


@rule("R13")
def test_what_comes_over_otlp_is_joined_as_it_is(exported: Written) -> None:
    both, after = exported.look(ERRORS, -30, 30), exported.look(ERRORS, 60, 120)

    assert of_both(both) == (Counts(events=0, trials=20), Counts(events=20, trials=20))
    assert after.of(Track.CANDIDATE) == Counts(events=40, trials=40)
    assert after.of(Track.STABLE).sample == 0
    assert exported.own_join("v2", 75) == pytest.approx(2 / 3, abs=0.01)
