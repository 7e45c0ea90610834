"""Lists of what is stored on a disk: cheap, whole while others save, and silent about nothing; that
they are right is in `test_contract`.
"""

from __future__ import annotations

import logging
import os
import random
import re
import shutil
import sqlite3
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
from tests.support.places import ID, PLACES, Place, a_directory_for_all, as_nobody, by_hand, saved
from tests.support.store_contract import AT, a_rollout, ended, together

from progressive import Phase, StateError, StrategyError, dumps
from progressive.errors import StoreError
from progressive.stores import database, glances, sqlite
from progressive.stores.file import FileStore
from progressive.stores.sqlite import SqliteStore
from progressive.testing.contract.listing_laws import a_cause, in_phase, waiting_for_approval


@pytest.fixture(params=PLACES, ids=lambda place: place.name)
def place(request: pytest.FixtureRequest) -> Place:
    found: Place = request.param
    return found


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "rollouts"


@pytest.fixture
def store(place: Place, directory: Path) -> Any:
    return place.open(directory)


def ids(page: Any) -> list[str]:
    return [rollout.id for rollout in page]


def fill(store: Any, count: int) -> None:
    for n in range(count):
        id = f"r{n}"
        store.save(a_rollout(id, service=id, created=AT + timedelta(seconds=n)), (), expected=None)


# ---------------------------------------------------------------------------- what can't be read


@pytest.mark.parametrize("broken", [b"", b"{", b"[]", b"\xff", b'{"format":99}'])
def test_what_can_not_be_read_hides_no_other_and_is_named(
    store: Any, place: Place, directory: Path, broken: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    store.save(a_rollout(), (), expected=None)
    fill(store, 3)
    place.spoil(directory, "0-broken", broken)

    with caplog.at_level(logging.WARNING, "progressive.stores"):
        page = store.rollouts()

    assert ids(page) == ["r2", "r1", ID, "r0"] or ids(page) == ["r2", "r1", "r0", ID]
    [(id, error)] = page.unreadable
    assert id == "0-broken"
    assert isinstance(error, StateError)
    assert error.path.startswith(f"{place.where(directory, '0-broken')}: $")
    [record] = caplog.records
    assert (record.name, record.rollout) == ("progressive.stores", "0-broken")
    assert str(error) in record.getMessage()


def test_what_can_not_be_read_may_be_any_of_those_that_are_asked_for(
    store: Any, place: Place, directory: Path
) -> None:
    store.save(a_rollout(), (), expected=None)
    place.spoil(directory, "0-broken", b"{")

    for asked in ({"phase": Phase.HELD}, {"waiting_for_person": True}, {"phase": "promoted"}):
        page = store.rollouts(**asked)
        assert (ids(page), [id for id, _ in page.unreadable]) == ([], ["0-broken"])


def test_a_state_that_is_mended_is_listed_again(store: Any, place: Place, directory: Path) -> None:
    store.save(a_rollout(), (), expected=None)
    whole = place.state(directory, ID)
    place.spoil(directory, ID, b"{")
    assert [id for id, _ in store.rollouts().unreadable] == [ID]
    assert ids(store.rollouts()) == []

    place.spoil(directory, ID, whole)

    assert ids(store.rollouts()) == [ID]
    assert store.rollouts().unreadable == ()


def test_an_edited_state_is_found_by_what_it_says_now(
    store: Any, place: Place, directory: Path
) -> None:
    """Laid out for a person to read, as an editor or a formatter does it."""
    held = in_phase(a_rollout(), Phase.HELD, a_cause(person=True))
    store.save(held, (), expected=None)
    spaced = place.state(directory, ID).replace(b":", b": ").replace(b"T09: 00: 00", b"T09:00:00")
    place.spoil(directory, ID, spaced)

    assert place.open(directory).load(ID) == held
    assert ids(store.rollouts(phase=Phase.HELD)) == [ID]
    assert ids(store.rollouts(waiting_for_person=True)) == [ID]
    assert ids(store.rollouts(phase=Phase.PENDING)) == []


def test_a_place_that_can_not_be_read_at_all_is_an_error(store: Any, directory: Path) -> None:
    saved(store, 0)
    store.rollouts()
    directory.rename(directory.with_name("unmounted"))

    with pytest.raises(StoreError):
        store.rollouts()


def test_a_place_that_may_only_be_read_is_listed(place: Place) -> None:
    with a_directory_for_all() as directory:
        store = place.open(directory)
        saved(store, 0)

        with as_nobody(directory):
            for handle in (store, place.open(directory)):
                assert ids(handle.rollouts()) == [ID]
                assert ids(handle.rollouts(phase=Phase.PENDING)) == [ID]


def test_only_what_is_stored_is_a_place_to_go_on(store: Any) -> None:
    with pytest.raises(
        StrategyError, match=r"rollouts\(after='gone'\): .* pass the Rollout itself"
    ):
        store.rollouts(after="gone")


# ---------------------------------------------------------------------------- while others save


def test_a_list_is_whole_while_others_save_and_start(
    place: Place, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every rollout that was there at the beginning is on one of the pages, and only one, whatever
    is saved meanwhile; and of what a save has brought, the next list knows.
    """
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    monkeypatch.setattr(database, "SETTINGS", ("PRAGMA synchronous = OFF",))
    fill(place.open(directory), 30)
    expected, over = [f"r{n}" for n in reversed(range(30))], threading.Event()

    def save() -> None:
        store, dice = place.open(directory), random.Random(7)
        for n in range(60):
            id = f"r{dice.randrange(30)}"
            before = store.load(id)
            assert before is not None
            store.save(attrs.evolve(before, serial=before.serial + 1), (), expected=before.serial)
            new = f"new-{n}"
            store.save(
                a_rollout(new, service=new, created=AT + timedelta(hours=1, seconds=n)),
                (),
                expected=None,
            )
            assert ids(store.rollouts(limit=1)) == [new]
        over.set()

    def read() -> None:
        store = place.open(directory)
        while not over.is_set():
            page = store.rollouts(limit=7)
            listed = ids(page)
            while page:
                page = store.rollouts(limit=7, after=page[-1])
                listed += ids(page)
                assert page.unreadable == ()
            assert [id for id in listed if id.startswith("r")] == expected

    together(save, read)


def test_what_is_older_than_is_asked_for_is_not_read(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, 9)
    read, honest = list[str](), store._recent.read

    def noted(text: bytes, id: str, *, where: str) -> Any:
        read.append(id)
        return honest(text, id, where=where)

    monkeypatch.setattr(store._recent, "read", noted)

    assert ids(store.rollouts(since=AT + timedelta(seconds=7))) == ["r8", "r7"]
    assert read == ["r8", "r7"]


def test_who_waits_for_a_person_is_known_as_soon_as_it_is_saved(store: Any) -> None:
    baking = in_phase(a_rollout(), Phase.PROGRESSING)
    asking = attrs.evolve(
        waiting_for_approval(ID, service="checkout"), routing=baking.routing, release=baking.release
    )
    store.save(baking, (), expected=None)
    for serial in range(1, 7):
        waits = bool(serial % 2)
        store.save(
            attrs.evolve(asking if waits else baking, serial=serial), (), expected=serial - 1
        )

        assert ids(store.rollouts(waiting_for_person=True)) == [ID] * waits
        assert ids(store.rollouts(waiting_for_person=False)) == [ID] * (not waits)


# ------------------------------------------------------------------------------------ cheap: SQLite


@pytest.fixture
def path(directory: Path) -> Path:
    directory.mkdir()
    return directory / "rollouts.db"


LISTS = {
    "all": (sqlite.NEWEST_ROLLOUTS, (*sqlite.END, "", 9)),
    "of a phase": (sqlite.OF_A_PHASE, ('held"', *sqlite.END, "", 9)),
    "of a service": (sqlite.OF_A_SERVICE, ("shop", "", "", *sqlite.END, "", 9)),
}


@pytest.mark.parametrize(("sql", "given"), LISTS.values(), ids=LISTS)
def test_a_page_is_found_by_an_index_and_sorts_nothing(
    path: Path, sql: str, given: tuple[Any, ...]
) -> None:
    SqliteStore(path)
    with by_hand(path) as db:
        plan = [line for *_, line in db.execute(f"EXPLAIN QUERY PLAN {sql}", given)]

    assert len(plan) == 1
    assert re.match(r"SEARCH (TABLE )?rollouts USING (COVERING )?INDEX", plan[0]), plan


def before_there_were_lists(path: Path) -> None:
    """Make a database as an older version of this library does."""
    with by_hand(path) as db:
        for statement in (
            *database.TABLES,
            f"PRAGMA application_id = {database.APPLICATION}",
            f"PRAGMA user_version = {database.LAYOUT}",
        ):
            db.execute(statement)


def saved_by_an_older_version(path: Path, rollout: Any) -> None:
    """It knows of no columns and indexes but its own."""
    with by_hand(path) as db:
        sqlite._upsert(db, rollout, dumps(rollout))


def indexes(path: Path) -> set[str]:
    with by_hand(path) as db:
        return {name for (name,) in db.execute("SELECT name FROM sqlite_master")}


def test_a_database_of_an_older_version_is_listed_and_gets_the_indexes(path: Path) -> None:
    before_there_were_lists(path)
    saved_by_an_older_version(path, in_phase(a_rollout(), Phase.HELD, a_cause(person=True)))
    assert "rollouts_by_phase" not in indexes(path)

    store = SqliteStore(path)

    assert {"rollouts_by_age", "rollouts_by_phase"} <= indexes(path)
    assert ids(store.rollouts(phase=Phase.HELD)) == [ID]
    SqliteStore(path)
    assert ids(store.rollouts()) == [ID]


def test_what_an_older_version_saves_meanwhile_is_listed_by_its_new_phase(path: Path) -> None:
    store = SqliteStore(path)
    saved_by_an_older_version(path, a_rollout())
    assert ids(store.rollouts(phase=Phase.PENDING)) == [ID]

    saved_by_an_older_version(path, ended(a_rollout(serial=1)))

    assert ids(store.rollouts(phase=Phase.PENDING)) == []
    assert ids(store.rollouts(phase=Phase.ROLLED_BACK)) == [ID]


def test_a_database_that_may_only_be_read_is_listed_without_indexes() -> None:
    with a_directory_for_all() as directory:
        directory.mkdir()
        path = directory / "rollouts.db"
        before_there_were_lists(path)
        saved_by_an_older_version(path, ended(a_rollout()))

        with as_nobody(directory):
            assert_listed_without_indexes(path, SqliteStore(path))


def test_a_database_that_is_in_use_gets_its_indexes_another_time(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_WAIT", 0.01)
    before_there_were_lists(path)
    saved_by_an_older_version(path, ended(a_rollout()))
    with by_hand(path) as db:
        db.execute("BEGIN IMMEDIATE")
        store = SqliteStore(path)

    assert_listed_without_indexes(path, store)
    SqliteStore(path)
    assert "rollouts_by_phase" in indexes(path)


def test_an_sqlite_that_has_no_such_indexes_lists_without(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before_there_were_lists(path)
    saved_by_an_older_version(path, ended(a_rollout()))
    monkeypatch.setattr(database, "INDEXES", ("CREATE INDEX x ON rollouts (nosuch(state))",))

    assert_listed_without_indexes(path, SqliteStore(path))


def assert_listed_without_indexes(path: Path, store: SqliteStore) -> None:
    assert "rollouts_by_phase" not in indexes(path)
    assert ids(store.rollouts(phase=Phase.ROLLED_BACK)) == [ID]
    assert ids(store.rollouts(phase=Phase.HELD)) == []


PHASES = {
    **{
        phase: (f'{{"progress":{{"phase":"{phase.value}"}}}}', f'{phase.value}"'[:5])
        for phase in Phase
    },
    "the default": ('{"progress":{"step":2}}', ""),
    "nothing": ("", ""),
    "cut off": ('{"progress":{"phase":"he', "he"),
    "with spaces": ('{"progress": {"phase": "held"}}', ""),
    "a memory's own": ('{"progress":{"step":1,"memory":{"progress":{"phase":"held"}}}}', ""),
    "a step's own": ('{"plan":{"progress":{"phase":"held"}},"progress":{}}', ""),
    "a short text": ('"phase":"held"'.rjust(25), ""),
    "two": ('{"x":{"progress":{"phase":"held"}},"progress":{"phase":"promoted"}}', ""),
    "in a text": ('{"why":"\\"progress\\":{\\"phase\\":\\"held\\"","progress":{"step":2}}', ""),
}


@pytest.mark.parametrize(("text", "key"), PHASES.values(), ids=map(str, PHASES))
def test_the_phase_is_told_out_of_the_stored_text_or_not_at_all(text: str, key: str) -> None:
    with sqlite3.connect(":memory:") as db:
        [found] = db.execute(f"SELECT {database.PHASE} FROM (SELECT ? AS state)", (text,))

    assert found == (key,)


def test_a_list_keeps_no_save_waiting_while_its_states_are_read(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transaction is over before the first rollout is made of its text."""
    store = SqliteStore(path)
    store.save(a_rollout(), (), expected=None)
    monkeypatch.setattr(database, "BUSY_WAIT", 0.01)

    def save_then_read(text: bytes, id: str, wanted: Any, *, where: str) -> Any:
        before = SqliteStore(path).load(ID)
        assert before is not None
        store.save(attrs.evolve(before, serial=before.serial + 1), (), expected=before.serial)
        return before

    monkeypatch.setattr(store._recent, "wanted", save_then_read)

    assert ids(store.rollouts()) == [ID]


# ------------------------------------------------------------------------------------- cheap: files


class Reads:
    """Which files a store reads, and when it lists the directory."""

    def __init__(self, store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
        self.files: list[str] = []
        self.scans = 0
        read, scan = store._read, os.scandir

        def noted(path: str) -> bytes | None:
            self.files.append(Path(path).stem)
            return read(path)

        def counted(path: Any) -> Any:
            self.scans += 1
            return scan(path)

        monkeypatch.setattr(store, "_read", noted)
        monkeypatch.setattr(glances.os, "scandir", counted)

    def of(self, act: Any) -> tuple[int, set[str]]:
        self.files, self.scans = [], 0
        act()
        return self.scans, set(self.files)


def long_ago(directory: Path) -> None:
    """As if nothing had been saved for a while: what was saved just now is read once more."""
    for path in (*directory.iterdir(), directory):
        os.utime(path, ns=(1, 1))


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes show at once, as on a file system with fine times and no two within a step."""
    monkeypatch.setattr(glances, "SETTLED", -(10**18))


@pytest.mark.usefixtures("settled")
def test_what_nobody_has_saved_since_is_not_even_looked_at(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FileStore(directory)
    fill(store, 4)
    reads = Reads(store, monkeypatch)

    def held() -> None:
        store.rollouts(phase=Phase.HELD)

    assert reads.of(held) == (1, {"r0", "r1", "r2", "r3"})
    assert reads.of(held) == (0, set())
    FileStore(directory).save(
        a_rollout("r2", service="r2", created=AT + timedelta(seconds=2), serial=1), (), expected=0
    )
    assert reads.of(held) == (0, {"r2"})
    assert reads.of(lambda: store.rollouts(limit=1)) == (0, {"r3", "r2"})


def test_what_was_saved_just_now_is_read_again(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second save within one step of the file system's clock would leave the same times."""
    store = FileStore(directory)
    fill(store, 2)
    reads = Reads(store, monkeypatch)

    def held() -> None:
        store.rollouts(phase=Phase.HELD)

    held()
    assert reads.of(held) == (1, {"r0", "r1"})
    monkeypatch.setattr(glances, "SETTLED", -(10**18))
    held()
    assert reads.of(held) == (0, set())


@pytest.mark.usefixtures("settled")
def test_a_file_that_is_overwritten_in_place_is_noticed_after_a_while(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its directory does not change by that, as it does by every save."""
    store, now = FileStore(directory), time.monotonic()
    monkeypatch.setattr(glances.time, "monotonic", lambda: now)
    fill(store, 1)
    other = FileStore(directory.with_name("backup"))
    other.save(
        in_phase(a_rollout("r0", service="r0"), Phase.HELD, a_cause(person=True)), (), expected=None
    )
    assert ids(store.rollouts(phase=Phase.HELD)) == []
    shutil.copyfile(directory.with_name("backup") / "r0.json", directory / "r0.json")

    now += glances.TRUSTED

    assert ids(store.rollouts(phase=Phase.HELD)) == ["r0"]


@pytest.mark.usefixtures("settled")
def test_a_broken_file_is_looked_at_each_time_because_somebody_will_mend_it(
    directory: Path,
) -> None:
    store = FileStore(directory)
    fill(store, 3)
    whole = (directory / "r1.json").read_bytes()
    (directory / "r1.json").write_bytes(b"{")
    assert [id for id, _ in store.rollouts(phase=Phase.PENDING).unreadable] == ["r1"]

    (directory / "r1.json").write_bytes(whole)

    assert ids(store.rollouts(phase=Phase.PENDING)) == ["r2", "r1", "r0"]


def test_a_file_that_goes_while_it_is_listed_is_not_there(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FileStore(directory)
    fill(store, 3)
    (directory / "dangling.json").symlink_to(directory / "nothing")
    read = store._read

    def gone(path: str) -> bytes | None:
        Path(path).unlink()
        return read(path)

    monkeypatch.setattr(store, "_read", gone)

    page = store.rollouts()

    assert (ids(page), page.unreadable) == ([], ())


def test_files_that_the_store_would_not_have_named_are_not_listed(directory: Path) -> None:
    store = FileStore(directory)
    fill(store, 1)
    for name in ("README.json", "x~2.json", "a b.json", ".json", "notes.txt", "käse.json"):
        (directory / name).write_text("not a rollout", "utf-8")

    page = store.rollouts()

    assert (ids(page), page.unreadable) == (["r0"], ())


def test_one_file_without_the_right_to_read_is_named_and_a_passing_trouble_raised(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FileStore(directory)
    fill(store, 2)
    (directory / "r0.json").unlink()
    (directory / "r0.json").mkdir()

    page = store.rollouts()

    assert ids(page) == ["r1"]
    [(id, error)] = page.unreadable
    assert id == "r0"
    assert isinstance(error, StoreError)

    def fails(path: str) -> bytes | None:
        raise StoreError(f"{path}: Input/output error")

    monkeypatch.setattr(store, "_read", fails)
    with pytest.raises(StoreError, match="Input/output error"):
        store.rollouts()
