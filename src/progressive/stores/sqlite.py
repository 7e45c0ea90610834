"""A store in one SQLite database, on one machine: the store to embed.

A rollout has one row in ``rollouts`` (its ``state`` is exactly as `progressive.dumps` writes it;
the other columns are copied from it at every save, to find it by) and a row in ``notes`` for each
note. Beside ``rollouts.db`` there is SQLite's own ``rollouts.db-journal``, which is empty between
two saves, and a directory ``rollouts.db-drivers`` with a file for each rollout that was driven; it
may stay behind, only the lock on it counts.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from datetime import datetime
from typing import Final

from progressive.codec.documents import dumps, dumps_note
from progressive.errors import StateError, StrategyError
from progressive.model import fields
from progressive.plan.step import Kinds
from progressive.rollout.listing import Page, Wanted
from progressive.rollout.notes import Note
from progressive.rollout.phases import Phase
from progressive.rollout.state import Rollout

from .database import PHASE, Database
from .filesystem import driven, need_locks, os_errors_as_store_errors, stem_of
from .recent import Recent
from .stored import may_replace, note_of, nowhere, page_of, second

__all__ = ["SqliteStore"]

# Not INSERT OR REPLACE, which would remove the other active rollout of the service instead of
# failing.
SAVE: Final = """INSERT INTO rollouts (id, service, created, active, wake_at, state)
    VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET service = excluded.service, created = excluded.created,
    active = excluded.active, wake_at = excluded.wake_at, state = excluded.state"""

# Text is selected as bytes, so that the codec, and not SQLite, refuses text that an editor or a
# broken disk has damaged.
LOAD: Final = "SELECT CAST(state AS BLOB) FROM rollouts WHERE id = ?"
DUE: Final = "SELECT id FROM rollouts WHERE wake_at <= ? ORDER BY wake_at, id LIMIT ?"
LAST: Final = (
    "SELECT id, CAST(state AS BLOB) FROM rollouts WHERE service = ? AND active",
    (
        "SELECT id, CAST(state AS BLOB) FROM rollouts WHERE service = ? ORDER BY created DESC, id "
        "DESC LIMIT 1"
    ),
)
"""The active one, and the newest; each by its index."""
ACTIVE: Final = "SELECT id FROM rollouts WHERE service = ? AND active AND id <> ?"

AGE: Final = "SELECT created FROM rollouts WHERE id = ?"
IN_ORDER: Final = "(created, id) < (?, ?) AND created >= ? ORDER BY created DESC, id DESC LIMIT ?"
PLACES: Final = "SELECT created, id FROM rollouts WHERE "
NEWEST_ROLLOUTS: Final = f"{PLACES}{IN_ORDER}"
OF_A_PHASE: Final = f"{PLACES}{PHASE} = ? AND {IN_ORDER}"
OF_A_SERVICE: Final = f"{PLACES}service = ? AND (? = '' OR instr(?, {PHASE})) AND {IN_ORDER}"
"""The places in a list, newest first; each by its index. Of a service's, the phases that may be are
one text; an empty one has them all.
"""

END: Final = "~", ""
"""A place before the newest one: no time begins so."""

APPEND: Final = "INSERT INTO notes (rollout, serial, n, note) VALUES (?, ?, ?, ?)"
NEWEST: Final = "SELECT max(serial) FROM notes WHERE rollout = ?"
NOTES: Final = """SELECT serial, n, CAST(note AS BLOB) FROM notes
    WHERE rollout = ? AND (serial, n) > (?, ?) AND serial <= ? ORDER BY serial, n LIMIT ?"""

PAGE: Final = 500
"""Notes that are read at a time: a few hundred kilobytes, for which a save waits milliseconds."""

PIECE: Final = 1000
"""States that are looked at in one go for a list: some megabytes, for which a save waits ten
milliseconds. Fewer would wait for the lock of saves more often.
"""

MANY: Final = 2**31
"""The largest ``limit`` that is passed on: SQLite takes no larger integers than 64 bits."""

NO_KINDS: Final = Kinds()


class SqliteStore:
    """A store in an SQLite database, for threads and processes; atomic and durable.

    An index of the database keeps a service to one active rollout. There is nothing to close.

    * ``path``: of the database, which is made if its directory exists.
    * ``kinds``: your own kinds of steps and checks.

    Raises `StrategyError` for a wrong id or path, and `StateError`, which names the row, for stored
    text that can't be understood; it is never overwritten. Every other failure is a `StoreError`,
    and then the stored state stands: TRANSIENT (locked, full) may pass; PERMANENT (read-only,
    corrupt, another application's, of a newer layout) needs a person; UNKNOWN means that the commit
    itself failed, so load before saving again. Not for network file systems, and not for Windows,
    which has no `flock`.
    """

    def __init__(self, path: str | os.PathLike[str], kinds: Kinds = NO_KINDS) -> None:
        need_locks("SqliteStore")
        name = os.fsdecode(path)
        if name in ("", ":memory:"):
            raise StrategyError(
                f"SqliteStore({name!r}): each connection would have a database in memory of "
                "its own; "
                "give the path of a file, or use progressive.testing.MemoryStore"
            )
        # One directory for the drivers' locks, by whatever name the database is opened.
        self._path = os.path.realpath(name)
        self._kinds = kinds
        self._recent = Recent(kinds)
        self._database = Database(path=self._path)
        self._database.make()

    def __repr__(self) -> str:
        return f"SqliteStore({self._path!r})"

    # ------------------------------------------------------------------------------------ the store

    def save(self, rollout: Rollout, notes: Sequence[Note], *, expected: int | None) -> None:
        """Store a rollout and its notes, both or neither.

        Idempotent: saving exactly what is stored does nothing. ``expected`` is the stored serial,
        None if it is not stored yet. Raises `ConflictError` if that is another, and for a rollout
        whose service has another active one, even if both are started at the same moment.
        """
        id, state = rollout.id, dumps(rollout, self._kinds)
        texts = [(id, rollout.serial, n, dumps_note(note)) for n, note in enumerate(notes)]
        not_done = f"rollout {id!r} was not saved, and what was stored before stands"
        with self._database.writing(
            not_done, f"rollout {id!r} was perhaps saved, perhaps not; load it before saving again"
        ) as db:
            stored = self._stored(db, id)
            found = None if stored is None else stored.serial
            if may_replace(rollout, notes, expected=expected, found=found, same=stored == rollout):
                self._check_notes(db, id, found)
                _upsert(db, rollout, state)
                db.executemany(APPEND, texts)
        self._recent.keep(state.encode(), rollout)

    def load(self, id: str) -> Rollout | None:
        """Return the rollout as it was last saved; None if there is none.

        Raises `StateError` with the database, the rollout and the place in it.
        """
        with self._database.reading(f"rollout {fields.name(id, 'id')!r} can't be read") as db:
            return self._stored(db, id)

    def serials(self, ids: Sequence[str]) -> Mapping[str, int]:
        """Return the serials of those rollouts that are stored; what can't be read is left out."""
        found = {}
        with self._database.reading("serials can't be read") as db:
            for id in ids:
                with suppress(StateError):
                    if (stored := self._stored(db, id)) is not None:
                        found[id] = stored.serial
        return found

    def due(self, now: datetime, limit: int | None = None) -> Sequence[str]:
        """Return the ids whose ``wake_at`` is at or before ``now``: all, or at most ``limit``.

        The longest overdue come first. Rollouts whose state can't be read are among them.
        """
        most = MANY if limit is None else min(fields.whole(limit, "limit"), MANY)
        overdue = _time(fields.moment(now, "due(now=)")), most
        with self._database.reading("what is due can't be read") as db:
            return [id for (id,) in db.execute(DUE, overdue)]

    def last(self, service: str) -> Rollout | None:
        """Return the active rollout of a service, else the newest by its creation; None if there is
        none.
        """
        with self._database.reading(f"the last rollout of {service!r} can't be read") as db:
            for query in LAST:
                for id, text in db.execute(query, (service,)):
                    return self._recent.read(text, id, where=self._where(id))
        return None

    def rollouts(
        self,
        *,
        phase: Phase | str | Iterable[Phase | str] | None = None,
        service: str | None = None,
        waiting_for_person: bool | None = None,
        since: datetime | None = None,
        limit: int = 100,
        after: str | Rollout | None = None,
    ) -> Page[Rollout]:
        """Return a page of the stored rollouts, newest first; see `ListingStore.rollouts`.

        It reads by indexes, a few hundred states at a time; a database of an older version gets
        them when it is opened, if it may be written.
        """
        wanted = Wanted(
            phase=phase,
            service=service,
            waiting_for_person=waiting_for_person,
            since=since,
            limit=limit,
            after=after,
        )
        return page_of(wanted, self._found(wanted))

    def _found(self, wanted: Wanted) -> Iterator[Rollout | tuple[str, StateError]]:
        """Yield what is wanted or can't be read behind ``after``, newest first."""
        last: tuple[str, str] | None = END
        if isinstance(wanted.after, tuple):
            last = _time(wanted.after[0]), wanted.after[1]
        elif wanted.after is not None:
            last = None
        size = min(wanted.limit + 1, PIECE)
        while True:
            with self._database.reading("rollouts can't be listed") as db:
                if last is None:
                    last = self._place(db, str(wanted.after))
                places = _places(db, wanted, last, size)
                texts = [(id, text) for _, id in places for (text,) in db.execute(LOAD, (id,))]
            for id, text in texts:
                try:
                    rollout = self._recent.wanted(text, id, wanted, where=self._where(id))
                except StateError as error:
                    yield id, error
                else:
                    if rollout is not None:
                        yield rollout
            if len(places) < size:
                return
            last, size = places[-1], PIECE

    def _place(self, db: sqlite3.Connection, id: str) -> tuple[str, str]:
        for (created,) in db.execute(AGE, (id,)):
            return created, id
        raise nowhere(id)

    def notes(self, id: str) -> Iterable[tuple[str, Note]]:
        """Yield every note with its id ``rollout/serial/n``, oldest first, up to those that are
        stored now. They are read in pages while you iterate, and no save waits for you.
        """
        with self._database.reading(
            f"the notes of rollout {fields.name(id, 'id')!r} can't be read"
        ) as db:
            [(newest,)] = db.execute(NEWEST, (id,))
        return iter(()) if newest is None else self._notes(id, newest)

    def _notes(self, id: str, upto: int) -> Iterator[tuple[str, Note]]:
        last = (-1, -1)
        while page := self._page(id, last, upto):
            for serial, n, text in page:
                yield (
                    f"{id}/{serial}/{n}",
                    note_of(text, where=f"{self._path}: note '{id}/{serial}/{n}'"),
                )
            last = page[-1][:2]

    def driving(self, id: str) -> AbstractContextManager[None]:
        """Keep a second driver out while this is open, also one in this process.

        Raises `ConflictError`, which names the process that drives it and since when. It is a
        `flock` on a file beside the database. It ends with the process however that ends, with
        SIGKILL too; a process that this one *forks* without an exec shares it.
        """
        directory = f"{self._path}-drivers"
        path = os.path.join(directory, f"{stem_of(fields.name(id, 'id'))}.driver")
        with (
            os_errors_as_store_errors(f"rollout {id!r} can't be locked for a driver"),
            suppress(FileExistsError),
        ):
            os.mkdir(directory)
        return driven(path, id)

    # ------------------------------------------------------------------------------------- its rows

    def _where(self, id: str) -> str:
        return f"{self._path}: rollout {id!r}"

    def _stored(self, db: sqlite3.Connection, id: str) -> Rollout | None:
        for (text,) in db.execute(LOAD, (id,)):
            return self._recent.read(text, id, where=self._where(id))
        return None

    def _check_notes(self, db: sqlite3.Connection, id: str, found: int | None) -> None:
        """Raise `StateError` if there are notes of a later save than the state's, ``found``.

        The notes of another history must not become part of this one.
        """
        [(newest,)] = db.execute(NEWEST, (id,))
        if newest is not None and (found is None or newest > found):
            stored = (
                "no state is stored" if found is None else f"the stored state is at serial {found}"
            )
            raise StateError(
                f"{stored}, and there are notes of serial {newest}: one of the two was "
                "restored, edited or removed without the other. "
                "Both are left as they are; put the matching one back, or move these notes "
                "away to go on without them",
                path=self._where(id),
            )

    def _page(self, id: str, last: tuple[int, int], upto: int) -> list[tuple[int, int, bytes]]:
        with self._database.reading(f"the notes of rollout {id!r} can't be read") as db:
            return db.execute(NOTES, (id, *last, upto, PAGE)).fetchall()


def _places(
    db: sqlite3.Connection, wanted: Wanted, last: tuple[str, str], size: int
) -> list[tuple[str, str]]:
    """Return the next places (created, id) of what may be wanted, newest first, at most ``size``.

    A phase that can't be told by the index may be any.
    """
    since = "" if wanted.since is None else _time(wanted.since)
    in_order = (*last, since, size)
    keys = {"", *(f'{phase.value}"'[:5] for phase in wanted.possible or ())}
    if wanted.service is not None:
        phases = "" if wanted.possible is None else " ".join(sorted(keys))
        return db.execute(OF_A_SERVICE, (wanted.service, phases, phases, *in_order)).fetchall()
    if wanted.possible is None:
        return db.execute(NEWEST_ROLLOUTS, in_order).fetchall()
    found = [place for key in sorted(keys) for place in db.execute(OF_A_PHASE, (key, *in_order))]
    return sorted(found, reverse=True)[:size]


def _upsert(db: sqlite3.Connection, rollout: Rollout, state: str) -> None:
    """Insert or update the row of a rollout; `ConflictError` if its service has another one."""
    service = rollout.release.service
    wake_at = None if rollout.wake_at is None else _time(rollout.wake_at)
    try:
        db.execute(
            SAVE,
            (rollout.id, service, _time(rollout.clocks.created), not rollout.final, wake_at, state),
        )
    except sqlite3.IntegrityError:
        for (other,) in db.execute(ACTIVE, (service, rollout.id)):
            raise second(rollout, other) from None
        raise


def _time(at: datetime) -> str:
    """Format a time as text that sorts by time: always with milliseconds."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
