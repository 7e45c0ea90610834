"""Business metrics out of any database with a DB-API 2.0 driver (psycopg, sqlite3, PyMySQL,
oracledb): one query for each metric.

::

    ORDERS = Metric("failed-orders", kind="ratio", lag=seconds(5))
    sql = Sql(
        lambda: psycopg.connect(dsn),
        {
            ORDERS: Query(
                "select count(*) filter (where state = 'failed'), count(*) from orders"
                " where version = :version and created_at >= :start and created_at < :end"
            ),
        },
    )

Give the connection a user that may only read, and a time-out of its own (``statement_timeout``): a
call that the driver of the rollout does not wait for any longer goes on in its thread until the
database has answered.
"""

from __future__ import annotations

from .provider import Query, Sql

__all__ = [
    "Query",
    "Sql",
]
