"""What lists of files are told of saves: they are as exact as if every file were read, whoever was
killed meanwhile, and whatever became of the hints.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.places import a_directory_for_all, as_nobody
from tests.support.store_contract import AT, a_rollout, ended
from tests.support.store_faults import Disk, Killed

from progressive.errors import StoreError
from progressive.stores import changes, glances
from progressive.stores.changes import Changes, Delta, Mark
from progressive.stores.file import FileStore

LATER = AT + timedelta(days=1)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "rollouts"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No disk is waited for; and an unchanged time of a file is trusted at once, so that only the
    hints tell of a second save within a step of the file system's clock.
    """
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    monkeypatch.setattr(glances, "SETTLED", -(10**18))


def save(store: FileStore, id: str, *, over: bool = False) -> None:
    before = store.load(id)
    serial = 0 if before is None else before.serial + 1
    new = a_rollout(id, service=id, serial=serial, created=AT + timedelta(seconds=len(id)))
    store.save(ended(new) if over else new, (), expected=None if before is None else serial - 1)


def seen(store: FileStore) -> tuple[Any, ...]:
    return [*store.rollouts()], [*store.rollouts(phase="pending")], store.due(LATER)


# --------------------------------------------------------------------------------------------- laws

IDS = st.sampled_from(["a", "bb", "Shop/ccc", "d:ddd"])
ACTS = st.one_of(
    st.tuples(st.just("save"), IDS, st.booleans()),
    st.tuples(st.just("killed"), IDS, st.integers(0, 20)),
    st.tuples(st.sampled_from(["list", "empty", "remove", "tear", "spoil"])),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=st.lists(ACTS, max_size=12), most=st.sampled_from([60, 150, 2**20]))
def test_a_list_is_what_the_files_are_whoever_was_killed(
    acts: list[tuple[Any, ...]], most: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("rollouts")
    store, hints = FileStore(directory), directory / "~saves"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(changes, "MOST", most)
        for act, *given in acts:
            match act, given:
                case "save", [id, over]:
                    save(FileStore(directory), id, over=over)
                case "killed", [id, at]:
                    with pytest.MonkeyPatch.context() as dying, suppress(Killed):
                        Disk(at, torn=True).install(dying)
                        save(FileStore(directory), id)
                case "empty", _ if hints.exists():
                    os.truncate(hints, 0)
                case "remove", _:
                    hints.unlink(missing_ok=True)
                case "tear", _ if hints.exists():
                    os.truncate(hints, hints.stat().st_size * 2 // 3)
                case "spoil", _ if hints.exists():
                    with hints.open("ab") as file:
                        file.write(b"\n\xffno line of ours\n+a/../../b 1\n")
            assert seen(store) == seen(FileStore(directory))


# -------------------------------------------------------------------------------------------- cheap


def reads_of(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found, read = list[str](), store._read

    def noted(path: str) -> bytes | None:
        found.append(Path(path).stem)
        return read(path)

    monkeypatch.setattr(store, "_read", noted)
    return found


def test_what_is_due_is_told_without_reading_what_nobody_has_saved(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FileStore(directory)
    for id in ("a", "bb", "ccc"):
        save(store, id)
    assert store.due(LATER) == ["a", "bb", "ccc"]
    save(FileStore(directory), "bb", over=True)
    read = reads_of(store, monkeypatch)

    assert store.due(LATER) == ["a", "ccc"]
    assert read == ["bb"]


def test_what_is_being_saved_is_read_until_its_save_has_ended(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FileStore(directory)
    save(store, "a")
    save(store, "bb")
    store.due(LATER)
    read = reads_of(store, monkeypatch)

    with store._changes.saving("bb"):
        for _ in range(3):
            read.clear()
            store.due(LATER)
            assert read == ["bb"]
    for expected in (["bb"], []):
        read.clear()
        store.due(LATER)
        assert read == expected


def test_what_was_done_by_hand_while_others_save_is_noticed_after_a_while(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.monotonic()
    monkeypatch.setattr(glances.time, "monotonic", lambda: now)
    store = FileStore(directory)
    save(store, "a")
    save(store, "bb")
    assert store.due(LATER) == ["a", "bb"]
    (directory / "bb.json").rename(directory / "bb.archive")
    save(store, "a")
    assert store.due(LATER) == ["a", "bb"]

    now += glances.TRUSTED
    save(store, "a")

    assert store.due(LATER) == ["a"]


@pytest.mark.parametrize("mended", [True, False], ids=["mended", "removed"])
def test_a_broken_file_is_looked_at_each_time_also_while_others_save(
    directory: Path, mended: bool
) -> None:
    store = FileStore(directory)
    save(store, "a")
    save(store, "bb")
    broken = directory / "bb.json"
    whole = broken.read_bytes()
    broken.write_bytes(b"{")
    assert store.due(LATER) == ["a", "bb"]
    assert [id for id, _ in store.rollouts().unreadable] == ["bb"]

    broken.unlink()
    if mended:
        broken.write_bytes(whole)
    save(store, "a")

    assert seen(store) == seen(FileStore(directory))
    assert store.due(LATER) == (["a", "bb"] if mended else ["a"])


def test_a_trouble_that_passes_is_not_remembered(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that could not be read once is no broken one for ever."""
    store = FileStore(directory)
    save(store, "a")
    read, troubles = store._read, [True]

    def fails_once(path: str) -> bytes | None:
        if troubles and path.endswith("a.json"):
            troubles.clear()
            raise StoreError(f"{path}: Too many open files")
        return read(path)

    monkeypatch.setattr(store, "_read", fails_once)
    assert store.due(AT - timedelta(days=1)) == ["a"], "it may be due"

    assert store.due(AT - timedelta(days=1)) == []


# --------------------------------------------------------------------------- never in a save's way


def test_a_save_needs_no_hints(directory: Path) -> None:
    store = FileStore(directory)
    (directory / "~saves").mkdir()
    save(store, "a")
    assert store.due(LATER) == ["a"]

    save(store, "a", over=True)

    assert store.due(LATER) == []


def test_who_may_not_read_the_hints_looks_at_the_files() -> None:
    with a_directory_for_all() as directory:
        store = FileStore(directory)
        save(store, "a")
        (directory / "~saves").chmod(0)
        with as_nobody(directory):
            assert store.due(LATER) == ["a"]
        save(store, "a", over=True)
        with as_nobody(directory):
            assert store.due(LATER) == []


# -------------------------------------------------------------------------------------- the file


def test_the_file_stays_small(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "MOST", 300)
    store = FileStore(directory)
    for _ in range(30):
        save(store, "a")
        assert (directory / "~saves").stat().st_size <= 300


def test_a_line_that_is_being_written_is_read_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "~saves"
    hints = Changes(str(path))
    with hints.saving("a"):
        pass
    mark = hints.mark()
    assert mark is not None
    whole = path.read_bytes()
    with hints.saving("bb"):
        line = path.read_bytes().removeprefix(whole)
    for cut in range(1, len(line)):
        path.write_bytes(whole + line[:cut])
        told = hints.since(mark)
        assert told is not None
        assert told[1] == Delta()
        at = hints.mark()
        assert at is not None
        path.write_bytes(whole + line)
        for place in (told[0], at):
            assert (hints.since(place) or told)[1] == Delta(frozenset({"bb"}), frozenset({"bb"}))


def test_a_line_that_was_cut_off_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "~saves"
    hints = Changes(str(path))
    with hints.saving("a"):
        pass
    mark = hints.mark()
    assert mark is not None
    with path.open("ab") as file:
        file.write(b"\n+checko")
    with hints.saving("checkout"):
        pass

    assert hints.since(mark) is None
    assert hints.mark() is not None


def test_a_file_that_was_emptied_is_not_taken_for_the_same(tmp_path: Path) -> None:
    path = tmp_path / "~saves"
    hints = Changes(str(path))
    assert hints.mark() is None
    assert hints.since(Mark(0, b"")) is None
    for _ in range(3):
        with hints.saving("a"):
            pass
    mark = hints.mark()
    assert mark is not None
    path.write_bytes(b"")
    assert hints.mark() is None
    assert hints.since(mark) is None
    for _ in range(5):
        with hints.saving("a"):
            pass

    assert hints.since(mark) is None
    assert attrs.evolve(mark, at=mark.at + 1) != hints.mark()
