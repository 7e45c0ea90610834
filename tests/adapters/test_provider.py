"""What every provider refuses, and what it never shows."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from tests.support.business import (
    CANARY,
    COLOURS,
    COUNT,
    INSIDE,
    MEAN,
    RATIO,
    SPREAD,
    VALUE,
    failing,
    look,
    slowly,
)
from tests.support.reporting_api import BOUNDS, FAILED
from tests.support.rules import rule

from progressive.errors import StrategyError
from progressive.metrics.function import Function
from progressive.metrics.json_http import Endpoint, JsonHttp
from progressive.metrics.sql import Query, Sql
from progressive.model.measurement import Metric


@rule("R37")
def test_a_provider_never_shows_how_it_connects() -> None:
    sql = Sql(
        partial(sqlite3.connect, f"postgresql://shop:{CANARY}@db"), {RATIO: Query(COUNT + INSIDE)}
    )
    function = Function({RATIO: partial(lambda token, release, version, window: (0, 1), CANARY)})
    with pytest.raises(StrategyError) as refused:
        Sql(f"postgresql://shop:{CANARY}@db", {RATIO: Query(COUNT + INSIDE)})
    with pytest.raises(StrategyError) as refused_too:
        Function({RATIO: CANARY})  # type: ignore[dict-item]

    assert (
        CANARY
        not in repr(sql)
        + repr(function)
        + repr(refused.value)
        + repr(refused_too.value)
        + look(function, RATIO).query
    )


# ------------------------------------------------------------------------------- wrong descriptions


FINE = (
    "select count(*), count(*) from orders where version = :version and at >= :start and at < :end"
)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: Sql(connect, {}),
            (
                "Sql.metrics: give a mapping of metrics to what they are, such as {ORDERS: "
                "Query('select ...')}"
            ),
        ),
        (
            lambda: Sql(connect, {RATIO: FINE}),
            "Sql.metrics[failed-orders]: str(...) is no Query('select ...')",
        ),  # type: ignore[dict-item]
        (
            lambda: Sql(connect, {"orders": Query(FINE)}),
            "Sql.metrics: 'orders' is no Metric; write Metric('orders', kind='ratio')",
        ),  # type: ignore[dict-item]
        (
            lambda: Sql(sqlite(), {RATIO: Query(FINE)}),
            "Sql.connect: a Connection is no function that opens a connection",
        ),  # type: ignore[arg-type]
        (
            lambda: Sql(connect, {RATIO: Query(FINE)}, paramstyle="dollar"),
            "Sql.paramstyle: 'dollar' is not one of 'named', 'pyformat'",
        ),
        (
            lambda: Sql(connect, {SPREAD: Query(FINE)}),
            "Sql.metrics[delivery]: a latency is a histogram, which no row of numbers is",
        ),
        (
            lambda: Query(FINE, times="epoch"),
            "Query.times: 'epoch' is not one of 'datetime', 'iso', 'unix', 'unix_ms'",
        ),
        (lambda: Query(7), "Query.text: 7 is no str"),  # type: ignore[arg-type]
        (
            lambda: Sql(connect, {RATIO: Query(FINE.replace(":start", ":begin"))}),
            ":begin is not known; there are :service, :version, :backend",
        ),
        (
            lambda: Sql(connect, {RATIO: Query(FINE.replace(":start", "':start'"))}),
            "it counts what is outside of the window too; bound it by :start",
        ),
        (
            lambda: Sql(connect, {RATIO: Query(FINE.replace("= :version", "= 'v2'"))}),
            "is the same for every version; name the version, with :version",
        ),
        (
            lambda: Sql(connect, {VALUE: Query("select max(n) from queue")}),
            "it is the same for every version",
        ),
        (
            lambda: Sql(connect, {RATIO: Query("-- select\n delete from orders")}),
            "it does not begin with select",
        ),
        (
            lambda: Sql(connect, {RATIO: Query(f"with gone as ({FINE}) Delete from orders")}),
            "there is the word 'Delete' in it; a metric is only read",
        ),
        (lambda: Sql(connect, {RATIO: Query(FINE + " and a = 'it")}), "' is not closed"),
        (
            lambda: Sql(connect, {RATIO: Query(FINE + r" and a = 'it\'s'")}),
            "a backslash before a quote is read in two ways",
        ),
        (lambda: Function({}), "Function.metrics: give a mapping of metrics"),
        (
            lambda: Function({Metric("orders", kind="ratio", counter=True): slowly}),
            "has counter=True, which is for systems without history",
        ),
        (
            lambda: Function({RATIO: slowly, Metric("failed-orders", kind="value"): slowly}),
            "'failed-orders' stands for two metrics",
        ),
        (
            lambda: json_http(RATIO, "/s", params=BOUNDS, value="n"),
            "a ratio has the paths events=, trials=; value= was given",
        ),
        (
            lambda: json_http(MEAN, "/s", params=BOUNDS),
            "a mean has the paths n=, sum=, squares=; none of them was given",
        ),
        (
            lambda: json_http(SPREAD, "/s", params=BOUNDS, value="n"),
            "a latency is a histogram, which has no path",
        ),
        (lambda: json_http(VALUE, "s?v={version}", value="n"), "must start with /"),
        (
            lambda: json_http(VALUE, "/s", value="n"),
            "it is the same for every version; name the version, with {version} or {backend}",
        ),
        (
            lambda: json_http(RATIO, "/s/{version}", events="e", trials="t"),
            "bound it by {start} (included) and {end} (not included)",
        ),
        (
            lambda: json_http(VALUE, "/s/{version}/{namespace}", value="n"),
            "{namespace} is not known",
        ),
        (
            lambda: json_http(VALUE, "/s", params={"q": "x{version"}, value="n"),
            "'x{version' has a brace that belongs to no name",
        ),
        (
            lambda: json_http(VALUE, "/s", params={"q": 'version="{version}"'}, value="n"),
            "is a query in a language of its own",
        ),
        (
            lambda: json_http(VALUE, "/s/{version}", times="datetime", value="n"),
            "an address has no datetimes",
        ),
        (
            lambda: json_http(VALUE, "/s/{version}", params={"api_key": "x"}, value="n"),
            "'api_key' is a credential, and addresses are logged",
        ),
        (
            lambda: json_http(VALUE, "/s/{version}", params={"n": 5}, value="n"),
            "Endpoint.params['n']: 5 is no str",
        ),
    ],
)
def test_a_description_that_can_not_work_is_refused_with_its_mend(
    make: Callable[[], object], said: str
) -> None:
    with pytest.raises(StrategyError) as refused:
        make()

    assert said in str(refused.value)


def test_a_value_may_be_a_level_of_now_without_a_window() -> None:
    assert Sql(
        connect, {VALUE: Query("select max(n) from queue where version = :version")}
    ).metrics == (VALUE,)
    assert json_http(VALUE, "/queue/{backend}", value="").metrics == (VALUE,)


@pytest.mark.parametrize(
    "provider",
    [
        Sql(lambda: None, {RATIO: Query(FINE)}),
        Function({RATIO: slowly}),
        JsonHttp("http://127.0.0.1:9", {RATIO: FAILED}),
    ],
)
@pytest.mark.parametrize("colour", COLOURS)
def test_a_metric_that_was_not_declared_is_named_with_those_that_were(
    provider: Any, colour: str
) -> None:
    name = type(provider).__name__

    assert (
        str(failing(provider, VALUE, colour)) == f"{name} answers for failed-orders; not for queue"
    )


def connect() -> Any:
    raise AssertionError("a description connects to nothing")


def sqlite() -> sqlite3.Connection:
    return UNUSED


UNUSED = sqlite3.connect(":memory:")
UNUSED.close()


def json_http(metric: Metric, path: str, **endpoint: Any) -> JsonHttp:
    return JsonHttp("http://127.0.0.1:9", {metric: Endpoint(path, **endpoint)})
