"""An SQLite that fails, or whose process dies, at one of its statements: stands in for the
``sqlite3`` module in the store's own.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from typing import Any

import pytest

from progressive.stores import database as _database


def die() -> None:
    """Nothing of the store's own code, nor of SQLite's, does anything from here on."""
    os.kill(os.getpid(), signal.SIGKILL)


class Statements:
    """The module, with ``fault`` called before (or ``after``) the ``at``-th statement. ``said`` has
    the first word of each.
    """

    def __init__(
        self, at: int | None = None, fault: Callable[[], None] = die, *, after: bool = False
    ) -> None:
        self.at, self.fault, self.after = at, fault, after
        self.said: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(sqlite3, name)

    def connect(self, *given: Any, **named: Any) -> sqlite3.Connection:
        """A connection that counts."""
        statements = self

        class Counting(sqlite3.Connection):
            def execute(self, sql: str, *more: Any) -> sqlite3.Cursor:
                return statements.counted(sql, super().execute, more)

            def executemany(self, sql: str, *more: Any) -> sqlite3.Cursor:
                return statements.counted(sql, super().executemany, more)

        return sqlite3.connect(*given, **named, factory=Counting)

    def counted(
        self, sql: str, call: Callable[..., sqlite3.Cursor], more: tuple[Any, ...]
    ) -> sqlite3.Cursor:
        """Do it, with a fault if it is its turn."""
        self.said.append(sql.split()[0])
        turn = len(self.said) - 1 == self.at
        if turn and not self.after:
            self.fault()
        cursor = call(sql, *more)
        if turn and self.after:
            self.fault()
        return cursor

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """From now on the SQLite store works with this one."""
        patch.setattr(_database, "sqlite3", self)


def fails(code: int, words: str) -> Callable[[], None]:
    """A fault: SQLite's own error with this result code."""

    def fail() -> None:
        error = sqlite3.OperationalError(words)
        error.sqlite_errorcode = code
        raise error

    return fail


def main(directory: str, at: str, after: str) -> None:
    """Die in the save that follows serial 1: ``python sqlite_faults.py DIRECTORY AT AFTER``."""
    from tests.support.places import opened
    from tests.support.store_contract import a_rollout, some_notes

    store = opened("sqlite", directory)
    with pytest.MonkeyPatch.context() as patch:
        Statements(int(at), after=after == "True").install(patch)
        store.save(a_rollout(serial=2), some_notes(2), expected=1)


if __name__ == "__main__":
    main(*sys.argv[1:])
