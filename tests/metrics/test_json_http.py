"""Numbers out of any JSON over HTTP."""

from __future__ import annotations

import json
import socket
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.support.business import COLOURS, RATIO, candidate, failing, look, says
from tests.support.reporting_api import BOUNDS, FAILED, Api
from tests.support.rules import rule

from progressive import seconds
from progressive.errors import Failure, StrategyError
from progressive.metrics.json_http import Endpoint, Http, JsonHttp
from progressive.model.measurement import Counts, Metric, NoAnswer, NoData
from progressive.model.traffic import Track


@contextmanager
def asking(url: str, metric: Metric, endpoint: Endpoint) -> Iterator[JsonHttp]:
    with JsonHttp(Http(url, deadline=seconds(1)), {metric: endpoint}) as provider:
        yield provider


@pytest.mark.parametrize("colour", COLOURS)
def test_a_reporting_api_is_asked_once_for_each_version_in_the_window(
    api: Api, colour: str
) -> None:
    numbers = {"v1": (1, 100), "v2": (7, 90)}
    api.answers = lambda query: json.dumps(
        {"data": dict(zip(("failed", "total"), numbers[query["version"]], strict=True))}
    )
    with asking(api.url, RATIO, FAILED) as provider:
        found = look(provider, RATIO, colour=colour)

    assert (found.of(Track.STABLE), found.of(Track.CANDIDATE)) == (
        Counts(events=1, trials=100),
        Counts(events=7, trials=90),
    )
    assert api.asked == [
        f"/stats?version={version}&from=2026-11-23T12%3A00%3A00.250Z"
        "&to=2026-11-23T12%3A01%3A00.250Z"
        for version in ("v1", "v2")
    ]
    assert found.query == "\n".join(f"GET {target}" for target in api.asked)


@pytest.mark.parametrize(
    ("times", "start", "end"),
    [("unix", "1795435200.25", "1795435260.25"), ("unix_ms", "1795435200250", "1795435260250")],
)
def test_times_are_written_as_the_api_wants_them(
    api: Api, times: str, start: str, end: str
) -> None:
    endpoint = Endpoint(
        "/stats/{start}/{end}", params={"b": "{backend}"}, times=times, events="e", trials="t"
    )
    api.answers = lambda _: '{"e": 0, "t": 1}'
    with asking(api.url, RATIO, endpoint) as provider:
        candidate(provider, RATIO)

    assert api.asked[-1] == f"/stats/{start}/{end}?b=shop-2"


@rule("R13")
@pytest.mark.parametrize(
    ("answered", "expected"),
    [
        ('{"data": {"failed": 1, "total": 20, "more": true}}', Counts(events=1, trials=20)),
        (
            '{"data": {"failed": 1}}',
            (
                NoAnswer,
                (
                    r"there is no \$\.data\.total in the answer; "
                    "correct the path, or let the system answer null"
                ),
            ),
        ),
        ('{"data": {}}', (NoAnswer, r"there is no \$\.data\.failed")),
        ("{}", (NoAnswer, r"there is no \$\.data ")),
        ('{"data": 7}', (NoAnswer, r"there is no \$\.data\.failed")),
        (
            '{"data": null}',
            (NoData, r"events \(at \$\.data\.failed\) and trials \(at \$\.data\.total\) are null"),
        ),
        ("null", (NoData, "are null")),
        ('{"data": []}', (NoData, "are null")),
        ("[]", (NoData, "are null")),
        ('{"data": {"failed": null, "total": 20}}', (NoAnswer, "is null, but trials")),
        (
            '{"data": {"failed": "1", "total": "20"}}',
            (
                NoAnswer,
                r"trials \(at \$\.data\.total\) is '20', which is no number; a number in quotes",
            ),
        ),
        (
            '{"data": {"failed": false, "total": true}}',
            (NoAnswer, r"trials \(at \$\.data\.total\) is True, which is no number"),
        ),
        ('{"data": {"failed": [1], "total": {}}}', (NoAnswer, "is a dict, which is no number")),
        ('{"data": {"failed": 1, "total": 1e999}}', (NoData, r"is \+inf")),
        ('{"data": {"failed": 1.0, "total": 2e1}}', Counts(events=1, trials=20)),
        (404, (NoData, "answered 404: it knows nothing of this version")),
        (204, (NoData, "answered 204")),
    ],
)
@pytest.mark.parametrize("colour", COLOURS)
def test_what_an_api_leaves_out_is_never_a_number(
    api: Api, answered: str | int, expected: Any, colour: str
) -> None:
    api.answers = lambda _: answered
    with asking(api.url, RATIO, FAILED) as provider:
        found = candidate(provider, RATIO, colour)

    assert says(found, expected), found


@rule("R19")
@pytest.mark.parametrize(
    ("answered", "said"),
    [
        ('{"data": {"failed": NaN, "total": 20}}', "NaN is not a number"),
        ('{"data": {"failed": 1, "failed": 0, "total": 20}}', "a name stands twice"),
        ("<html>", "not strict JSON"),
        ("", "not strict JSON"),
        (403, "answered 403"),
        (500, "answered 500"),
    ],
)
@pytest.mark.parametrize("colour", COLOURS)
def test_an_api_that_does_not_answer_json_is_an_error(
    api: Api, answered: str | int, said: str, colour: str
) -> None:
    api.answers = lambda _: answered
    with asking(api.url, RATIO, FAILED) as provider:
        failure = failing(provider, RATIO, colour)

    assert said in str(failure)


def test_an_api_that_is_not_there_is_an_error() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with asking(f"http://127.0.0.1:{free.getsockname()[1]}", RATIO, FAILED) as provider:
            assert failing(provider, RATIO).failure is Failure.TRANSIENT


@rule("R42")
@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    st.text(st.characters(exclude_categories=["Cs"])),
)
@example("../../secrets?x=1", "v2&version=v1")
@example("a/b#c%2e", "{start}\r\nX-Admin: 1")
def test_a_hostile_name_stays_in_its_place_of_the_address(service: str, version: str) -> None:
    names = {"service": service, "version": version, "start": 1, "end": 2}
    endpoint = Endpoint("/stats/{service}/orders", params=BOUNDS, events="e", trials="t")
    if service in (".", ".."):
        with pytest.raises(StrategyError, match="can't be part of an address"):
            endpoint.request(names)
        return
    parts = urllib.parse.urlsplit(endpoint.request(names).target)

    assert [urllib.parse.unquote(part) for part in parts.path.split("/")] == [
        "",
        "stats",
        service,
        "orders",
    ]
    assert urllib.parse.parse_qsl(parts.query, keep_blank_values=True) == [
        ("version", version),
        ("from", "1"),
        ("to", "2"),
    ]
