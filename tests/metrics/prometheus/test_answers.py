"""What a server answers to a query of one's own, and what it means."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

import pytest
from tests.support.rules import rule
from tests.support.scraped import QUEUE, RATIO, RELEASE, START, World, scraping, vector

from progressive.adapters.flow import feed
from progressive.adapters.http import Malformed, Request, Response
from progressive.errors import Failure, MetricsError
from progressive.metrics.prometheus import (
    ERRORS,
    REQUEST_RATE,
    Counter,
    PromQL,
    Rate,
    Ratio,
)
from progressive.model.measurement import Counts, Gauge, Metric, NoAnswer, NoData, Window
from progressive.model.traffic import Track
from progressive.model.units import seconds


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


@rule("R13")
@pytest.mark.parametrize(
    ("warnings", "said"),
    [
        (["PromQL info: metric might not be a counter"], None),
        (
            ['PromQL warning: bucket label "le" is missing or has a malformed value'],
            "the query asks for something else than it seems; correct it. The server warns: PromQL",
        ),
        (
            ["encountered a mix of histograms and floats for metric name"],
            "the query asks for something else than it seems; correct it. The server warns: enc",
        ),
        (["results truncated due to limit"], "the answer is not complete; the server warns: resul"),
        (
            ["PromQL info: of no meaning", "PromQL warning: a", "store is down"],
            "the answer is not complete; the server warns: PromQL warning: a; store is down",
        ),
    ],
)
@pytest.mark.parametrize("counts", [True, False])
def test_only_what_says_that_a_part_did_not_answer_is_incomplete(
    world: World, warnings: list[str], said: str | None, counts: bool
) -> None:
    """For counts and for a query of one's own."""
    for second in range(2):
        world.scrape(second, _200=second)
    world.server.also = {"warnings": warnings}
    found = world.stable(0, 1) if counts else asked(vector("3", warnings=warnings))

    if said is None:
        assert found in (Counts(events=0, trials=1), Gauge(samples=(3.0,)))
    else:
        assert isinstance(found, NoAnswer)
        assert found.why.startswith(said)


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize(
    ("query", "metric"),
    [
        (Rate(Counter("seconds_count", version="version")), REQUEST_RATE),
        (
            Ratio(
                events=Counter("seconds_count", version="version").where(code="500"),
                total=Counter("seconds_count", version="version"),
            ),
            ERRORS,
        ),
    ],
    ids=["rate", "ratio"],
)
def test_a_version_whose_histogram_is_native_is_named(
    query: Any, metric: Metric, version: str
) -> None:
    """It has no series for its count, whichever the version is."""
    asked_for = []

    def server(request: Request) -> Response:
        query = dict(parse_qsl((request.content or b"").decode()))["query"]
        asked_for.append(query)
        if not query.startswith("seconds{"):
            return Response(body=other("matrix", []))
        labels = {"__name__": "seconds", "version": version}
        return Response(
            body=other("matrix", [{"metric": labels, "histograms": [[0, {"count": "1"}]]}])
        )

    flow = scraping(query, metric)._measure(
        RELEASE, metric, tuple(Track), Window(START, START + seconds(30)), None
    )
    look = feed(flow, server)
    of, beside = (
        (Track.STABLE, Track.CANDIDATE) if version == "v1" else (Track.CANDIDATE, Track.STABLE)
    )

    found = look.of(of)
    assert isinstance(found, NoAnswer)
    assert "seconds is a native histogram" in found.why
    assert isinstance(look.of(beside), NoData)
    assert asked_for[1] == 'seconds{version=~"v1|v2"}[3s]'


def test_native_histograms_in_place_of_counters_are_named_as_what_they_are() -> None:
    body = other(
        "matrix", [{"metric": {"__name__": "seconds"}, "histograms": [[0, {"count": "1"}]]}]
    )

    assert "native histogram" in asked(body, RATIO, ERRORS).why


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
