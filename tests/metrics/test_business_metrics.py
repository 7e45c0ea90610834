"""Business metrics: numbers out of a database, a function of yours, or any JSON over HTTP; and what
they are when they are odd.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
import socket
import sqlite3
import sys
import threading
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
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
from progressive.adapters.rows import MOST_SAMPLES
from progressive.errors import Failure, MetricsError, StrategyError
from progressive.metrics.function import Function
from progressive.metrics.json_http import Endpoint, Http, JsonHttp
from progressive.metrics.sql import Query, Sql
from progressive.model.measurement import (
    Counts,
    Gauge,
    Histogram,
    Look,
    Measurement,
    Metric,
    Moments,
    NoAnswer,
    NoData,
    Window,
)
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

RATIO = Metric("failed-orders", kind="ratio")
MEAN = Metric("basket", kind="mean", unit="EUR")
VALUE = Metric("queue", kind="value")
SPREAD = Metric("delivery", kind="latency")
METRICS = {metric.kind: metric for metric in (RATIO, MEAN, VALUE)}

RELEASE = Release(
    service="shop",
    stable=Version("v1", backend="shop-1"),
    candidate=Version("v2", backend="shop-2"),
)
BOTH = (Track.STABLE, Track.CANDIDATE)
START = datetime(2026, 11, 23, 12, 0, 0, 250_000, tzinfo=UTC)
WINDOW = Window(START, START + timedelta(seconds=60))
CANARY = "s3cr3t-canary"
COLOURS = ("measure", "ameasure")

INSIDE = "version = :version and at >= :start and at < :end"


def look(
    provider: Any,
    metric: Metric,
    *,
    colour: str = "measure",
    release: Release = RELEASE,
    tracks: Sequence[Track] = BOTH,
) -> Look:
    if colour == "measure":
        found: Look = provider.measure(release, metric, tracks, WINDOW, None)
    else:
        found = asyncio.run(provider.ameasure(release, metric, tracks, WINDOW, None))
    return found


def failing(provider: Any, metric: Metric, colour: str = "measure") -> MetricsError:
    with pytest.raises(MetricsError) as caught:
        look(provider, metric, colour=colour)
    assert caught.value.__cause__ is None and caught.value.__context__ is None
    return caught.value


def candidate(provider: Any, metric: Metric, colour: str = "measure") -> Measurement:
    return look(provider, metric, colour=colour).of(Track.CANDIDATE)


# --------------------------------------------------------------- what a row says, in every provider

ODD: list[tuple[str, Any, Measurement | tuple[type, str]]] = [
    # kind, the row, what it is
    ("ratio", (3, 120), Counts(events=3, trials=120)),
    ("ratio", (0, 120), Counts(events=0, trials=120)),
    ("ratio", (3.0, 120.0), Counts(events=3, trials=120)),
    ("ratio", (None, None), (NoData, "events.* and trials.* are null")),
    ("ratio", (0, 0), (NoData, "no trials")),
    ("ratio", (None, 0), (NoData, "no trials")),
    (
        "ratio",
        (None, 120),
        (NoAnswer, r"events.* is null, but trials.* is 120; .*coalesce\(sum\(...\), 0\)"),
    ),
    ("ratio", (3, None), (NoAnswer, "trials.* is null, but events.* is 3")),
    ("ratio", (121, 120), (NoAnswer, "events.* is 121, more than trials.* \\(120\\).*stand first")),
    ("ratio", (-1, 120), (NoAnswer, "events.* is -1, which is no count")),
    ("ratio", (0, -120), (NoAnswer, "trials.* is -120, which is no count")),
    ("ratio", (0.5, 120), (NoAnswer, r"events.* is 0\.5, which is no count")),
    ("ratio", (math.inf, math.inf), (NoData, r"trials.* is \+inf, which is no number")),
    (
        "ratio",
        ("3", "120"),
        (NoAnswer, "trials.* is '120', which is no number; a number in quotes is a text"),
    ),
    ("value", 17, Gauge(samples=(17.0,))),
    ("value", -2.5, Gauge(samples=(-2.5,))),
    ("value", 0, Gauge(samples=(0.0,))),
    ("value", [1, 2.5, 3], Gauge(samples=(1.0, 2.5, 3.0))),
    ("value", None, (NoData, "null|None")),
    ("value", [], (NoData, "no rows")),
    (
        "value",
        [1, None, 3],
        (NoData, "value.* of row 2 is null; leave out samples that are not there"),
    ),
    ("value", -math.inf, (NoData, "value.* is -inf, which is no number")),
    ("value", "17", (NoAnswer, "value.* is '17', which is no number")),
    ("value", "x" * 5000, (NoAnswer, "value.* is a text of 5000 characters, which is no number")),
    ("value", [1] * (MOST_SAMPLES + 1), (NoAnswer, "more than 256 samples")),
    ("mean", (4, 10, 30), Moments(n=4, mean=2.5, m2=5.0)),
    ("mean", (1, 2.5, 6.25), Moments(n=1, mean=2.5, m2=0.0)),
    (
        "mean",
        (10, 1, 0.09999999999999999),
        Moments(n=10, mean=0.1, m2=0.0),
    ),  # a sum of doubles, a last bit too low
    ("mean", (0, None, None), (NoData, "no values")),
    ("mean", (None, None, None), (NoData, "are null")),
    (
        "mean",
        (4, None, None),
        (NoAnswer, "sum.* is null, but n.* is 4; count the values and not the rows"),
    ),
    ("mean", (4, 10, None), (NoAnswer, "squares.* is null, but n.* is 4")),
    ("mean", (None, 10, 30), (NoAnswer, "n.* is null, but sum.* is 10")),
    (
        "mean",
        (4, 30, 10),
        (
            NoAnswer,
            (
                "squares.* is 10, less than 4 values with the sum 30 can have; the order is n, "
                "sum, sum of squares"
            ),
        ),
    ),
    ("mean", (4, 0, -1), (NoAnswer, "squares.* is -1")),
    ("mean", (2.5, 10, 30), (NoAnswer, r"n.* is 2\.5, which is no count")),
]

ONLY_IN_PYTHON: list[tuple[str, Any, Measurement | tuple[type, str]]] = [
    ("ratio", (Decimal(3), Decimal("120.00")), Counts(events=3, trials=120)),
    ("ratio", (Decimal("NaN"), 120), (NoData, "events is NaN")),
    ("ratio", (3, Decimal("sNaN")), (NoData, "trials is NaN")),
    ("ratio", (3, math.nan), (NoData, "trials is NaN")),
    ("ratio", (True, 120), (NoAnswer, "events is True, which is no number")),
    ("ratio", (10**5000, None), (NoAnswer, "trials is null, but events is a int")),
    ("ratio", (0, 2**63), (NoAnswer, "trials is .*, which is no count")),
    ("ratio", (3, 10**5000), (NoAnswer, "trials is larger than any number")),
    ("ratio", (3, 120, 7), (NoAnswer, "a row of 3; a ratio is 2: events, trials")),
    ("ratio", (3,), (NoAnswer, "a row of 1; a ratio is 2: events, trials")),
    ("ratio", (b"3", 120), (NoAnswer, "events is a bytes, which is no number")),
    ("value", Decimal("2.5"), Gauge(samples=(2.5,))),
    ("value", Fraction(5, 2), Gauge(samples=(2.5,))),
    ("value", Decimal("Infinity"), (NoData, r"value is \+inf")),
    ("value", Decimal("1E+999999999"), (NoAnswer, "value is larger than any number")),
    ("value", Decimal("1E-999999999"), Gauge(samples=(0.0,))),
    ("value", 10**4000, (NoAnswer, "value is larger than any number")),
    ("value", math.nan, (NoData, "value is NaN")),
    ("value", [math.nan, 1], (NoData, "value of row 1 is NaN")),
    ("value", True, (NoAnswer, "value is True")),
    ("mean", (4, Decimal("1e308"), Decimal("1e309")), (NoAnswer, "squares is larger")),
    ("mean", (3, Decimal("0.3"), Decimal("0.03")), Moments(n=3, mean=0.1, m2=0.0)),
]


def says(found: Measurement, expected: Measurement | tuple[type, str]) -> bool:
    """Is it that measurement, or one that says why there is none in these words?"""
    if not isinstance(expected, tuple):
        return found == expected

    return (
        isinstance(found, expected[0])
        and re.search(expected[1], str(getattr(found, "why", ""))) is not None
    )


def rows_of(kind: str, row: Any) -> list[Any]:
    return (
        [(each,) for each in (row if isinstance(row, list) else [row])]
        if kind == "value"
        else [row]
    )


@rule("R13", "R16")
@pytest.mark.parametrize(("kind", "row", "expected"), ODD)
@pytest.mark.parametrize("colour", COLOURS)
def test_a_database_never_turns_what_is_missing_or_senseless_into_a_number(
    tmp_path: Path, kind: str, row: Any, expected: Any, colour: str
) -> None:
    rows = rows_of(kind, row)
    shop = database(tmp_path, "create table answers (i integer, a, b, c)")
    with shop() as filling:
        filling.executemany(
            "insert into answers values (?, ?, ?, ?)",
            [(i, *(list(each) + [None] * 3)[:3]) for i, each in enumerate(rows)],
        )
        filling.commit()
    columns = ", ".join("abc"[: len(rows[0])]) if rows else "a"
    provider = Sql(
        shop,
        {
            METRICS[kind]: Query(
                f"select {columns} from answers where :version > '' and :start < :end order by i",
                times="unix_ms",
            )
        },
    )
    found = candidate(provider, METRICS[kind], colour)

    assert says(found, expected), found


@rule("R13", "R16")
@pytest.mark.parametrize(("kind", "row", "expected"), ODD + ONLY_IN_PYTHON)
@pytest.mark.parametrize("colour", COLOURS)
def test_a_function_never_turns_what_is_missing_or_senseless_into_a_number(
    kind: str, row: Any, expected: Any, colour: str
) -> None:
    found = candidate(
        Function({METRICS[kind]: lambda release, version, window: row}), METRICS[kind], colour
    )

    assert says(found, expected), found


@rule("R13", "R16")
@pytest.mark.parametrize(("kind", "row", "expected"), ODD)
def test_an_answer_in_json_never_turns_what_is_missing_or_senseless_into_a_number(
    api: Api, kind: str, row: Any, expected: Any
) -> None:
    api.answers = lambda _: (
        json.dumps({"data": {"row": row}})
        .replace("-Infinity", "-1e999")
        .replace("Infinity", "1e999")
    )
    names = {"ratio": ("events", "trials"), "mean": ("n", "sum", "squares"), "value": ("value",)}[
        kind
    ]
    paths = (
        {names[0]: "data.row"}
        if kind == "value"
        else {name: f"data.row.{i}" for i, name in enumerate(names)}
    )
    found = candidate(
        JsonHttp(api.url, {METRICS[kind]: Endpoint("/stats", params=BOUNDS, **paths)}),
        METRICS[kind],
    )

    assert says(found, expected), found


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50))
def test_a_mean_by_its_sums_is_the_mean_of_the_values(values: list[float]) -> None:
    exact = [Fraction(value) for value in values]
    n, total, squares = (
        len(exact),
        sum(exact, Fraction()),
        sum((value * value for value in exact), Fraction()),
    )
    found = candidate(Function({MEAN: lambda release, version, window: (n, total, squares)}), MEAN)
    mean = total / n

    assert found == Moments(
        n=n, mean=float(mean), m2=float(sum(((value - mean) ** 2 for value in exact), Fraction()))
    )


@rule("R19")
@given(
    st.sampled_from([RATIO, MEAN, VALUE, SPREAD]),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.decimals()
        | st.text()
        | st.binary()
        | st.fractions(),
        lambda inner: (
            st.lists(inner, max_size=4) | st.tuples(inner, inner) | st.tuples(inner, inner, inner)
        ),
    ),
)
def test_whatever_a_function_answers_is_a_measurement_of_its_kind_or_says_why_not(
    metric: Metric, answered: Any
) -> None:
    found = candidate(Function({metric: lambda release, version, window: answered}), metric)
    fits = {RATIO: Counts, MEAN: Moments, VALUE: Gauge, SPREAD: Histogram}[metric]

    assert isinstance(found, NoData | NoAnswer | fits)


# ---------------------------------------------------------------------------------- a real database


def database(folder: Path, *statements: str) -> Callable[[], sqlite3.Connection]:
    """A new SQLite database, as a function that opens connections to it."""
    path = folder / "shop.db"
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()

    def opened() -> sqlite3.Connection:
        connection = sqlite3.connect(path, factory=Closing)
        connection.execute("pragma synchronous = off")
        return connection

    return opened


class Closing(sqlite3.Connection):
    """A connection that counts how many of its kind are open; ``with`` closes it."""

    open = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        Closing.open += 1

    def close(self) -> None:
        Closing.open -= 1
        super().close()

    def __exit__(self, *_: object) -> Any:
        self.close()


ORDERS = "create table orders (at, version, backend, service, state)"
COUNT = "select count(*) filter (where state = 'failed'), count(*) from orders where "
AT = {
    "iso": lambda at: at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    "unix": lambda at: at.timestamp(),
    "unix_ms": lambda at: round(at.timestamp() * 1000),
}


def orders(
    shop: Callable[[], sqlite3.Connection], form: str, *found: tuple[datetime, str, str]
) -> None:
    with shop() as filling:
        backends = {"v1": "shop-1", "v2": "shop-2"}
        rows = [
            (AT[form](at), version, backends.get(version, ""), "shop", state)
            for at, version, state in found
        ]
        filling.executemany("insert into orders values (?, ?, ?, ?, ?)", rows)
        filling.commit()


@rule("R18", "R20")
@pytest.mark.parametrize("form", ["iso", "unix", "unix_ms"])
@pytest.mark.parametrize("colour", COLOURS)
def test_each_version_is_counted_from_the_start_of_the_window_to_just_before_its_end(
    tmp_path: Path, form: str, colour: str
) -> None:
    shop, tick = database(tmp_path, ORDERS), timedelta(milliseconds=1)
    orders(
        shop,
        form,
        (WINDOW.start - tick, "v2", "failed"),
        (WINDOW.start, "v2", "failed"),
        (WINDOW.end - tick, "v2", "paid"),
        (WINDOW.end, "v2", "failed"),
        (WINDOW.start, "v1", "paid"),
        (WINDOW.start, "v0", "failed"),
    )
    found = look(Sql(shop, {RATIO: Query(COUNT + INSIDE, times=form)}), RATIO, colour=colour)

    assert found.of(Track.CANDIDATE) == Counts(events=1, trials=2)
    assert found.of(Track.STABLE) == Counts(events=0, trials=1)
    assert (found.metric, found.window, found.covered, found.reading) == (
        "failed-orders",
        WINDOW,
        WINDOW,
        None,
    )
    assert Closing.open == 0


def test_a_look_keeps_the_filled_query_and_its_fingerprint_is_of_the_query_alone(
    tmp_path: Path,
) -> None:
    shop = database(tmp_path, ORDERS)
    query = Query(COUNT + INSIDE, times="unix_ms")
    provider = Sql(shop, {RATIO: query})
    found = look(provider, RATIO)
    later = Window(WINDOW.end, WINDOW.end + seconds(60))

    assert found.query.splitlines() == [
        query.text,
        '{"end": 1795435260250, "start": 1795435200250, "version": "v1"}',
        '{"end": 1795435260250, "start": 1795435200250, "version": "v2"}',
    ]
    assert (
        provider.measure(RELEASE, RATIO, BOTH, later, None).fingerprint == found.fingerprint != ""
    )
    assert (
        look(
            Sql(shop, {RATIO: Query(COUNT + INSIDE + " and state <> 'test'", times="unix_ms")}),
            RATIO,
        ).fingerprint
        != found.fingerprint
    )


def test_a_track_without_a_version_is_no_data(tmp_path: Path) -> None:
    shop = database(tmp_path, ORDERS)
    provider = Sql(shop, {RATIO: Query(COUNT + INSIDE, times="iso")})

    assert look(provider, RATIO, tracks=[Track.BASELINE]).of(Track.BASELINE) == NoData(
        "the release has no version for this track"
    )


def test_more_than_one_row_of_a_ratio_is_not_the_first_of_them(tmp_path: Path) -> None:
    shop = database(tmp_path, ORDERS)
    orders(shop, "iso", (START, "v2", "paid"), (START, "v2", "failed"))
    provider = Sql(
        shop,
        {
            RATIO: Query(
                f"select count(*), count(*) from orders where {INSIDE} group by state", times="iso"
            )
        },
    )

    assert candidate(provider, RATIO) == NoAnswer(
        "more than one row; a ratio is one row, so aggregate without a group by"
    )


def test_a_slow_database_does_not_keep_the_loop_of_an_asynchronous_driver_waiting(
    tmp_path: Path,
) -> None:
    shop, threads = database(tmp_path, ORDERS), list[threading.Thread]()

    def connect() -> sqlite3.Connection:
        threads.append(threading.current_thread())
        return shop()

    look(Sql(connect, {RATIO: Query(COUNT + INSIDE, times="iso")}), RATIO, colour="ameasure")

    assert threading.main_thread() not in threads and threads


@rule("R42")
@given(st.text(), st.text(), st.text())
@example("' or '1'='1", "v2'; drop table orders --", ":start")
@example('" or 1=1 --', "?", "%(version)s")
@example(":version", ":end", "\x00")
def test_a_hostile_name_stays_a_value(service: str, version: str, backend: str) -> None:
    """It finds its own rows and nobody else's, whatever it is called."""
    release = Release(service="shop", stable=None, candidate=Version("v2"))
    for of, name, value in (
        (release, "service", service),
        (release.candidate, "identity", version),
        (release.candidate, "backend", backend),
    ):
        object.__setattr__(
            of, name, value
        )  # a release refuses such names; the query does not depend on that
    shared = sqlite3.connect("file:hostile?mode=memory&cache=shared", uri=True)
    with closing(shared):
        shared.execute(ORDERS)
        mine = (AT["iso"](START), version, backend, service, "failed")
        shared.executemany(
            "insert into orders values (?, ?, ?, ?, ?)",
            [mine, (AT["iso"](START), f"not {version}", backend, service, "paid")],
        )
        shared.commit()
        text = (
            COUNT
            + INSIDE
            + " and backend = :backend and service = :service and :track = 'candidate' "
            + "-- ':version'"
        )
        provider = Sql(
            lambda: sqlite3.connect("file:hostile?mode=memory&cache=shared", uri=True),
            {RATIO: Query(text, times="iso")},
        )
        found = provider.measure(release, RATIO, [Track.CANDIDATE], WINDOW, None)

        assert found.of(Track.CANDIDATE) == Counts(events=1, trials=1)
        assert shared.execute("select count(*) from orders").fetchone() == (2,)


# --------------------------------------------------------------------------------------- any driver


class Driver:
    """A DB-API module of a given paramstyle that notes what it is asked."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, style: str, rows: Sequence[Any] = ((3, 120),)
    ) -> None:
        module = ModuleType("somedb")
        module.paramstyle = style  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "somedb", module)
        self.asked: list[tuple[str, Any]] = []
        self.done: list[str] = []
        self.trouble: Exception | None = None
        driver = self

        class Cursor:
            description = (("a",),)

            def execute(self, text: str, bound: Any) -> None:
                driver.asked.append((text, bound))
                if driver.trouble:
                    raise driver.trouble

            def fetchmany(self, most: int) -> Sequence[Any]:
                return rows[:most]

        class Connection:
            def cursor(self) -> Cursor:
                return Cursor()

            def rollback(self) -> None:
                driver.done.append("rollback")
                raise RuntimeError("no transactions here")

            def close(self) -> None:
                driver.done.append("close")

        Connection.__module__ = "somedb.connections"
        self.connect = Connection


TRICKY = """select count(*) filter (where state = 'failed :start ''100%'), count(*)
    -- ":end" of :version?
    from "or:start" where at >= :start::timestamptz and at<:end /* :backend % */
    and version=:version and code[1:end] <> $q$:end$q$ and 7 % 2 = 1
    and :version <> ''"""
S, E = WINDOW.start, WINDOW.end


@pytest.mark.parametrize(
    ("style", "start", "end", "version", "again", "bound"),
    [
        (
            "named",
            ":start",
            ":end",
            ":version",
            ":version",
            {"start": S, "end": E, "version": "v2"},
        ),
        (
            "pyformat",
            "%(start)s",
            "%(end)s",
            "%(version)s",
            "%(version)s",
            {"start": S, "end": E, "version": "v2"},
        ),
        ("qmark", "?", "?", "?", "?", (S, E, "v2", "v2")),
        ("format", "%s", "%s", "%s", "%s", (S, E, "v2", "v2")),
        ("numeric", ":1", ":2", ":3", ":3", (S, E, "v2")),
    ],
)
def test_a_query_is_said_in_the_drivers_paramstyle_and_what_is_quoted_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
    style: str,
    start: str,
    end: str,
    version: str,
    again: str,
    bound: Any,
) -> None:
    driver = Driver(monkeypatch, style)
    found = look(Sql(driver.connect, {RATIO: Query(TRICKY)}), RATIO, tracks=[Track.CANDIDATE])
    expected = TRICKY.replace("%", "%%") if style in ("pyformat", "format") else TRICKY
    expected = expected.replace(">= :start", f">= {start}").replace("at<:end", f"at<{end}")
    expected = expected.replace("version=:version", f"version={version}").replace(
        "and :version", f"and {again}"
    )

    assert driver.asked == [(expected, bound)]
    assert found.of(Track.CANDIDATE) == Counts(events=3, trials=120)
    assert driver.done == ["rollback", "close"]


@pytest.mark.parametrize("rows", [[{"failed": 3, "every": 120}], [[3, 120]]])
def test_rows_may_be_mappings_or_lists(monkeypatch: pytest.MonkeyPatch, rows: Any) -> None:
    driver = Driver(monkeypatch, "named", rows)

    assert candidate(Sql(driver.connect, {RATIO: Query(COUNT + INSIDE)}), RATIO) == Counts(
        events=3, trials=120
    )


def test_a_given_paramstyle_is_the_one_that_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Driver(monkeypatch, "unheard of")

    assert "give it: Sql(..., paramstyle='pyformat')" in str(
        failing(Sql(driver.connect, {RATIO: Query(COUNT + INSIDE)}), RATIO)
    )
    assert candidate(
        Sql(driver.connect, {RATIO: Query(COUNT + INSIDE)}, paramstyle="format"), RATIO
    ) == Counts(events=3, trials=120)
    assert "%s" in driver.asked[0][0]


class OperationalError(Exception):
    sqlstate: str | None = None


class ProgrammingError(Exception):
    pass


@rule("R19", "R37")
@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("error", [OperationalError, ProgrammingError, RecursionError, OSError])
def test_a_connection_that_fails_never_quotes_the_address(
    colour: str, error: type[Exception]
) -> None:
    def connect() -> Any:
        raise error(f"could not connect to postgresql://shop:{CANARY}@db/shop")

    failure = failing(Sql(connect, {RATIO: Query(COUNT + INSIDE)}), RATIO, colour)

    assert str(failure).startswith(
        f"Sql: failed-orders: connecting failed: {error.__name__}; its words are not shown"
    )
    assert failure.failure is (
        Failure.PERMANENT if error is ProgrammingError else Failure.TRANSIENT
    )
    assert CANARY not in str(failure)


@rule("R37")
def test_a_query_that_fails_shows_the_databases_number_for_it_and_its_words_only_if_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    driver = Driver(monkeypatch, "pyformat")
    driver.trouble = OperationalError(f"no such column; password={CANARY}")
    driver.trouble.sqlstate = "42703"  # type: ignore[attr-defined]
    query = {RATIO: Query(COUNT + INSIDE)}

    assert str(failing(Sql(driver.connect, query), RATIO)).startswith(
        "Sql: failed-orders: the query failed: OperationalError (42703); its words"
    )
    assert str(
        failing(Sql(driver.connect, query, explain=lambda error: str(error).split(";")[0]), RATIO)
    ).endswith("OperationalError: no such column")
    assert "(42703)" in str(
        failing(Sql(driver.connect, query, explain=lambda error: str(1 / 0)), RATIO)
    )
    assert driver.done == ["rollback", "close"] * 3


def test_a_real_mistake_in_a_query_closes_its_connection_too(tmp_path: Path) -> None:
    shop = database(tmp_path, ORDERS)
    provider = Sql(
        shop,
        {RATIO: Query(f"select absent, count(*) from orders where {INSIDE}", times="iso")},
        explain=str,
    )

    assert (
        str(failing(provider, RATIO))
        == "Sql: failed-orders: the query failed: OperationalError: no such column: absent"
    )
    assert Closing.open == 0


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


@pytest.mark.parametrize(
    ("connect", "said"),
    [
        (lambda: None, "connect returned a NoneType, no connection of a synchronous DB-API driver"),
        (
            lambda: sqlite3.connect(":memory:"),
            "SQLite has no datetimes; say in what form it keeps them: Query(..., times='iso')",
        ),
    ],
)
def test_a_connection_that_can_not_be_used_says_so(connect: Any, said: str) -> None:
    failure = failing(Sql(connect, {RATIO: Query(COUNT + INSIDE)}), RATIO)

    assert said in str(failure) and failure.failure is Failure.PERMANENT


# ---------------------------------------------------------------------------------------- functions


async def slowly(release: Release, version: Version, window: Window) -> tuple[int, int]:
    await asyncio.sleep(0)
    return {"v1": (1, 10), "v2": (2, 20)}[version.identity]


def test_a_function_is_asked_for_each_version_in_the_window() -> None:
    asked: list[Any] = []

    def failed(release: Release, version: Version, window: Window) -> tuple[int, int]:
        asked.append((release, version, window))
        return 1, 10

    found = look(Function({RATIO: failed}), RATIO)

    assert asked == [(RELEASE, RELEASE.stable, WINDOW), (RELEASE, RELEASE.candidate, WINDOW)]
    assert found.of(Track.STABLE) == Counts(events=1, trials=10)
    assert found.query.endswith("failed") and found.fingerprint


def test_an_asynchronous_function_needs_an_asynchronous_driver() -> None:
    found = look(Function({RATIO: slowly}), RATIO, colour="ameasure")

    assert (found.of(Track.STABLE), found.of(Track.CANDIDATE)) == (
        Counts(events=1, trials=10),
        Counts(events=2, trials=20),
    )
    assert (
        str(failing(Function({RATIO: slowly}), RATIO))
        == "Function: failed-orders is asynchronous; drive with atick, aiterate or arun"
    )


def test_a_plain_function_does_not_keep_the_loop_of_an_asynchronous_driver_waiting() -> None:
    threads: list[threading.Thread] = []
    look(
        Function({VALUE: lambda *_: threads.append(threading.current_thread())}),
        VALUE,
        colour="ameasure",
    )

    assert threading.main_thread() not in threads and threads


READY = [
    (RATIO, Counts(events=1, trials=2)),
    (MEAN, Moments(n=2, mean=1.0, m2=0.5)),
    (VALUE, Gauge(samples=(1.0,))),
    (SPREAD, Histogram(edges=(0.1, 0.5), cumulative=(1, 2, 3))),
]


@pytest.mark.parametrize(("metric", "ready"), READY)
def test_a_function_may_answer_with_a_measurement_of_the_kind_and_no_other(
    metric: Metric, ready: Measurement
) -> None:
    others = [other for _, other in READY if other != ready]

    assert candidate(Function({metric: lambda *_: ready}), metric) == ready
    assert candidate(Function({metric: lambda *_: NoData("closed on Sundays")}), metric) == NoData(
        "closed on Sundays"
    )
    assert candidate(Function({metric: lambda *_: NoAnswer("half of it")}), metric) == NoAnswer(
        "half of it"
    )
    for other in others:
        assert isinstance(
            candidate(Function({metric: lambda *_, other=other: other}), metric), NoAnswer
        )  # type: ignore[misc]


def test_what_a_function_may_not_answer_is_said_with_what_it_may() -> None:
    assert candidate(Function({RATIO: lambda *_: 0.5}), RATIO) == NoAnswer(
        "the function answered a float; failed-orders is a ratio: answer Counts(...), or (events, "
        "trials), or None"
    )
    assert candidate(Function({SPREAD: lambda *_: (1, 2)}), SPREAD) == NoAnswer(
        "the function answered a tuple; delivery is a latency: answer Histogram(...), or None"
    )


@rule("R19", "R37")
@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyError("v2"), "KeyError: 'v2'"),
        (RecursionError(), "RecursionError"),
        (ValueError("two\nlines"), "ValueError: two lines"),
        (
            OSError(f"https://eve:{CANARY}@warehouse/x is down"),
            "OSError: https://***@warehouse/x is down",
        ),
        (ValueError(f"api_key={CANARY}, try again"), "ValueError: api_key=***, try again"),
        (
            ValueError(f"{{'Authorization': 'Bearer {CANARY}'}}"),
            "ValueError: {'Authorization': 'Bearer ***'}",
        ),
    ],
)
def test_what_a_function_raises_is_told_with_its_line_and_without_obvious_credentials(
    colour: str, error: Exception, said: str
) -> None:
    def failed(release: Release, version: Version, window: Window) -> tuple[int, int]:
        raise error

    line = failed.__code__.co_firstlineno + 1

    assert (
        str(failing(Function({RATIO: failed}), RATIO, colour))
        == f"Function: failed-orders: {said} (test_business_metrics.py, line {line})"
    )


def test_a_metrics_error_of_a_function_is_its_own_word() -> None:
    def failed(release: Release, version: Version, window: Window) -> tuple[int, int]:
        raise MetricsError("the warehouse is closed", failure=Failure.PERMANENT)

    failure = failing(Function({RATIO: failed}), RATIO)

    assert (str(failure), failure.failure) == ("the warehouse is closed", Failure.PERMANENT)


@rule("R26")
def test_a_cancelled_look_is_cancelled_and_is_no_answer() -> None:
    async def hanging(release: Release, version: Version, window: Window) -> tuple[int, int]:
        await asyncio.sleep(60)
        return 0, 1

    async def cancelled() -> None:
        async with asyncio.timeout(0.01):
            await Function({RATIO: hanging}).ameasure(RELEASE, RATIO, BOTH, WINDOW, None)

    with pytest.raises(TimeoutError):
        asyncio.run(cancelled())


# ----------------------------------------------------------------------------------- JSON over HTTP

BOUNDS = {"version": "{version}", "from": "{start}", "to": "{end}"}
FAILED = Endpoint("/stats", params=BOUNDS, events="data.failed", trials="data.total")


class Api:
    """A small reporting API: ``answers`` gets the query of each request and gives a text, or a
    status.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[str] = []
        self.answers: Callable[[dict[str, str]], str | int] = lambda _: "{}"


@pytest.fixture(scope="module")
def running() -> Iterator[Api]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            found.asked.append(self.path)
            answered = found.answers(
                dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
            )
            body = answered.encode() if isinstance(answered, str) else b""
            self.send_response(answered if isinstance(answered, int) else 200)
            if answered != 204:
                self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        found = Api(f"http://127.0.0.1:{server.server_address[1]}")
        yield found
        server.shutdown()
        thread.join()


@pytest.fixture
def api(running: Api) -> Api:
    running.asked.clear()
    return running


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


# ----------------------------------------------------------------------------------- a whole canary

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
