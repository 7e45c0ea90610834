"""An outbox for notifications in an SQLite database: that of a `SqliteStore`, or one of its own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from progressive.codec.documents import dumps_delivery, loads_delivery
from progressive.errors import StateError, StrategyError
from progressive.model import fields
from progressive.model.delivery import Delivery

from .database import Database
from .stored import unreadable

__all__ = ["SqliteOutbox"]

TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS deliveries (
        rollout TEXT NOT NULL,
        destination TEXT NOT NULL,
        finished INTEGER NOT NULL CHECK (finished IN (0, 1)),
        delivery TEXT NOT NULL,
        PRIMARY KEY (rollout, destination)
    )""",
    "CREATE INDEX IF NOT EXISTS untold ON deliveries (rollout) WHERE NOT finished",
)
LOAD: Final = "SELECT CAST(delivery AS BLOB) FROM deliveries WHERE rollout = ? AND destination = ?"
SAVE: Final = """INSERT INTO deliveries (rollout, destination, finished, delivery)
    VALUES (?, ?, ?, ?) ON CONFLICT (rollout, destination)
    DO UPDATE SET finished = excluded.finished, delivery = excluded.delivery"""
OPEN: Final = "SELECT DISTINCT rollout FROM deliveries WHERE NOT finished ORDER BY rollout"


class SqliteOutbox:
    """An outbox in an SQLite database, for threads and processes of one machine.

    ``path``: of the database of a `SqliteStore`, or of one that is made. Raises `StoreError` and
    `StateError` as that store does.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        name = os.fsdecode(path)
        if name in ("", ":memory:"):
            raise StrategyError(
                f"SqliteOutbox({name!r}): each connection would have a database in memory of its "
                "own; give the path of a file, or use progressive.testing.MemoryOutbox"
            )
        self._path = os.path.realpath(name)
        self._database = Database(path=self._path)
        self._database.make()
        not_made = "the outbox can't be made"
        with self._database.writing(not_made, f"{not_made} for sure; try again") as db:
            for statement in TABLES:
                db.execute(statement)

    def __repr__(self) -> str:
        return f"SqliteOutbox({self._path!r})"

    def load(self, rollout: str, destination: str) -> Delivery | None:
        """Return the delivery as it was last saved; None if there is none."""
        fields.name(rollout, "rollout")
        with self._database.reading(f"what {destination!r} was told can't be read") as db:
            for (text,) in db.execute(LOAD, (rollout, destination)):
                return self._read(text, rollout, destination)
        return None

    def save(self, delivery: Delivery) -> None:
        """Store a delivery by compare-and-set on its revision; see `Outbox`."""
        rollout, destination, text = (
            delivery.rollout,
            delivery.destination,
            dumps_delivery(delivery),
        )
        what = f"what {destination!r} was told of rollout {rollout!r} was"
        with self._database.writing(f"{what} not saved", f"{what} perhaps saved") as db:
            stored = None
            for (found,) in db.execute(LOAD, (rollout, destination)):
                stored = self._read(found, rollout, destination)
            delivery.refuse_unless_it_follows(stored)
            db.execute(SAVE, (rollout, destination, delivery.finished, text))

    def open(self) -> Sequence[str]:
        """Return the rollouts that a destination is not yet told everything of; by an index."""
        with self._database.reading("what is to be told can't be read") as db:
            return [rollout for (rollout,) in db.execute(OPEN)]

    def _read(self, text: bytes, rollout: str, destination: str) -> Delivery:
        try:
            return loads_delivery(text)
        except StateError as error:
            where = f"{self._path}: what {destination!r} was told of {rollout!r}"
            raise unreadable(where, error.path, error.why) from None
