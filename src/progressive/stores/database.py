"""The SQLite database of `SqliteStore`: its layout, its transactions, and its errors as ours.

A connection lives for one transaction. So threads share none, none is left to close, and a file
that was moved away or restored is noticed at the next call; opening it costs a quarter of a
millisecond.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Final
from urllib.parse import quote

import attrs

from progressive.errors import Failure, StoreError

from .filesystem import WAIT

__all__ = ["Database"]

APPLICATION: Final = int.from_bytes(b"prog", "big")
"""SQLite's ``application_id``, which marks a database as ours."""

LAYOUT: Final = 1
"""SQLite's ``user_version``: the version of tables and columns. The FORMAT of the states in them is
a version of its own.
"""

TABLES: Final = (
    """CREATE TABLE rollouts (
        id TEXT NOT NULL PRIMARY KEY,
        service TEXT NOT NULL,
        created TEXT NOT NULL,
        active INTEGER NOT NULL CHECK (active IN (0, 1)),
        wake_at TEXT,
        state TEXT NOT NULL
    )""",
    "CREATE UNIQUE INDEX one_active_of_a_service ON rollouts (service) WHERE active",
    "CREATE INDEX newest_of_a_service ON rollouts (service, created, id)",
    "CREATE INDEX longest_overdue ON rollouts (wake_at, id) WHERE wake_at IS NOT NULL",
    """CREATE TABLE notes (
        rollout TEXT NOT NULL,
        serial INTEGER NOT NULL,
        n INTEGER NOT NULL,
        note TEXT NOT NULL,
        PRIMARY KEY (rollout, serial, n)
    )""",
)

PROGRESS: Final = '"progress":{'
PHASE_KEY: Final = '"phase":"'
_AT: Final = f"instr(state, '{PROGRESS}')"
_BEHIND: Final = f"{_AT} + {len(PROGRESS)}"
PHASE: Final = (
    f"CASE WHEN {_AT} > 0 AND instr(substr(state, {_AT} + 1), '{PROGRESS}') = 0 "
    f"AND substr(state, {_BEHIND}, {len(PHASE_KEY)}) = '{PHASE_KEY}' "
    f"THEN substr(state, {_BEHIND} + {len(PHASE_KEY)}, 5) ELSE '' END"
)
"""The stored phase as an expression: its first five characters, with the quote behind ``held``.

Empty where it can't be told without reading the state: PENDING, which is the default and not
written; text that somebody has edited; a key like it in a step or a memory of somebody's own. It is
an expression over the state and not a column: versions of this library that know nothing of it
write rows that have it. And not SQLite's JSON functions: not every SQLite has them, and they refuse
a row whose text is damaged.
"""

INDEXES: Final = (
    "CREATE INDEX IF NOT EXISTS rollouts_by_age ON rollouts (created, id)",
    f"CREATE INDEX IF NOT EXISTS rollouts_by_phase ON rollouts ({PHASE}, created, id)",
)
"""For lists. They came later than the layout, which they do not change: without them lists are only
slower.
"""
INDEXED: Final = (
    "SELECT count(*) FROM sqlite_master WHERE type = 'index' AND name IN "
    "('rollouts_by_age', 'rollouts_by_phase')"
)

BUSY_WAIT: Final = WAIT
"""Seconds that a call waits for the lock of another one."""

# The journal is a rollback journal, not SQLite's write-ahead log: before 3.51.3, the log may lose
# a committed transaction when two connections write and checkpoint at one moment
# (sqlite.org/wal.html, "The WAL-Reset Bug"), and most Pythons bring an older SQLite. The log would
# gain nothing here, where a rollout is saved a few times a minute and no connection stays open. A
# database that somebody has turned to the log stays so.
# At a commit the journal is truncated, not removed, which takes half the time
# (sqlite.org/pragma.html#pragma_journal_mode). A save that has returned survives a power cut, as
# SQLite syncs the truncated journal. Where it is removed, as by an older version of this library,
# that is so only under EXTRA: under FULL the directory is not synced after the journal was removed
# (sqlite.org/pragma.html#pragma_synchronous), and one that reappears undoes the save.
# `fullfsync` is for macOS, whose fsync stops at the drive's cache.
SETTINGS: Final = ("PRAGMA synchronous = EXTRA", "PRAGMA fullfsync = ON")
TRUNCATE: Final = "PRAGMA journal_mode = TRUNCATE"

PASSING: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PROTOCOL,
    }
)
"""SQLite's primary result codes of errors that may pass by themselves. All others (rights,
read-only, corrupt, not a database) need a person.
"""

HINTS: Final = {
    sqlite3.SQLITE_CANTOPEN: "mend the file, its directory or their rights",
    sqlite3.SQLITE_CORRUPT: "restore it from a backup, or move it away",
    sqlite3.SQLITE_NOTADB: "give another path, or move it away",
    sqlite3.SQLITE_READONLY: "mend the file, its directory or their rights",
}

UNCOMMITTED: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL})
"""A COMMIT that fails with one of these has not removed the journal, and so has not committed."""


@attrs.frozen(kw_only=True)
class Database:
    """A database file. Every `sqlite3.Error` becomes a `StoreError` that names the file.

    The ``what`` of its methods begins the message: the thing that was not done.
    """

    path: str

    def make(self) -> None:
        """Make the tables in a file that does not exist or is empty. Idempotent.

        Raises `StoreError` if it is anything but a database of ours.
        """
        what = "rollouts can't be kept there"
        with self._connected("BEGIN", what, mode="rwc") as db:
            made = self._has_tables(db)
            indexed = made and db.execute(INDEXED).fetchone() == (len(INDEXES),)
        if not made:
            with self._connected("BEGIN IMMEDIATE", what) as db:
                if not self._has_tables(db):  # another process may have been first
                    for statement in (
                        *TABLES,
                        *INDEXES,
                        f"PRAGMA application_id = {APPLICATION}",
                        f"PRAGMA user_version = {LAYOUT}",
                        "COMMIT",
                    ):
                        db.execute(statement)
        elif not indexed:
            # It may be read-only, or in use; then the next one that opens it adds them.
            with suppress(StoreError), self.writing(what, what) as db:
                for statement in INDEXES:
                    db.execute(statement)

    @contextmanager
    def reading(self, what: str, *, to_write: bool = False) -> Iterator[sqlite3.Connection]:
        """Open a connection that sees one state of the database; while it is open, saves wait."""
        begin = "BEGIN IMMEDIATE" if to_write else "BEGIN"
        with self._connected(begin, what, truncating=to_write) as db:
            # An empty file is an error: nothing would be due in it, and anything could be started.
            if not self._has_tables(db):
                raise StoreError(
                    f"{what}: {self.path} has become empty; restore it", failure=Failure.PERMANENT
                )
            yield db

    @contextmanager
    def writing(self, what: str, perhaps: str) -> Iterator[sqlite3.Connection]:
        """Open a connection that is the only writer, and commit at the end, unless there was an
        exception.

        A commit that failed halfway is a `StoreError` that begins with ``perhaps``, UNKNOWN.
        """
        with self.reading(what, to_write=True) as db:
            yield db
            try:
                db.execute("COMMIT")
            except sqlite3.Error as error:
                if _code(error) in UNCOMMITTED:
                    raise
                raise StoreError(
                    f"{perhaps}: {self.path}: {error}", failure=Failure.UNKNOWN
                ) from error

    @contextmanager
    def _connected(
        self, begin: str, what: str, *, mode: str = "rw", truncating: bool = False
    ) -> Iterator[sqlite3.Connection]:
        """Open a connection in a transaction, which is undone at the end unless it was committed.

        ``truncating``: whether a commit shall truncate its journal and not remove it.

        Nothing but SQLite may open the file: closing it again would release the locks that other
        threads hold on it (POSIX).
        """
        uri = f"file:{quote(os.fsencode(self.path))}?mode={mode}"
        try:
            with closing(
                sqlite3.connect(uri, uri=True, timeout=BUSY_WAIT, isolation_level=None)
            ) as db:
                for statement in SETTINGS:
                    db.execute(statement)
                if truncating and _removes_its_journal(db):
                    db.execute(TRUNCATE)
                db.execute(begin)
                yield db
        except sqlite3.Error as error:
            raise self._store_error(what, error) from error

    def _has_tables(self, db: sqlite3.Connection) -> bool:
        """Return whether our tables are there; False if the database is empty.

        Raises `StoreError` if it is another application's, or of another layout.
        """
        [(application,)] = db.execute("PRAGMA application_id")
        [(layout,)] = db.execute("PRAGMA user_version")
        if (application, layout) == (APPLICATION, LAYOUT):
            return True
        if application == APPLICATION:
            newer = (
                "written by a newer version of progressive; upgrade this driver"
                if layout > LAYOUT
                else "restore it from a backup"
            )
            raise StoreError(
                f"{self.path} has layout {layout}, and this version reads layout {LAYOUT}: {newer}",
                failure=Failure.PERMANENT,
            )
        names = [
            name for (name,) in db.execute("SELECT name FROM sqlite_master ORDER BY name LIMIT 3")
        ]
        if (application, layout, names) == (0, 0, []):
            return False
        raise StoreError(
            f"{self.path} is a database of another application (application_id "
            f"{application}, user_version {layout}, "
            f"{', '.join(names) or 'nothing'} in it); give another path",
            failure=Failure.PERMANENT,
        )

    def _store_error(self, what: str, error: sqlite3.Error) -> StoreError:
        code = _code(error)
        passing = code in PASSING
        hint = HINTS.get(code, "it may pass: try again" if passing else "mend the file")
        waited = f" for {BUSY_WAIT:g} s" if code == sqlite3.SQLITE_BUSY else ""
        return StoreError(
            f"{what}: {self.path}: {error}{waited}; {hint}",
            failure=Failure.TRANSIENT if passing else Failure.PERMANENT,
        )


def _removes_its_journal(db: sqlite3.Connection) -> bool:
    """Return whether that is what this connection would do, and not keep a write-ahead log."""
    [(mode,)] = db.execute("PRAGMA journal_mode")
    return bool(mode == "delete")


def _code(error: sqlite3.Error) -> int:
    """Return SQLite's primary result code; errors of `sqlite3` itself (a text that is not UTF-8)
    have none, and count as ``SQLITE_ERROR``.
    """
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
