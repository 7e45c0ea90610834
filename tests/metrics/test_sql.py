"""Numbers out of a database."""

from __future__ import annotations

import sqlite3
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.support.business import (
    BOTH,
    CANARY,
    COLOURS,
    COUNT,
    INSIDE,
    RATIO,
    RELEASE,
    START,
    WINDOW,
    Closing,
    candidate,
    database,
    failing,
    look,
)
from tests.support.rules import rule

from progressive import seconds
from progressive.errors import Failure
from progressive.metrics.sql import Query, Sql
from progressive.model.measurement import Counts, NoAnswer, NoData, Window
from progressive.model.release import Release, Version
from progressive.model.traffic import Track

# ---------------------------------------------------------------------------------- a real database


ORDERS = "create table orders (at, version, backend, service, state)"


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
