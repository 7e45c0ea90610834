"""Numbers out of any JSON over HTTP."""

from __future__ import annotations

import json
import socket
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.support.business import COLOURS, MEAN, RATIO, VALUE, candidate, failing, look, says
from tests.support.reporting_api import BOUNDS, FAILED, Api
from tests.support.rules import rule

from progressive import seconds
from progressive.errors import Failure, StrategyError
from progressive.metrics.json_http import Endpoint, Http, JsonHttp
from progressive.model.measurement import Counts, Gauge, Metric, Moments, NoAnswer, NoData
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


# -------------------------------------------------------------------------------- numbers as texts


TEXTS = Endpoint("/stats", params=BOUNDS, texts=True, events="failed", trials="total")
MEANS = Endpoint("/stats", params=BOUNDS, texts=True, n="n", sum="sum", squares="squares")
LEVELS = Endpoint("/stats", params=BOUNDS, texts=True, value="0.value.1")


@rule("R13")
@pytest.mark.parametrize(
    ("metric", "endpoint", "answered", "expected"),
    [
        (RATIO, TEXTS, '{"failed": "7", "total": "599"}', Counts(events=7, trials=599)),
        (RATIO, TEXTS, '{"failed": 7, "total": "599.0"}', Counts(events=7, trials=599)),
        (RATIO, TEXTS, '{"failed": "", "total": ""}', (NoData, "are null")),
        (RATIO, TEXTS, '{"failed": "NaN", "total": "9"}', (NoData, "is NaN")),
        (RATIO, TEXTS, '{"failed": "1.5", "total": "9"}', (NoAnswer, "is 1.5, which is no count")),
        (RATIO, TEXTS, '{"failed": "many", "total": "9"}', (NoAnswer, "is 'many', which is no nu")),
        (MEAN, MEANS, '{"n": "4", "sum": "1e1", "squares": "30"}', Moments(n=4, mean=2.5, m2=5.0)),
        (MEAN, MEANS, '{"n": "0", "sum": "NaN", "squares": "NaN"}', (NoData, "no values")),
        (VALUE, LEVELS, '[{"value": [1795932299, "599"]}]', Gauge(samples=(599.0,))),
        (VALUE, LEVELS, '[{"value": [1795932299, ""]}]', (NoData, "is null")),
        (VALUE, LEVELS, '[{"value": [1795932299, "NaN"]}]', (NoData, "is NaN")),
        (VALUE, LEVELS, '[{"value": [1795932299, "+Inf"]}]', (NoData, "is [+]inf")),
        (VALUE, LEVELS, '[{"value": [1795932299, ["1", " 2.5 "]]}]', Gauge(samples=(1.0, 2.5))),
        (
            VALUE,
            LEVELS,
            '[{"value": [1795932299, "539ms"]}]',
            (NoAnswer, "is '539ms', which is no number; .* cast it where it is made$"),
        ),
        (VALUE, LEVELS, '[{"value": [1, "1e99999"]}]', (NoAnswer, "larger than any number")),
        (VALUE, LEVELS, f'[{{"value": [1, "{"9" * 309}"]}}]', (NoAnswer, "larger than any number")),
        (VALUE, LEVELS, f'[{{"value": [1, "{"9" * 5000}"]}}]', (NoAnswer, "a text of 5000")),
    ],
)
@pytest.mark.parametrize("colour", COLOURS)
def test_an_endpoint_may_say_that_its_numbers_are_texts(
    api: Api, metric: Metric, endpoint: Endpoint, answered: str, expected: Any, colour: str
) -> None:
    """As VictoriaLogs, Loki and PromQL write them: of every kind of metric, in both colours."""
    api.answers = lambda _: answered
    with asking(api.url, metric, endpoint) as provider:
        found = candidate(provider, metric, colour)

    assert says(found, expected), found


def test_where_it_does_not_say_so_a_text_is_no_number_and_the_word_is_told(api: Api) -> None:
    api.answers = lambda _: '{"data": {"failed": "1", "total": "20"}}'
    with asking(api.url, RATIO, FAILED) as provider:
        found = candidate(provider, RATIO)

    assert says(found, (NoAnswer, "write texts=True if all of its numbers are texts"))


def test_what_an_endpoint_means_is_what_it_meant_before_texts(api: Api) -> None:
    """Evidence of a rollout under way goes on."""
    api.answers = lambda _: '{"data": {"failed": 1, "total": 20}}'
    with asking(api.url, RATIO, FAILED) as provider:
        before = look(provider, RATIO).fingerprint
    with asking(api.url, RATIO, attrs.evolve(FAILED, texts=True)) as provider:
        after = look(provider, RATIO).fingerprint

    assert before == "9f6945a4d0641449"
    assert after != before


# ------------------------------------------------------------- what is whole, and what is not there

CLOUDWATCH = Endpoint(
    "/stats", params=BOUNDS, value="Results.0.Values", complete=("Results.0.StatusCode", "Complete")
)
ELASTIC = Endpoint(
    "/stats",
    params=BOUNDS,
    events="aggregations.failed.doc_count",
    trials="hits.total.value",
    complete=("hits.total.relation", "eq"),
)
INFLUX = Endpoint(
    "/stats", params=BOUNDS, value="results.0.series.0.values.0.1", absent_means_none=True
)
COUNTED = Endpoint("/stats", params=BOUNDS, n="n", value="max")


@rule("R13")
@pytest.mark.parametrize(
    ("metric", "endpoint", "answered", "expected"),
    [
        (
            VALUE,
            CLOUDWATCH,
            '{"Results": [{"StatusCode": "Complete", "Values": [3, 4.5]}]}',
            Gauge(samples=(3.0, 4.5)),
        ),
        (
            VALUE,
            CLOUDWATCH,
            '{"Results": [{"StatusCode": "PartialData", "Values": [3]}]}',
            (
                NoAnswer,
                r"is not whole: \$\.Results\.0\.StatusCode is 'PartialData', not 'Complete'",
            ),
        ),
        (
            VALUE,
            CLOUDWATCH,
            '{"Results": [{"Values": [3]}]}',
            (NoAnswer, "where it says whether it is whole"),
        ),
        (
            RATIO,
            ELASTIC,
            (
                '{"hits": {"total": {"value": 10000, "relation": "gte"}}, '
                '"aggregations": {"failed": {"doc_count": 900}}}'
            ),
            (NoAnswer, "is 'gte', not 'eq'"),
        ),
        (
            RATIO,
            ELASTIC,
            (
                '{"hits": {"total": {"value": 900, "relation": "eq"}}, '
                '"aggregations": {"failed": {"doc_count": 9}}}'
            ),
            Counts(events=9, trials=900),
        ),
        (
            VALUE,
            attrs.evolve(COUNTED, complete=("partial", False)),
            '{"n": 1, "max": 2, "partial": 0}',
            (NoAnswer, "is not whole"),
        ),
        (
            VALUE,
            INFLUX,
            '{"results": [{"statement_id": 0}]}',
            (NoData, r"no \$\.results\.0\.series"),
        ),
        (
            VALUE,
            INFLUX,
            '{"results": [{"statement_id": 0, "error": "database not found: shop"}]}',
            (NoAnswer, "but an error: 'database not found: shop'"),
        ),
        (VALUE, INFLUX, '{"errors": ["no"]}', (NoAnswer, "but an error: .*no")),
        (VALUE, INFLUX, '{"results": 7}', (NoData, "there is no")),
        (
            VALUE,
            INFLUX,
            '{"results": [{"series": [{"values": [["2026", 7]]}]}]}',
            Gauge(samples=(7.0,)),
        ),
        (VALUE, COUNTED, '{"n": 0, "max": 0}', (NoData, "n is 0, so it is a value of nothing")),
        (VALUE, COUNTED, '{"n": null, "max": 0}', (NoData, "a value of nothing")),
        (VALUE, COUNTED, '{"n": 4, "max": 0}', Gauge(samples=(0.0,))),
        (VALUE, COUNTED, '{"n": 4, "max": [1, 2]}', Gauge(samples=(1.0, 2.0))),
        (VALUE, COUNTED, '{"n": 1.5, "max": 2}', (NoAnswer, "is 1.5, which is no count")),
        (VALUE, COUNTED, '{"n": 4, "max": null}', (NoData, r"value \(at \$\.max\) is null")),
    ],
)
@pytest.mark.parametrize("colour", COLOURS)
def test_an_answer_may_say_that_it_is_not_whole_or_is_of_nothing(
    api: Api, metric: Metric, endpoint: Endpoint, answered: str, expected: Any, colour: str
) -> None:
    api.answers = lambda _: answered
    with asking(api.url, metric, endpoint) as provider:
        found = candidate(provider, metric, colour)

    assert says(found, expected), found


@pytest.mark.parametrize("given", ["status", ("status",), (1, 2), ("status", None), ["a", "b"]])
def test_what_is_no_path_with_its_value_is_refused(given: Any) -> None:
    with pytest.raises(StrategyError, match=r"write complete=\('status', 'Complete'\)"):
        Endpoint("/stats", value="v", complete=given)


def test_what_an_endpoint_means_is_what_it_meant_before_it_could_say_more(api: Api) -> None:
    api.answers = lambda _: '{"data": {"failed": 1, "total": 20}}'
    with asking(api.url, RATIO, attrs.evolve(FAILED, absent_means_none=True)) as provider:
        assert look(provider, RATIO).fingerprint != "9f6945a4d0641449"


# ----------------------------------------------------------------------------------------- secrets


@pytest.mark.parametrize(
    "name",
    [
        "key",
        "access_key",
        "accessKey",
        "client_secret",
        "x-api-key",
        "X-API-Key",
        "jwt",
        "sig",
        "token",
        "id_token",
        "X-Amz-Signature",
        "X-Amz-Credential",
        "subscription-key",
        "passwd",
    ],
)
def test_a_parameter_that_is_called_like_a_credential_is_refused(name: str) -> None:
    with pytest.raises(StrategyError, match="is a credential, and addresses are logged"):
        Endpoint("/stats", params={name: "abc"}, value="x")


@pytest.mark.parametrize(
    "name", ["sort_key", "partitionKey", "page_token", "nextPageToken", "author", "design", "keys"]
)
def test_other_parameters_are_taken(name: str) -> None:
    assert Endpoint("/stats", params={name: "abc"}, value="x").params == ((name, "abc"),)
