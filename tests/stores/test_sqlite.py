"""The SQLite store: what its database holds to, and whose errors become which (R21, R25, R34, R35);
`test_contract` has the rest.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.support.places import HERE, ID, by_hand, environment, held, saved
from tests.support.rules import rule
from tests.support.sqlite_faults import Statements, fails
from tests.support.store_contract import AT, a_rollout, all_notes, ended, some_notes, together

from progressive import ConflictError, StateError, StrategyError
from progressive.errors import Failure, StoreError
from progressive.stores import database as _database
from progressive.stores import sqlite
from progressive.stores.sqlite import SqliteStore


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "rollouts").mkdir()
    return tmp_path / "rollouts"


@pytest.fixture
def path(directory: Path) -> Path:
    return directory / "rollouts.db"


@pytest.fixture
def store(path: Path) -> SqliteStore:
    return SqliteStore(path)


def assert_whole(path: Path, *serials: int) -> int:
    """What a new store finds is one of these states, with exactly its notes, in a sound database.
    Gives its serial.
    """
    store = SqliteStore(path)
    found = store.load(ID)
    assert found is not None
    assert found.serial in serials
    assert found == a_rollout(serial=found.serial)
    assert list(store.notes(ID)) == all_notes(ID, *range(found.serial + 1))
    with by_hand(path) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    return found.serial


ACTS: dict[str, Callable[[SqliteStore], object]] = {
    "load": lambda store: store.load(ID),
    "due": lambda store: store.due(AT),
    "last": lambda store: store.last("checkout"),
    "notes": lambda store: store.notes(ID),
    "save": lambda store: store.save(a_rollout(serial=3), some_notes(3), expected=2),
}

every_act = pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)


# --------------------------------------------------------------------------------------- the layout


def test_a_database_is_made_where_there_is_none_and_nothing_else(
    path: Path, directory: Path
) -> None:
    store = SqliteStore(str(path))

    assert [entry.name for entry in directory.iterdir()] == ["rollouts.db"]
    assert store.load(ID) is None
    assert store.last("checkout") is None
    assert list(store.due(AT)) == []


def test_two_that_make_the_same_database_at_one_moment_both_have_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one finds the file empty, and the tables made when its turn comes."""
    first_look = iter([True])

    class Late(Statements):
        def connect(self, *given: Any, **named: Any) -> sqlite3.Connection:
            if len(self.said) > 3 and next(first_look, False):
                with monkeypatch.context() as patch:
                    patch.setattr(_database, "sqlite3", sqlite3)
                    saved(SqliteStore(path), 0)
            return super().connect(*given, **named)

    late = Late()
    with monkeypatch.context() as patch:
        late.install(patch)
        store = SqliteStore(path)

    assert list(first_look) == []
    assert store.load(ID) == a_rollout()


def test_what_is_due_last_or_active_is_found_without_reading_every_rollout(
    store: SqliteStore, path: Path
) -> None:
    with by_hand(path) as db:
        plans = [
            [line for *_, line in db.execute(f"EXPLAIN QUERY PLAN {sql}", given)]
            for sql, given in (
                (sqlite.DUE, ("", 1)),
                *((query, ("",)) for query in sqlite.LAST),
                (sqlite.ACTIVE, ("", "")),
                (sqlite.NEWEST, ("",)),
                (sqlite.NOTES, ("", 0, 0, 9, 1)),
            )
        ]

    assert all(
        len(plan) == 1 and re.match(r"SEARCH (TABLE )?\w+ USING (COVERING )?INDEX", plan[0])
        for plan in plans
    ), plans


@rule("R21")
def test_the_database_itself_holds_a_service_to_one_active_rollout(
    store: SqliteStore, path: Path
) -> None:
    saved(store, 0)

    with (
        by_hand(path) as db,
        pytest.raises(sqlite3.IntegrityError, match=r"UNIQUE constraint failed: rollouts\.service"),
    ):
        db.execute(
            "INSERT INTO rollouts SELECT 'other', service, created, active, wake_at, state "
            "FROM rollouts"
        )


@rule("R21")
def test_a_rollout_that_comes_to_life_again_beside_another_is_refused(store: SqliteStore) -> None:
    store.save(ended(a_rollout("old")), (), expected=None)
    saved(store, 0)

    with pytest.raises(
        ConflictError, match="service 'checkout' has an active rollout, 'checkout-42'"
    ):
        store.save(a_rollout("old", serial=1), some_notes(1), expected=0)
    assert store.load("old") == ended(a_rollout("old"))
    assert list(store.notes("old")) == []


# -------------------------------------------------------------------------------------------- notes


@pytest.mark.parametrize("page", [1, 2, 3, 500])
def test_notes_are_read_in_pages_and_none_is_lost_or_read_twice(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr(sqlite, "PAGE", page)
    saved(store, 3, many=3)
    store.save(a_rollout("another", service="cart"), some_notes(0), expected=None)

    assert list(store.notes(ID)) == all_notes(ID, 0, 1, 2, 3, many=3)


def test_who_reads_notes_slowly_keeps_no_save_waiting_and_sees_none_of_it(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "PAGE", 1)
    monkeypatch.setattr(_database, "BUSY_WAIT", 0)
    saved(store, 1)
    reading = iter(store.notes(ID))
    first = next(reading)
    store.save(a_rollout(serial=2), some_notes(2), expected=1)

    assert [first, *reading] == all_notes(ID, 0, 1)


@rule("R34")
def test_a_note_that_was_edited_is_refused_with_its_id(store: SqliteStore, path: Path) -> None:
    saved(store, 1)
    with by_hand(path) as db:
        db.execute('UPDATE notes SET note = \'{"kind":"refused"}\' WHERE serial = 1 AND n = 0')
    reading = iter(store.notes(ID))

    assert [next(reading), next(reading)] == all_notes(ID, 0)
    with pytest.raises(StateError, match=re.escape(f"{path}: note 'checkout-42/1/0': $")):
        next(reading)


def test_the_trail_of_a_state_that_can_not_be_read_can_be_read(
    store: SqliteStore, path: Path
) -> None:
    saved(store, 1)
    with by_hand(path) as db:
        db.execute("UPDATE rollouts SET state = '{'")

    assert list(store.notes(ID)) == all_notes(ID, 0, 1)


@rule("R34")
@pytest.mark.parametrize(
    ("by", "said"),
    [
        ("DELETE FROM rollouts", "no state is stored"),
        (
            "UPDATE rollouts SET state = replace(state, '\"serial\":2', '\"serial\":1')",
            "the stored state is at serial 1",
        ),
    ],
    ids=["removed", "restored"],
)
def test_a_state_that_was_restored_or_removed_without_its_notes_is_not_written_over(
    store: SqliteStore, path: Path, by: str, said: str
) -> None:
    saved(store, 2)
    with by_hand(path) as db:
        db.execute(by)
    stored, before = store.load(ID), held(path.parent)

    said = (
        f"{re.escape(str(path))}: rollout 'checkout-42': {said}, and there are notes of serial "
        "2: .*move these notes away"
    )
    with pytest.raises(StateError, match=said):
        store.save(a_rollout(serial=5), (), expected=None if stored is None else stored.serial)
    assert held(path.parent) == before


def test_notes_that_were_moved_away_begin_anew(store: SqliteStore, path: Path) -> None:
    saved(store, 2)
    with by_hand(path) as db:
        db.execute("DELETE FROM notes")
    store.save(a_rollout(serial=3), some_notes(3), expected=2)

    assert list(store.notes(ID)) == all_notes(ID, 3)


# -------------------------------------------------------------------------------- interrupted saves


LAYOUT_IS_ASKED = ["PRAGMA"] * 2
STATEMENTS = [
    *["PRAGMA"] * 4,
    "BEGIN",
    *LAYOUT_IS_ASKED,
    "SELECT",
    "SELECT",
    "INSERT",
    "INSERT",
    "COMMIT",
]


def run_into(path: Path, statements: Statements) -> StoreError | None:
    """The save that follows serial 1; what it raised."""
    with pytest.MonkeyPatch.context() as patch:
        store = SqliteStore(path)
        statements.install(patch)
        try:
            store.save(a_rollout(serial=2), some_notes(2), expected=1)
        except StoreError as error:
            return error
    return None


def test_a_save_is_these_statements(store: SqliteStore, path: Path) -> None:
    saved(store, 1)
    statements = Statements()

    assert run_into(path, statements) is None
    assert statements.said == STATEMENTS


@rule("R25")
@pytest.mark.parametrize(
    ("at", "after"),
    [*((at, False) for at in range(4, len(STATEMENTS))), (len(STATEMENTS) - 1, True)],
)
def test_a_process_that_dies_between_two_statements_leaves_the_old_or_the_new_whole(
    store: SqliteStore, path: Path, at: int, after: bool
) -> None:
    saved(store, 1)
    command = [sys.executable, HERE / "sqlite_faults.py", path.parent, str(at), str(after)]
    done = subprocess.run(command, capture_output=True, env=environment(), check=False)

    assert done.returncode == -9, done.stderr
    assert assert_whole(path, 1, 2) == (2 if after else 1)


@rule("R25")
@pytest.mark.parametrize(
    ("code", "failure"),
    [
        (sqlite3.SQLITE_BUSY, Failure.TRANSIENT),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, Failure.TRANSIENT),
        (sqlite3.SQLITE_FULL, Failure.TRANSIENT),
        (sqlite3.SQLITE_IOERR, Failure.TRANSIENT),
        (sqlite3.SQLITE_IOERR_FSYNC, Failure.TRANSIENT),
        (sqlite3.SQLITE_READONLY, Failure.PERMANENT),
        (sqlite3.SQLITE_READONLY_DIRECTORY, Failure.PERMANENT),
        (sqlite3.SQLITE_CORRUPT, Failure.PERMANENT),
        (sqlite3.SQLITE_ERROR, Failure.PERMANENT),
    ],
)
def test_an_error_anywhere_is_a_store_error_and_nothing_is_saved(
    store: SqliteStore, path: Path, code: int, failure: Failure
) -> None:
    saved(store, 1)
    for at, _ in enumerate(STATEMENTS[:-1]):
        error = run_into(path, Statements(at, fails(code, "SQLite's own words")))
        assert error is not None
        assert error.failure is failure
        assert str(error).startswith(
            "rollout 'checkout-42' was not saved, and what was stored before stands: "
            f"{path}: SQLite's own words"
        )
        assert "; " in str(error)

    assert assert_whole(path, 1) == 1


@rule("R25")
@pytest.mark.parametrize("code", [sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL])
def test_a_commit_that_is_refused_has_done_nothing(
    store: SqliteStore, path: Path, code: int
) -> None:
    """SQLite says these before it truncates the journal, which is what commits."""
    saved(store, 1)
    error = run_into(path, Statements(len(STATEMENTS) - 1, fails(code, "SQLite's own words")))

    assert error is not None
    assert error.failure is Failure.TRANSIENT
    assert assert_whole(path, 1) == 1


@rule("R25")
@pytest.mark.parametrize(
    "code", [sqlite3.SQLITE_IOERR_DELETE, sqlite3.SQLITE_IOERR_DIR_FSYNC, sqlite3.SQLITE_CORRUPT]
)
@pytest.mark.parametrize("done", [False, True], ids=["nothing done", "all done"])
def test_a_commit_that_fails_in_the_middle_is_unknown(
    store: SqliteStore, path: Path, code: int, done: bool
) -> None:
    saved(store, 1)
    error = run_into(
        path, Statements(len(STATEMENTS) - 1, fails(code, "SQLite's own words"), after=done)
    )

    assert error is not None
    assert error.failure is Failure.UNKNOWN
    assert (
        str(error) == "rollout 'checkout-42' was perhaps saved, perhaps not; load it before saving "
        f"again: {path}: SQLite's own words"
    )
    assert assert_whole(path, 1, 2) == (2 if done else 1)


@rule("R25")
def test_a_full_database_refuses_a_save_and_takes_a_smaller_one(
    store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(store, 1)
    with by_hand(path) as db:
        [(pages,)] = db.execute("PRAGMA page_count")
    monkeypatch.setattr(
        _database, "SETTINGS", (*_database.SETTINGS, f"PRAGMA max_page_count = {pages}")
    )

    with pytest.raises(
        StoreError, match="database or disk is full; it may pass: try again"
    ) as caught:
        store.save(a_rollout(serial=2), some_notes(2, 900), expected=1)
    assert caught.value.failure is Failure.TRANSIENT
    assert_whole(path, 1)
    store.save(a_rollout(serial=2), (), expected=1)


def test_a_connection_is_set_to_outlive_a_power_cut(store: SqliteStore) -> None:
    """EXTRA is 3: what commits is synced, a truncated journal, or the directory of one that was
    removed.
    """
    with store._database.reading("", to_write=True) as db:
        asked = [
            db.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("synchronous", "fullfsync", "journal_mode")
        ]

    assert asked == [3, 1, "truncate"]


def test_a_save_leaves_an_empty_journal_and_one_by_an_older_version_goes_beside_it(
    store: SqliteStore, path: Path
) -> None:
    saved(store, 1)
    assert (path.parent / "rollouts.db-journal").stat().st_size == 0
    with by_hand(path) as db:  # as SQLite does by default: it removes the journal
        db.execute("UPDATE rollouts SET wake_at = NULL")
    assert not (path.parent / "rollouts.db-journal").exists()
    store.save(a_rollout(serial=2), some_notes(2), expected=1)

    assert assert_whole(path, 2) == 2


# ------------------------------------------------------------------------------------------- locked


HOLDER = """import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute(sys.argv[2])
print("locked", flush=True)
sys.stdin.read()
"""


@rule("R25")
@pytest.mark.parametrize(
    ("begin", "acts"), [("BEGIN EXCLUSIVE", list(ACTS)), ("BEGIN IMMEDIATE", ["save"])]
)
def test_what_another_process_keeps_locked_is_a_store_error_and_its_death_ends_it(
    store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch, begin: str, acts: list[str]
) -> None:
    saved(store, 2)
    command = [sys.executable, "-c", HOLDER, path, begin]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        monkeypatch.setattr(_database, "BUSY_WAIT", 0.02)
        for name, act in ACTS.items():
            if name not in acts:
                act(store)
                continue
            with pytest.raises(
                StoreError, match=r"database is locked for 0\.02 s; it may pass: try again"
            ) as caught:
                act(store)
            assert caught.value.failure is Failure.TRANSIENT
        holder.kill()

    assert_whole(path, 2)
    ACTS["save"](store)


@rule("R25")
def test_a_save_waits_for_a_reader_and_says_so_when_that_takes_too_long(
    store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit itself finds it busy, and nothing is done."""
    saved(store, 2)
    monkeypatch.setattr(_database, "BUSY_WAIT", 0.02)

    with by_hand(path) as db:
        db.execute("BEGIN")
        db.execute("SELECT * FROM rollouts").fetchone()
        with pytest.raises(StoreError, match="database is locked") as caught:
            ACTS["save"](store)
    assert caught.value.failure is Failure.TRANSIENT
    assert_whole(path, 2)


# ------------------------------------------------------------------ what is not, or no longer, ours


@pytest.mark.parametrize("name", [":memory:", ""])
def test_a_database_in_memory_is_refused_and_another_store_named(name: str) -> None:
    with pytest.raises(
        StrategyError,
        match=r"SqliteStore\('.*'\): each connection would have .* of its own; "
        r".*progressive\.testing\.MemoryStore",
    ):
        SqliteStore(name)


@pytest.mark.parametrize(
    "name", ["file:x?mode=memory", "a b?c#d%41", "käse.db", "100%.db", b"bytes\xff.db"]
)
def test_a_path_is_the_name_of_a_file_and_nothing_else(
    directory: Path, name: str | bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(directory)
    saved(SqliteStore(name), 0)  # type: ignore[arg-type]

    assert set(os.listdir(directory)) == {os.fsdecode(name), f"{os.fsdecode(name)}-journal"}


def test_a_link_to_a_database_has_the_same_drivers(
    store: SqliteStore, path: Path, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(path)

    with (
        store.driving(ID),
        pytest.raises(ConflictError, match="is driven by"),
        SqliteStore(tmp_path / "link").driving(ID),
    ):
        pass


def foreign(path: Path) -> None:
    with by_hand(path) as db:
        db.execute("CREATE TABLE users (name TEXT)")
        db.execute("INSERT INTO users VALUES ('eve')")


def marked(application: int, layout: int) -> Callable[[Path], None]:
    """A database of ours, with these numbers in its header."""

    def mark(path: Path) -> None:
        saved(SqliteStore(path), 2)
        with by_hand(path) as db:
            db.execute(f"PRAGMA application_id = {application}")
            db.execute(f"PRAGMA user_version = {layout}")

    return mark


def malformed(path: Path) -> None:
    """Sound at its head only."""
    saved(SqliteStore(path), 2, many=200)
    data = path.read_bytes()
    path.write_bytes(data[:100] + b"\xff" * (len(data) - 100))


NO_DATABASE = "file is not a database; give another path, or move it away"
ANOTHERS = (
    "is a database of another application (application_id {}, user_version {}, {} in it); give "
    "another path"
)
LAYOUT = "has layout {}, and this version reads layout 1: {}"
OURS = "longest_overdue, newest_of_a_service, notes"

NOT_OURS = pytest.mark.parametrize(
    ("make", "said"),
    [
        pytest.param(lambda path: path.write_bytes(b"not a database"), NO_DATABASE, id="text"),
        pytest.param(
            lambda path: path.write_bytes(b"not a database" * 1000), NO_DATABASE, id="much text"
        ),
        pytest.param(
            lambda path: path.write_bytes(b"SQLite format 3\0" + b"\xff" * 5000),
            NO_DATABASE,
            id="a bad header",
        ),
        pytest.param(
            malformed,
            "database disk image is malformed; restore it from a backup, or move it away",
            id="malformed",
        ),
        pytest.param(foreign, ANOTHERS.format(0, 0, "users"), id="another application's"),
        pytest.param(marked(0, 0), ANOTHERS.format(0, 0, OURS), id="unmarked"),
        pytest.param(marked(7, 1), ANOTHERS.format(7, 1, OURS), id="marked by another"),
        pytest.param(
            marked(_database.APPLICATION, 2),
            LAYOUT.format(2, "written by a newer version of progressive; upgrade"),
            id="newer",
        ),
        pytest.param(
            marked(_database.APPLICATION, 0),
            LAYOUT.format(0, "restore it from a backup"),
            id="no layout",
        ),
    ],
)


@rule("R34", "R35")
@NOT_OURS
def test_what_is_not_a_database_of_ours_is_refused_by_name_and_not_touched(
    path: Path, make: Callable[[Path], None], said: str
) -> None:
    make(path)
    before = held(path.parent)

    with pytest.raises(StoreError, match=re.escape(str(path)) + ".*" + re.escape(said)) as caught:
        SqliteStore(path)
    assert caught.value.failure is Failure.PERMANENT
    assert held(path.parent) == before


@rule("R34", "R35")
@every_act
@NOT_OURS
def test_a_database_that_was_replaced_is_refused_at_the_next_call(
    path: Path,
    tmp_path: Path,
    make: Callable[[Path], None],
    said: str,
    act: Callable[[SqliteStore], object],
) -> None:
    store = SqliteStore(path)
    make(tmp_path / "made.db")
    shutil.copyfile(tmp_path / "made.db", path)
    before = held(path.parent)

    with pytest.raises(StoreError, match=re.escape(str(path)) + ".*" + re.escape(said)) as caught:
        act(store)
    assert caught.value.failure is Failure.PERMANENT
    assert held(path.parent) == before


@every_act
def test_a_database_that_has_become_empty_is_not_a_new_one(
    store: SqliteStore, path: Path, act: Callable[[SqliteStore], object]
) -> None:
    saved(store, 2)
    path.write_bytes(b"")

    with pytest.raises(
        StoreError, match=re.escape(f"{path} has become empty; restore it")
    ) as caught:
        act(store)
    assert caught.value.failure is Failure.PERMANENT
    assert path.read_bytes() == b""


@every_act
def test_a_database_that_has_gone_is_not_made_anew(
    store: SqliteStore, path: Path, act: Callable[[SqliteStore], object]
) -> None:
    saved(store, 2)
    path.unlink()

    with pytest.raises(
        StoreError,
        match=re.escape(
            f"{path}: unable to open database file; mend the file, its directory or their rights"
        ),
    ):
        act(store)
    assert [entry.name for entry in path.parent.iterdir()] == ["rollouts.db-journal"]


def test_an_empty_file_becomes_a_database(path: Path) -> None:
    path.touch()
    saved(SqliteStore(path), 0)

    assert_whole(path, 0)


@pytest.mark.parametrize(
    "name", ["", "missing/rollouts.db"], ids=["a directory", "in a directory that is not there"]
)
def test_what_can_not_be_a_database_is_said_at_once(directory: Path, name: str) -> None:
    said = (
        f"rollouts can't be kept there: {directory / name}: unable to open database file; mend "
        "the file, its directory or their rights"
    )
    with pytest.raises(StoreError, match=re.escape(said)) as caught:
        SqliteStore(directory / name)
    assert caught.value.failure is Failure.PERMANENT


@rule("R34")
def test_a_text_that_is_no_text_is_a_state_error(store: SqliteStore, path: Path) -> None:
    saved(store, 0)
    for value in (b"\xff\xfe", 7, 1.5):
        with by_hand(path) as db:
            db.execute("UPDATE rollouts SET state = ?", (value,))
        with pytest.raises(StateError, match=re.escape(f"{path}: rollout 'checkout-42': $")):
            store.load(ID)


def test_an_id_that_is_no_text_is_a_store_error(store: SqliteStore, path: Path) -> None:
    saved(store, 0)
    with by_hand(path) as db:
        db.execute("UPDATE rollouts SET id = CAST(x'ff' AS TEXT)")

    with pytest.raises(StoreError, match="Could not decode to UTF-8") as caught:
        store.due(AT)
    assert caught.value.failure is Failure.PERMANENT


# --------------------------------------------------------------------------------- threads, the log


def test_many_threads_read_and_save_with_one_store(store: SqliteStore) -> None:
    """Each its own rollout; nothing is shared but the file."""

    def work(n: int) -> None:
        id = f"rollout-{n}"
        for serial in range(8):
            store.save(
                a_rollout(id, serial=serial, service=id),
                some_notes(serial),
                expected=serial - 1 if serial else None,
            )
            assert store.load(id) == store.last(id) == a_rollout(id, serial=serial, service=id)
        assert list(store.notes(id)) == all_notes(id, *range(8))

    together(*(partial(work, n) for n in range(4)))

    assert len(store.due(AT)) == 4


def test_a_database_that_somebody_turned_to_the_write_ahead_log_works_and_stays_so(
    store: SqliteStore, path: Path
) -> None:
    with by_hand(path) as db:
        db.execute("PRAGMA journal_mode = WAL")
    saved(store, 3)

    assert_whole(path, 3)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA journal_mode").fetchall() == [("wal",)]
