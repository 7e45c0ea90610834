"""`Prometheus` without a server: the flows are driven by hand, with answers as the real ones gave
them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest
from tests.support.fake_prometheus import FakePrometheus, parsed
from tests.support.rules import rule

from progressive.adapters.flow import feed
from progressive.adapters.http import Malformed, Response
from progressive.errors import Failure, MetricsError, StrategyError
from progressive.metrics.prometheus import (
    ERRORS,
    LATENCY,
    REQUEST_RATE,
    Buckets,
    Counter,
    Http,
    Not,
    Prometheus,
    PromQL,
    Rate,
    Ratio,
    Regex,
    errors,
    istio,
    latency,
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
from progressive.model.units import minutes, ms, seconds

RELEASE = Release(
    service="shop", stable=Version("1.0", backend="v1"), candidate=Version("1.1", backend="v2")
)
THREE = Release(
    service="shop",
    stable=Version("1.0", backend="v1"),
    candidate=Version("1.1", backend="v2"),
    baseline=Version("1.0b", backend="v3"),
)
BOTH = (Track.STABLE, Track.CANDIDATE)
REQUESTS = Counter("requests_total", version="version")
RATIO = Ratio(events=REQUESTS.where(code=Regex("5..")), total=REQUESTS)
BUCKETS = Buckets("seconds_bucket", version="version")
QUEUE = Metric("queue", kind="value", lag=minutes(1))
START = datetime(2026, 11, 23, 12, tzinfo=UTC)
ZERO = 1_795_435_200_000
"""`START` in milliseconds."""
T = TypeVar("T")


def scraping(query: Any, metric: Metric, **more: Any) -> Prometheus:
    """A provider of one metric, whose targets are scraped every second."""
    return Prometheus("http://127.0.0.1:9090", metrics={metric: query}, scrape=seconds(1), **more)


class World:
    """A server with a history that a test writes, second by second from `START`."""

    def __init__(self) -> None:
        self.server = FakePrometheus()

    def scrape(
        self, second: float, instance: str = "a:80", version: str = "v1", **codes: float | str
    ) -> None:
        """One scrape of one target: ``scrape(3, _200=10, _500=1)``."""
        moment = ZERO + round(second * 1000)
        self.server.add(moment, 1, name="up", job="shop", instance=instance)
        for code, value in codes.items():
            self.server.add(
                moment, value, job="shop", instance=instance, version=version, code=code[1:]
            )

    def observe(
        self, second: float, *counts: float, edges: str = "0.1 0.5 +Inf", **labels: str
    ) -> None:
        """One scrape of a histogram."""
        named = {
            "name": "seconds_bucket",
            "job": "shop",
            "instance": "a:80",
            "version": "v1",
            **labels,
        }
        for edge, count in zip(edges.split(), counts, strict=True):
            self.server.add(ZERO + round(second * 1000), count, le=edge, **named)

    def look(
        self, begin: float, end: float, query: Any = RATIO, metric: Metric = ERRORS, **more: Any
    ) -> Look:
        window = Window(START + timedelta(seconds=begin), START + timedelta(seconds=end))
        flow = scraping(query, metric)._measure(
            more.pop("release", RELEASE), metric, more.pop("tracks", BOTH), window, None
        )
        return feed(flow, self.server)

    def stable(
        self, begin: float, end: float, query: Any = RATIO, metric: Metric = ERRORS, **more: Any
    ) -> Any:
        return self.look(begin, end, query, metric, **more).of(Track.STABLE)


@pytest.fixture
def world() -> World:
    """A server that has scraped the job for long."""
    made = World()
    made.server.add(ZERO - 600_000, 1, name="up", job="shop", instance="of old")
    return made


# ------------------------------------------------------------------------------------------- counts


@rule("R13")
def test_counts_are_differences_of_raw_samples(world: World) -> None:
    for second in range(-1, 12):
        world.scrape(second, _200=1000 + 10 * second, _404=7, _500=max(second - 8, 0))

    assert world.stable(0, 10) == Counts(events=2, trials=102)
    assert world.stable(2.5, 4.5) == Counts(events=0, trials=20)


def test_a_sample_at_the_edge_belongs_to_the_window_that_it_ends(world: World) -> None:
    """What it shows happened before it."""
    world.scrape(0, _200=5)
    world.scrape(1, _200=6)
    world.scrape(2, _200=8)

    assert [world.stable(begin, begin + 1).trials for begin in (0, 1)] == [1, 2]


@pytest.mark.parametrize("closed", [True, False])
def test_where_a_servers_range_begins_does_not_matter(world: World, closed: bool) -> None:
    """Up to Prometheus 2 both ends belong to it, since 3 (and at VictoriaMetrics) the end only."""
    world.server.closed = closed
    for second in range(-10, 11):
        world.scrape(second, _200=100 + second)

    assert world.stable(0, 10).trials == 10


def test_a_fall_is_a_restart_and_counts_from_zero(world: World) -> None:
    for second, count in enumerate((90, 95, 3, 4, 0, 2)):
        world.scrape(second, _200=count)

    assert world.stable(0, 5).trials == 5 + 3 + 1 + 0 + 2


def test_a_counter_that_is_born_counts_from_its_first_event(world: World) -> None:
    for second in range(6):
        world.scrape(second, _200=10 * second)
    world.scrape(6, _200=60, _500=2)

    assert world.stable(1, 6) == Counts(events=2, trials=52)


@rule("R13")
def test_the_first_request_of_an_idle_version_is_counted_because_its_target_was_scraped(
    world: World,
) -> None:
    for second in range(-5, 5):
        world.scrape(second)
    world.scrape(5, _500=1)

    assert world.stable(0, 5) == Counts(events=1, trials=1)


def test_an_instance_that_is_new_in_a_job_counts_from_zero(world: World) -> None:
    for second in range(-10, 6):
        world.scrape(second, _200=100)
    world.scrape(4, "b:80", _200=8, _500=1)
    world.scrape(5, "b:80", _200=9, _500=1)

    assert world.stable(0, 5) == Counts(events=1, trials=10)


def test_a_scrape_gap_is_no_birth(world: World) -> None:
    world.scrape(-60, _200=1000, _500=9)
    world.scrape(3, _200=1004, _500=9)
    world.scrape(4, _200=1006, _500=10)

    assert world.stable(0, 4) == Counts(events=1, trials=7)


def test_a_restart_within_a_scrape_gap_counts_from_zero(world: World) -> None:
    world.scrape(-60, _200=1000)
    world.scrape(3, _200=4)

    assert world.stable(0, 3).trials == 4


def test_a_server_that_was_just_started_puts_no_past_into_the_window() -> None:
    fresh = World()
    for second in range(1, 5):
        fresh.scrape(second, "a:80", _200=1_000_000 + second)
        fresh.scrape(second + 0.7, "b:80", _200=2_000_000 + second)
    first = fresh.stable(0, 1.5)

    assert "nobody knows" in first.why
    assert fresh.stable(0, 3).trials == 3, (
        "of a two and of b one, without what their first scrapes showed"
    )
    assert fresh.stable(1.5, 4.7).trials == 6


def test_an_instance_that_vanishes_counts_up_to_its_last_sample(world: World) -> None:
    for second in range(11):
        world.scrape(second, "a:80", _200=second)
        if second <= 4:
            world.scrape(second + 0.3, "b:80", _200=100 * second)

    assert world.stable(1, 10).trials == 9 + 400
    assert world.stable(5, 10).trials == 5


def test_an_event_counted_before_its_request_is_its_own_request(world: World) -> None:
    """Two counters are not incremented at the same moment, and a scrape may come between."""
    query = Ratio(events=Counter("failures_total", version="version"), total=REQUESTS)
    for second, (failures, requests) in enumerate([(0, 0), (5, 4)]):
        world.scrape(second, _200=requests)
        world.server.add(
            ZERO + second * 1000,
            failures,
            name="failures_total",
            job="shop",
            instance="a:80",
            version="v1",
        )

    assert world.stable(0, 1, query) == Counts(events=5, trials=5)
    assert len(world.server.queries) == 1


def test_events_without_a_total_are_a_mistake_in_the_query(world: World) -> None:
    query = Ratio(events=REQUESTS, total=Counter("request_total", version="version"))
    world.scrape(0, _200=1)
    world.scrape(1, _200=2)
    found = world.stable(0, 1, query)

    assert isinstance(found, NoAnswer)
    assert 'nothing of the total (request_total{version="{backend}"})' in found.why


@pytest.mark.parametrize(("value", "said"), [(1.5, "1.5"), (-1, "-1"), ("+Inf", "inf")])
def test_what_is_no_count_is_no_answer(world: World, value: float | str, said: str) -> None:
    world.scrape(0, _200=1)
    world.scrape(1, _200=value)
    found = world.stable(0, 1)

    assert found == NoAnswer(
        f"requests_total shows {said}, which is no count; a counter of events rises in whole "
        "numbers"
    )


def test_stale_markers_and_samples_stored_twice_are_left_out(world: World) -> None:
    """VictoriaMetrics shows where a series ended as NaN, and two agents that write the same scrape
    as two samples.
    """
    for second, value in [(0, 1), (1, 3), (1, 3), (2, "NaN"), (3, 4)]:
        world.scrape(second, _200=value)

    assert world.stable(0, 3).trials == 3


# ------------------------------------------------------------------------------------------ silence


@rule("R13", "R20")
def test_healthy_idle_absent_and_dead_are_four_things(world: World) -> None:
    for second in range(-5, 11):
        world.scrape(second, "a:80", "v1", _200=second + 5)
        world.scrape(second, "c:80", "v3", _200=7)
        if second < 0:
            world.scrape(second, "d:80", "v4", _200=50 + second)
    healthy, idle, absent, dead = (
        world.stable(
            0, 10, release=Release(service="shop", stable=Version(name), candidate=Version("x"))
        )
        for name in ("v1", "v3", "v2", "v4")
    )

    assert healthy == Counts(events=0, trials=10)
    assert idle == NoData("no requests")
    assert absent.why.startswith(
        'no sample of requests_total{version="v2"}: the target is not scraped, is down,'
    )
    assert dead.why.startswith(
        'the last sample of requests_total{version="v4"} is 11s older than the window\'s end: the '
        "target is down"
    )


@rule("R13", "R18")
def test_a_version_that_dies_is_judged_up_to_its_last_scrape_and_then_is_no_data(
    world: World,
) -> None:
    for second in range(-1, 21):
        world.scrape(second, "a:80", "v1", _200=10 * second + 10)
        if second <= 12:
            world.scrape(second + 0.2, "b:80", "v2", _200=100, _500=max(second - 9, 0))
    last_words = world.look(0, 20)
    silence = world.look(12.2, 20)

    assert last_words.covered == Window(START, START + seconds(12.2))
    assert last_words.of(Track.CANDIDATE) == Counts(events=3, trials=3)
    assert last_words.of(Track.STABLE) == Counts(events=0, trials=120), "both up to the same moment"
    assert isinstance(silence.of(Track.CANDIDATE), NoData)
    assert silence.covered.end == START + seconds(20)
    assert silence.of(Track.STABLE) == Counts(events=0, trials=80)


def test_two_scrapes_may_be_missed_and_the_third_makes_it_stale(world: World) -> None:
    for second in range(-1, 11):
        world.scrape(second, _200=second + 1)

    assert world.look(0, 12.999).covered.end == START + seconds(12.999)
    assert world.look(0, 13).covered.end == START + seconds(10)
    assert world.stable(10, 13).why.startswith("the last sample of")


def test_a_window_between_two_scrapes_has_no_data(world: World) -> None:
    for second in range(-1, 4):
        world.scrape(second, _200=second + 1)

    assert world.stable(2.1, 2.9) == NoData("no requests")


def test_a_track_without_a_version_is_not_asked_for(world: World) -> None:
    for second in range(-1, 4):
        world.scrape(second, _200=second + 1)
    look = world.look(0, 3, tracks=tuple(Track))

    assert look.of(Track.BASELINE) == NoData("the release has no version for this track")
    assert look.of(Track.STABLE) == Counts(events=0, trials=3)
    assert world.look(0, 3, tracks=(Track.BASELINE,)).query == ""


# --------------------------------------------------------------------------------------- histograms


def test_buckets_are_counted_each_and_added_up_over_instances(world: World) -> None:
    for second in range(-1, 11):
        world.observe(second, second + 1, 2 * second + 2, 3 * second + 3)
        world.observe(second, 0, 0, second + 1, instance="b:80")

    assert world.stable(0, 10, BUCKETS, LATENCY) == Histogram(
        edges=(0.1, 0.5), cumulative=(10, 20, 40)
    )


def test_a_unit_makes_seconds_of_it_exactly(world: World) -> None:
    for second in range(2):
        world.observe(
            second, *(count * second for count in (1, 2, 3, 4)), edges="0.5 300 700.0 +Inf"
        )
    query = Buckets("seconds_bucket", version="version", unit=ms(1))

    assert world.stable(0, 1, query, LATENCY) == Histogram(
        edges=(0.0005, 0.3, 0.7), cumulative=(1, 2, 3, 4)
    )


def test_a_restart_is_seen_by_any_bucket_that_falls(world: World) -> None:
    """Each for itself, 0.1 would have risen from 5 to 7: two of what were seven."""
    world.observe(0, 5, 60, 100)
    world.observe(1, 7, 8, 8)

    assert world.stable(0, 1, BUCKETS, LATENCY) == Histogram(edges=(0.1, 0.5), cumulative=(7, 8, 8))


def test_buckets_that_are_stored_twice_are_counted_once(world: World) -> None:
    for second in (0, 1, 1):
        world.observe(second, second, second, second)

    assert world.stable(0, 1, BUCKETS, LATENCY) == Histogram(edges=(0.1, 0.5), cumulative=(1, 1, 1))


def test_edges_written_in_two_ways_are_the_same_bucket(world: World) -> None:
    for second in range(2):
        world.observe(second, second, second, second, edges="0.1 1 +Inf")
        world.observe(second, second, second, second, edges="0.10 1.0 +Inf", instance="b:80")

    assert world.stable(0, 1, BUCKETS, LATENCY) == Histogram(edges=(0.1, 1.0), cumulative=(2, 2, 2))


def test_instances_with_different_buckets_are_added_up_at_the_edges_that_all_have(
    world: World,
) -> None:
    """Below an edge that both have, both counts are exact."""
    for second in range(2):
        world.observe(second, second, 2 * second, 3 * second)
        world.observe(second, second, 4 * second, 9 * second, edges="0.1 0.7 +Inf", instance="b:80")
        world.observe(
            second, second, second, second, edges="1 2 +Inf", version="v2", instance="c:80"
        )
    look = world.look(0, 1, BUCKETS, LATENCY)

    assert look.of(Track.STABLE) == Histogram(edges=(0.1,), cumulative=(2, 12))
    assert look.of(Track.CANDIDATE) == Histogram(edges=(1.0, 2.0), cumulative=(1, 1, 1))


def test_instances_without_a_bucket_in_common_are_no_answer(world: World) -> None:
    for second in range(2):
        world.observe(second, second, second, second)
        world.observe(second, second, second, second, edges="0.2 0.7 +Inf", instance="b:80")

    assert world.stable(0, 1, BUCKETS, LATENCY) == NoAnswer(
        "the instances of one version have no bucket of seconds_bucket in common, so nothing can "
        "be added up: 0.1, 0.5 and 0.2, 0.7"
    )


def test_buckets_that_are_replaced_under_way_leave_those_that_stayed(world: World) -> None:
    for second in range(5):
        world.observe(second, 5 + second, 7 + second, 9 + second)
    for second in range(5, 9):
        world.observe(second, second - 4, second - 4, 2 * (second - 4), edges="0.1 0.4 +Inf")

    assert world.stable(2, 8, BUCKETS, LATENCY) == Histogram(
        edges=(0.1,), cumulative=(2 + 4, 2 + 8)
    )


@pytest.mark.parametrize(
    ("edges", "counts", "said"),
    [
        ("0.1 0.5", [(0, 0), (1, 1)], 'no bucket with le="+Inf"'),
        (
            "+Inf",
            [(0,), (1,)],
            "have no bucket of seconds_bucket in common, so nothing can be added up: none",
        ),
        ("0.1 0.10 +Inf", [(0, 0, 0), (1, 1, 1)], "two buckets that end at 0.1"),
        ("0.1 fast +Inf", [(0, 0, 0), (1, 1, 1)], "le='fast', which is no upper edge"),
        ("0.1 0.5 +Inf", [(0, 0, 0), (3, 2, 1)], "fall where they must rise"),
        (
            "0.1 0.5 +Inf",
            [(0, 0, 0), (1, 1, "NaN")],
            "some buckets of seconds_bucket have samples that others lack",
        ),
    ],
)
def test_buckets_that_make_no_sense_are_no_answer(
    world: World, edges: str, counts: list[tuple[Any, ...]], said: str
) -> None:
    for second, each in enumerate(counts):
        world.observe(second, *each, edges=edges)
    found = world.stable(0, 1, BUCKETS, LATENCY)

    assert isinstance(found, NoAnswer)
    assert said in found.why


def test_a_histogram_is_silent_like_a_counter(world: World) -> None:
    for second in range(-5, 5):
        world.observe(second, 7, 7, 7)
        world.observe(second, 9 + second, 9 + second, 9 + second, version="v2", instance="b:80")
    world.observe(5, 7, 7, 7)

    assert world.stable(0, 5, BUCKETS, LATENCY) == NoData("no requests")
    assert world.look(0, 5, BUCKETS, LATENCY).of(Track.CANDIDATE).sample == 4
    assert "no sample of" in world.stable(20, 30, BUCKETS, LATENCY).why


# ------------------------------------------------------------------------------------------- values


def test_a_rate_is_taken_between_samples_and_is_zero_only_for_a_version_that_is_scraped(
    world: World,
) -> None:
    for second in range(-5, 11):
        world.scrape(second, "a:80", _200=4 * second + 20)
        world.scrape(second, "b:80", "v2", _200=3)

    assert world.look(0.5, 9.9, Rate(REQUESTS), REQUEST_RATE).tracks == (
        (Track.CANDIDATE, Gauge(samples=(0.0,))),
        (Track.STABLE, Gauge(samples=(4.0,))),
    )
    assert world.stable(2.9, 3.1, Rate(REQUESTS), REQUEST_RATE) == Gauge(samples=(4.0,))
    assert isinstance(world.stable(2.1, 2.9, Rate(REQUESTS), REQUEST_RATE), NoData)
    assert isinstance(world.stable(30, 40, Rate(REQUESTS), REQUEST_RATE), NoData)


def test_a_rate_leaves_a_scrape_gap_out(world: World) -> None:
    world.scrape(-60, _200=0)
    world.scrape(3, _200=60_000)
    world.scrape(5, _200=60_010)

    assert world.stable(0, 5, Rate(REQUESTS), REQUEST_RATE) == Gauge(samples=(5.0,))


def test_a_rate_begins_one_scrape_before_what_is_born(world: World) -> None:
    world.scrape(3, _200=10)
    world.scrape(4, _200=20)

    assert world.stable(0, 4, Rate(REQUESTS), REQUEST_RATE) == Gauge(samples=(10.0,))


def vector(*values: Any, **more: Any) -> bytes:
    result = [
        {"metric": {"n": str(i)}, "value": [1_795_435_200, value]} for i, value in enumerate(values)
    ]
    return json.dumps(
        {"status": "success", "data": {"resultType": "vector", "result": result}, **more}
    ).encode()


def other(kind: str, result: Any) -> bytes:
    return json.dumps(
        {"status": "success", "data": {"resultType": kind, "result": result}}
    ).encode()


def asked(body: bytes, query: Any = None, metric: Metric = QUEUE) -> Any:
    """What the provider makes of an answer for stable."""
    provider = scraping(query or PromQL('max(depth{version="{backend}"})'), metric)
    flow = provider._measure(
        RELEASE, metric, (Track.STABLE,), Window(START, START + seconds(30)), None
    )
    return feed(flow, lambda _: Response(body=body)).of(Track.STABLE)


@rule("R13", "R16")
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (vector("12.5"), Gauge(samples=(12.5,))),
        (vector("1e+06"), Gauge(samples=(1e6,))),
        (vector("0"), Gauge(samples=(0.0,))),
        (other("scalar", [1_795_435_200.5, "3"]), Gauge(samples=(3.0,))),
        (vector("3", infos=["metric might not be a counter"]), Gauge(samples=(3.0,))),
        (vector(), NoData("the query found nothing (an empty result)")),
        (
            vector("NaN"),
            NoData("the query answers NaN, which is no number (nothing divided by nothing?)"),
        ),
        (
            vector("+Inf"),
            NoData("the query answers +inf, which is no number (something divided by nothing?)"),
        ),
        (
            vector("-Inf"),
            NoData("the query answers -inf, which is no number (something divided by nothing?)"),
        ),
        (
            other("scalar", [0, "NaN"]),
            NoData("the query answers NaN, which is no number (nothing divided by nothing?)"),
        ),
        (
            vector("1", "2"),
            NoAnswer("the query answers 2 series, more than one: aggregate it, such as sum(...)"),
        ),
        (
            other("matrix", [{"metric": {}, "values": [[0, "1"]]}]),
            NoAnswer(
                "the query answers a matrix, not one number; for a range use something like "
                "max_over_time(...)"
            ),
        ),
        (
            other("string", [0, "hello"]),
            NoAnswer(
                "the query answers a string, not one number; for a range use something like "
                "max_over_time(...)"
            ),
        ),
        (
            other("vector", [{"metric": {}, "histogram": [0, {"count": "1"}]}]),
            NoAnswer(
                "the query answers a native histogram, not one number; take a part of it, such as "
                "histogram_count(...)"
            ),
        ),
        (
            vector("3", warnings=["No StoreAPIs matched", "remote_read: timeout"]),
            NoAnswer(
                "the answer is not complete; the server warns: No StoreAPIs matched; remote_read: "
                "timeout"
            ),
        ),
        (
            vector("3", isPartial=True),
            NoAnswer(
                "the answer is not complete: the server says isPartial (a part of its storage did "
                "not answer)"
            ),
        ),
        (vector("3", isPartial=False, warnings=[]), Gauge(samples=(3.0,))),
    ],
)
def test_every_answer_to_a_query_of_ones_own_is_mapped_on_purpose(
    body: bytes, expected: Any
) -> None:
    assert asked(body) == expected


@rule("R13")
@pytest.mark.parametrize("words", [{"warnings": ["one store is down"]}, {"isPartial": True}])
def test_a_part_of_the_samples_is_no_answer_for_any_track(
    world: World, words: dict[str, Any]
) -> None:
    for second in range(3):
        world.scrape(second, _200=second)
    world.server.also = words
    look = world.look(0, 2)

    assert [type(measured) for _, measured in look.tracks] == [NoAnswer, NoAnswer]
    assert look.query.startswith("requests_total{")


def test_native_histograms_are_named_as_what_they_are() -> None:
    body = other(
        "matrix", [{"metric": {"__name__": "seconds"}, "histograms": [[0, {"count": "1"}]]}]
    )

    assert "native histogram" in asked(body, BUCKETS, LATENCY).why


@rule("R19")
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"status": "success"}',
        b'{"status": "success", "data": {"resultType": "vector", "result": {}}}',
        b'{"status": "success", "data": {"resultType": "vector", "result": [1]}}',
        b'{"status": "success", "data": {"resultType": "vector", "result": [{"value": [1, 2]}]}}',
        (
            b'{"status": "success", "data": {"resultType": "vector", "result": [{"value": [1, '
            b'"many"]}]}}'
        ),
        (
            b'{"status": "success", "data": {"resultType": "vector", "result": [{"value": ["1", '
            b'"2"]}]}}'
        ),
        (
            b'{"status": "success", "data": {"resultType": "vector", "result": [{"value": [true, '
            b'"2"]}]}}'
        ),
        b'{"status": "success", "data": {"resultType": "scalar", "result": [NaN, "2"]}}',
    ],
)
def test_an_answer_of_another_shape_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        asked(body)


@pytest.mark.parametrize(
    "result",
    [
        [{"metric": {}, "values": []}],
        [{"metric": {"__name__": 5}, "values": []}],
        [{"metric": {"__name__": "requests_total"}}],
        [{"metric": {"__name__": "requests_total"}, "values": [[1]]}],
    ],
)
def test_samples_of_another_shape_are_malformed(result: Any) -> None:
    with pytest.raises(Malformed):
        asked(other("matrix", result), RATIO, ERRORS)
    with pytest.raises(Malformed):
        asked(other("scalar", [0, "1"]), RATIO, ERRORS)


@rule("R19")
@pytest.mark.parametrize(
    ("kind", "failure"),
    [
        ("bad_data", Failure.PERMANENT),
        ("execution", Failure.PERMANENT),
        ("timeout", Failure.TRANSIENT),
        ("unavailable", Failure.TRANSIENT),
    ],
)
def test_an_error_comes_in_the_servers_words(kind: str, failure: Failure) -> None:
    body = json.dumps({"status": "error", "errorType": kind, "error": "what is\nwrong"}).encode()

    with pytest.raises(MetricsError, match=f"{kind}: what is wrong") as caught:
        asked(body)
    assert caught.value.failure is failure


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
    assert world.server.queries == ['requests_total{version=~"v1|v2"}[9s]']
    assert look.query == f'requests_total{{version=~"v1|v2"}}[9s]  # time={ZERO // 1000 + 3}.000'


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
    window = Window(START, START + ms(1500))
    request = next(
        scraping(Ratio(events=failures, total=requests), ERRORS)._measure(
            RELEASE, ERRORS, (Track.CANDIDATE,), window, None
        )
    )

    assert request.content is not None
    assert (
        b"query=%7B__name__%3D~%22failures_total%7Crequests_total%22"
        b"%2Cjob%3D%22shop%22%2Cv%3D%22v2%22%7D%5B7500ms%5D&" in request.content
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
        world.server.queries[0] == 'requests_total{app="shop",pod=~"shop-1\\\\.0|shop-1\\\\.1"}[7s]'
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


def test_other_buckets_are_another_question_and_none_yet_are_no_question(world: World) -> None:
    """Measurements with other buckets can't be added up; an empty fingerprint changes nothing."""
    for second in range(4):
        world.observe(
            second,
            second,
            second,
            second,
            edges="1 2 +Inf" if second < 2 else "1 3 +Inf",
            instance=f"{second // 2}",
        )
        world.observe(
            second,
            second,
            second,
            second,
            edges="1 2 +Inf" if second < 2 else "1 3 +Inf",
            version="v2",
            instance="b",
        )
    before, after = (world.look(begin, begin + 0.5, BUCKETS, LATENCY) for begin in (0.5, 20))

    assert before.fingerprint not in ("", fingerprint(BUCKETS, LATENCY))
    assert (after.fingerprint, fingerprint(BUCKETS, LATENCY)) == ("", "")
    assert world.look(0.5, 3, BUCKETS, LATENCY).fingerprint != before.fingerprint


# ----------------------------------------------------------------------------- queries of one's own


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ('max(depth{version="{backend}"})', 'max(depth{version="a.b"})'),
        ("max(depth{version='{backend}'})", "max(depth{version='a.b'})"),
        ('max(depth{version=~"{backend}-.*"})', 'max(depth{version=~"a\\\\.b-.*"})'),
        ('max(depth{version !~ "{backend}"})', 'max(depth{version !~ "a\\\\.b"})'),
        (
            'sum(rate(x{app="{service}", v="{version}", path="/{id}"}[{window}]))',
            'sum(rate(x{app="shop", v="1.0", path="/{id}"}[30s]))',
        ),
        ('# of "{backend}\nmax(x{v="{backend}"})', '# of "{backend}\nmax(x{v="a.b"})'),
        ('max(x{a=`{}`, v="{backend}"})', 'max(x{a=`{}`, v="a.b"})'),
        ('max(x{a="\\"", v="{backend}"})', 'max(x{a="\\"", v="a.b"})'),
    ],
)
def test_placeholders_are_filled_where_they_stand(template: str, expected: str) -> None:
    release = Release(service="shop", stable=Version("1.0", backend="a.b"), candidate=Version("x"))
    flow = scraping(PromQL(template), QUEUE)._measure(
        release, QUEUE, (Track.STABLE,), Window(START, START + seconds(30)), None
    )
    look = feed(flow, lambda _: Response(body=vector("1")))

    assert look.query == f"{expected}  # time={ZERO // 1000 + 30}.000"


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("max(depth)", 'name the version, such as with version="{backend}"'),
        ('max(depth{app="{service}"})', "it is the same for every version"),
        ("max(depth{version={backend}})", "{backend} must stand within quotes"),
        ("max(depth{version=`{backend}`})", "a placeholder in backticks can't be escaped"),
        ('max(depth{version="{backend}})', 'a quote " is not closed'),
        (
            'max(rate(depth{version="{backend}", w="{window}"}[1m]))',
            "{window} is a duration; it must stand outside of quotes",
        ),
    ],
)
def test_a_query_that_can_not_be_filled_is_refused_when_it_is_written(
    template: str, said: str
) -> None:
    with pytest.raises(StrategyError, match=re.escape(said)):
        PromQL(template)


@pytest.mark.parametrize(
    "pattern",
    [
        "5..",
        "[45]..",
        "2..|3..",
        "(?:GET|POST)",
        "a{2,3}b?",
        r"\d+\.\w*?",
        r"/api/[^/]+/\-",
        "",
        "[a-z.-]+",
    ],
)
def test_patterns_that_mean_the_same_here_and_there_are_taken(pattern: str) -> None:
    assert Regex(pattern).pattern == pattern


@pytest.mark.parametrize(
    "pattern",
    [
        "^5..$",
        "(?i)get",
        r"\bget",
        r"\s",
        r"(a)\1",
        "(?=a)",
        "a**",
        "a*+",
        "[[:alpha:]]",
        "[a&&b]",
        "[+--]",
        "(",
        "a{2}{3}",
        "(?P<n>a)",
        r"\Z",
    ],
)
def test_patterns_that_could_mean_two_things_are_refused(pattern: str) -> None:
    with pytest.raises(StrategyError, match="Regex"):
        Regex(pattern)


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
            lambda: Counter("x", version="v", labels={"a-b": "c"}),
            "'a-b' is not the name of a label",
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
