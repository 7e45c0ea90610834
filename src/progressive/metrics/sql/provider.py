"""`Sql`, a provider of one query for each metric, through any driver of PEP 249."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, Protocol

import attrs

from progressive.adapters.flow import excerpt
from progressive.adapters.provider import (
    Declared,
    TimeForm,
    check_declared,
    declaration,
    declared,
    look_of,
    parameters,
    versions_of,
)
from progressive.adapters.rows import COLUMNS, MOST_SAMPLES, measurement
from progressive.adapters.waiting import Apart
from progressive.errors import Failure, MetricsError, StrategyError
from progressive.model import fields
from progressive.model.measurement import Look, Measurement, Metric, NoAnswer, Window
from progressive.model.release import Release
from progressive.model.traffic import Track

from .statement import STYLES, Query

__all__ = ["Query", "Sql"]


class Cursor(Protocol):
    """As much of a cursor of PEP 249 as is used here."""

    @property
    def description(self) -> object:
        """None where the statement gives no rows."""
        ...

    def execute(self, operation: str, parameters: Any, /) -> object:
        """Run one statement."""
        ...

    def fetchmany(self, size: int = ..., /) -> Iterable[Any]:
        """The next rows, so many at most."""
        ...


class Connection(Protocol):
    """As much of a connection of PEP 249 as is used here."""

    def cursor(self) -> Cursor:
        """A new cursor."""
        ...


_PERMANENT: Final = frozenset({"ProgrammingError", "NotSupportedError", "DataError"})
"""Errors of the DB-API that come again with every try: the query is wrong."""

_CODES: Final = ("sqlstate", "pgcode", "sqlite_errorname", "errno")
"""Where drivers keep the database's own number or name of an error: psycopg, psycopg2, sqlite3,
MySQL.
"""


def _is_factory(_: object, __: object, value: Any) -> None:
    # An open connection may be callable too (sqlite3's is). What was given is not shown: it may be
    # an address with a password.
    if not callable(value) or (hasattr(value, "cursor") and not isinstance(value, type)):
        what = f"a {type(value).__name__}"
        raise StrategyError(
            f"Sql.connect: {what} is no function that opens a connection; write lambda: "
            "sqlite3.connect('shop.db')"
        )


def _is_style(_: object, __: object, value: str | None) -> None:
    if value is not None and value not in STYLES:
        raise StrategyError(
            f"Sql.paramstyle: {value!r} is not one of {', '.join(map(repr, STYLES))}"
        )


def _problems(metric: Metric, query: Any) -> list[str]:
    if not isinstance(query, Query):
        return [f"{fields.brief(query)} is no Query('select ...')"]
    if metric.kind not in COLUMNS:
        return [
            (
                "a latency is a histogram, which no row of numbers is; measure its mean, or give a "
                "Histogram(...) with Function"
            )
        ]
    return list(query.problems(metric.kind))


def _declared(value: Mapping[Metric, Query] | Declared[Query]) -> Declared[Query]:
    # Of its own type: type checkers do not see through a generic converter.
    return declared(value)


def _are_queries(_: object, __: object, value: Any) -> None:
    check_declared("Sql.metrics", value, "Query('select ...')", _problems)


@attrs.frozen
class Sql:
    """A database. ``connect`` opens a connection; each look opens one, rolls back whatever it did
    and closes it. Safe for threads.

    ``paramstyle``: that of the driver (PEP 249); by default it is asked of the module that the
    connection comes from. Values are always handed to the driver as parameters and never become a
    part of the text.

    ``explain``: what may be shown of a driver's exception. By default that is its class and the
    database's number for it: many drivers quote the address that they connect to, with the
    password. ``explain=str`` shows their words.
    """

    connect: Callable[[], Connection] = attrs.field(repr=False, validator=_is_factory)
    _queries: Declared[Query] = attrs.field(
        alias="metrics", converter=_declared, validator=_are_queries
    )
    paramstyle: str | None = attrs.field(default=None, kw_only=True, validator=_is_style)
    explain: Callable[[Exception], str] | None = attrs.field(default=None, kw_only=True, repr=False)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Those that were declared."""
        return tuple(metric for metric, _ in self._queries)

    def measure(
        self,
        release: Release,
        metric: Metric,
        tracks: Sequence[Track],
        window: Window,
        since: str | None,
    ) -> Look:
        """One look: the query once for each track, on one connection. It changes nothing, and may
        be repeated.

        Raises `MetricsError` if the database can't be asked; what it answers and makes no sense is
        `NoAnswer`, with why.
        """
        own, query = declaration("Sql", self._queries, metric)
        found: dict[Track, Measurement] = {}
        sent = [query.text]
        connection = self._tried(f"{own}: connecting", self.connect)
        try:
            statement = query.statement(self._style(own, query, connection))
            for track, version in versions_of(release, tracks).items():
                filled = parameters(release, track, version, window, query.times)
                asked = {name: filled[name] for name in sorted(query.used)}
                sent.append(json.dumps(asked, default=str))
                rows = self._tried(
                    f"{own}: the query",
                    partial(_rows, connection, statement.text, statement.bound(asked)),
                )
                found[track] = _measured(own, rows)
        finally:
            for end in ("rollback", "close"):
                with suppress(
                    Exception
                ):  # neither may hide the answer, and what knows no transactions can't roll back
                    getattr(connection, end)()
        return look_of(
            own,
            window,
            tracks,
            found,
            query="\n".join(sent),
            meaning=("sql/1", query.text, query.times.value),
        )

    async def ameasure(
        self,
        release: Release,
        metric: Metric,
        tracks: Sequence[Track],
        window: Window,
        since: str | None,
    ) -> Look:
        """`measure` in a thread of its own; cancelled, that thread still ends by closing its
        connection.
        """
        measure = partial(self.measure, release, metric, tracks, window, since)
        return await Apart(measure).await_()

    def _tried(self, what: str, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except Exception as error:
            why, wrong = (
                self._why(error),
                not _PERMANENT.isdisjoint(each.__name__ for each in type(error).__mro__),
            )
        # Raised out here, so that the driver's exception does not hang on ours as its context.
        raise MetricsError(
            f"Sql: {what} failed: {why}", failure=Failure.PERMANENT if wrong else Failure.TRANSIENT
        )

    def _why(self, error: Exception) -> str:
        name = type(error).__name__
        if self.explain is not None:
            with suppress(Exception):
                return f"{name}: {excerpt(self.explain(error), ())}"
        codes = [
            code
            for code in (getattr(error, each, None) for each in _CODES)
            if isinstance(code, int | str)
        ]
        codes += [error.args[0]] if error.args and isinstance(error.args[0], int) else []
        code = f" ({codes[0]})" if codes else ""
        return (
            f"{name}{code}; its words are not shown, as they may hold a password: explain=str "
            "shows them"
        )

    def _style(self, metric: Metric, query: Query, connection: Connection) -> str:
        """The paramstyle that this connection takes. Raises `MetricsError` where the query can't be
        asked over it.
        """
        module, style = _driver(connection)
        if not hasattr(connection, "cursor"):
            why = (
                f"connect returned a {type(connection).__name__}, no connection of a synchronous "
                "DB-API driver"
            )
        elif module == "sqlite3" and query.times is TimeForm.DATETIME:
            why = (
                "SQLite has no datetimes; say in what form it keeps them: Query(..., times='iso'), "
                "'unix' or 'unix_ms'"
            )
        elif self.paramstyle is None and style is None:
            why = (
                f"the module of {type(connection).__name__} does not say its paramstyle; give it: "
                "Sql(..., paramstyle='pyformat')"
            )
        else:
            return str(self.paramstyle or style)
        raise MetricsError(f"Sql: {metric}: {why}", failure=Failure.PERMANENT)


def _driver(connection: object) -> tuple[str, str | None]:
    """The driver's module and its paramstyle, as far as they can be told from the class of its
    connection.
    """
    for kind in type(connection).__mro__:
        name = kind.__module__
        while name:
            style = getattr(sys.modules.get(name), "paramstyle", None)
            if style in STYLES:
                return name, style
            name = name.rpartition(".")[0]
    return "", None


def _rows(connection: Connection, text: str, bound: Any) -> list[Any] | None:
    """The first rows, a few more than can be used; None if the statement has none to give."""
    cursor = connection.cursor()
    cursor.execute(text, bound)
    return None if cursor.description is None else list(cursor.fetchmany(MOST_SAMPLES + 1))


def _measured(metric: Metric, rows: list[Any] | None) -> Measurement:
    if rows is None:
        return NoAnswer("the statement gives no rows; write a select")
    # Drivers can be told to give rows as mappings, which iterate over their names.
    return measurement(
        metric.kind,
        [tuple(row.values()) if isinstance(row, Mapping) else tuple(row) for row in rows],
        wraps=True,
    )
