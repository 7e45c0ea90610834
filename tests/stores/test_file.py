"""The file store: what it keeps when the process, the disk or a person breaks in (R21, R25, R34);
`test_contract` has the rest.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tests.support.places import ID, held, saved
from tests.support.rules import rule
from tests.support.store_contract import AT, HOSTILE, a_rollout, all_notes, ended, some_notes
from tests.support.store_faults import Disk, ForgetfulDisk, Killed, full, read_only

from progressive import StateError
from progressive.errors import Failure, StoreError
from progressive.stores import filesystem as _lock
from progressive.stores.file import FileStore
from progressive.stores.filesystem import id_of, stem_of


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "rollouts")


@pytest.fixture
def directory(store: FileStore, tmp_path: Path) -> Path:
    return tmp_path / "rollouts"


def assert_whole(directory: Path, *serials: int) -> int | None:
    """What a new process finds is one of these states (-1: none), with exactly its notes. Gives its
    serial.
    """
    store = FileStore(directory)
    found = store.load(ID)
    serial = -1 if found is None else found.serial
    assert serial in serials
    assert found is None or found == a_rollout(serial=serial)
    assert list(store.notes(ID)) == all_notes(ID, *range(serial + 1))
    return None if found is None else serial


# ---------------------------------------------------------------------------------- files and locks


def test_the_notes_are_a_line_each_and_a_line_for_each_save(
    store: FileStore, directory: Path
) -> None:
    saved(store, 1)

    assert sorted(path.name for path in directory.iterdir()) == [
        "checkout-42.json",
        "checkout-42.lock",
        "checkout-42.notes",
        "~saves",
        "~start.lock",
    ]
    assert [
        line[:9] for line in (directory / "checkout-42.notes").read_text("utf-8").splitlines()
    ] == ['{"kind":"', '{"kind":"', '{"saved":'] * 2


def test_a_save_does_not_wait_for_ever_for_another_one(
    store: FileStore, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_lock, "WAIT", 0.02)

    said = r"another save of it has not ended within 0\.02 s; try again"
    with (
        _lock.locked(str(directory / "checkout-42.lock"), ID, ""),
        pytest.raises(StoreError, match=said) as caught,
    ):
        store.save(a_rollout(), (), expected=None)
    assert caught.value.failure is Failure.TRANSIENT
    store.save(a_rollout(), (), expected=None)


@rule("R21")
def test_rollouts_are_started_one_at_a_time_and_no_later_save_waits(
    store: FileStore, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(store, 0)
    monkeypatch.setattr(_lock, "WAIT", 0.02)

    with _lock.locked(str(directory / "~start.lock"), ID, ""):
        with pytest.raises(StoreError, match="the first save of another rollout has not ended"):
            store.save(a_rollout("another", service="cart"), (), expected=None)
        store.save(a_rollout(serial=1), (), expected=0)
    store.save(a_rollout("another", service="cart"), (), expected=None)


@rule("R34")
def test_nothing_is_started_beside_a_rollout_of_its_service_that_can_not_be_read(
    store: FileStore, directory: Path
) -> None:
    store.save(ended(a_rollout("over")), (), expected=None)
    path = directory / "over.json"
    path.write_bytes(
        path.read_bytes()
        .replace(b'"format":1', b'"format":99')
        .replace(b'"wake_at":null', b'"wake_at":"2026-11-23T09:00:00Z"')
    )

    with pytest.raises(StateError, match=re.escape(f"{path}: $.format: format 99")):
        store.save(a_rollout(), (), expected=None)
    store.save(a_rollout("another", service="cart"), (), expected=None)


# -------------------------------------------------------------------------------- interrupted saves


def run_into(
    directory: Path, disk: Disk, serial: int, expected: int | None
) -> BaseException | None:
    """One save on ``disk``; what it raised."""
    with pytest.MonkeyPatch.context() as patch:
        disk.install(patch)
        try:
            FileStore(directory).save(
                a_rollout(serial=serial), some_notes(serial), expected=expected
            )
        except (Killed, StoreError) as error:
            return error
    return None


def length_of_a_save(directory: Path, serial: int, expected: int | None) -> int:
    disk = Disk()
    assert run_into(directory, disk, serial, expected) is None
    return len(disk.calls)


BEFORE = pytest.mark.parametrize("before", [-1, 2], ids=["first save", "later save"])


@contextmanager
def a_directory(serial: int) -> Iterator[Path]:
    """A new directory with the saves up to ``serial``."""
    with tempfile.TemporaryDirectory() as made:
        for name, content in files_after(serial).items():
            (Path(made) / name).write_bytes(content)
        yield Path(made)


@cache
def files_after(serial: int) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as made:
        saved(FileStore(made), serial)
        return held(Path(made))


def calls_in(serial: int) -> range:
    """One number for each call of the save that follows ``serial``, and one more for none."""
    with a_directory(serial) as directory:
        return range(length_of_a_save(directory, serial + 1, serial if serial >= 0 else None) + 1)


@rule("R25")
@BEFORE
@pytest.mark.parametrize("torn", [False, True], ids=["between calls", "in a write"])
def test_a_process_that_dies_anywhere_in_a_save_leaves_the_old_or_the_new_whole(
    before: int, torn: bool
) -> None:
    """At every call, and then again at every call of the save that cleans up after it."""
    expected = before if before >= 0 else None
    outcomes = []
    for at in calls_in(before):
        for again in (*calls_in(before), None):
            with a_directory(before) as directory:
                run_into(directory, Disk(at, torn=torn), before + 1, expected)
                outcomes.append(after := assert_whole(directory, before, before + 1))
                if again is not None and after != before + 1:
                    run_into(directory, Disk(again, torn=torn), before + 1, expected)
                    after = assert_whole(directory, before, before + 1)
                if after != before + 1:
                    FileStore(directory).save(
                        a_rollout(serial=before + 1), some_notes(before + 1), expected=expected
                    )
                assert_whole(directory, before + 1)

    assert set(outcomes) == {expected, before + 1}


@rule("R25")
@BEFORE
def test_a_power_cut_anywhere_in_a_save_leaves_the_old_or_the_new_whole(before: int) -> None:
    """What was not synced is gone, names and bytes alike."""
    outcomes = []
    for at in calls_in(before):
        with a_directory(before) as directory:
            disk = ForgetfulDisk(directory, at)
            died = run_into(directory, disk, before + 1, before if before >= 0 else None)
            disk.power_cut()
            outcomes.append(after := assert_whole(directory, before, before + 1))
            assert died is not None or after == before + 1, "a save that came back is on the disk"

    assert set(outcomes) == {before if before >= 0 else None, before + 1}


@rule("R25")
@BEFORE
@pytest.mark.parametrize("fault", [full, read_only])
@pytest.mark.parametrize("torn", [False, True], ids=["nothing written", "a part written"])
def test_a_disk_that_fails_anywhere_is_a_store_error_and_loses_nothing(
    before: int, fault: Any, torn: bool
) -> None:
    expected = before if before >= 0 else None
    kinds = set()
    for at in calls_in(before):
        with a_directory(before) as directory:
            error = run_into(directory, Disk(at, fault=fault, torn=torn), before + 1, expected)
            after = assert_whole(directory, before, before + 1)
            if error is None:
                assert after == before + 1
                continue
            assert isinstance(error, StoreError)
            assert os.strerror(fault().errno) in str(error)
            kinds.add(error.failure)
            if error.failure is not Failure.UNKNOWN:
                assert after == expected, "it said that nothing was saved"
            if after != before + 1:
                FileStore(directory).save(
                    a_rollout(serial=before + 1), some_notes(before + 1), expected=expected
                )
            assert_whole(directory, before + 1)

    assert kinds == {Failure.UNKNOWN, Failure.TRANSIENT if fault is full else Failure.PERMANENT}


def test_the_order_of_a_save_is_locks_then_notes_then_state_then_name(directory: Path) -> None:
    disk = Disk()

    run_into(directory, disk, 0, None)
    assert disk.calls == [
        "open .lock",
        "open .lock",
        "open .json",
        *("open ", "write"),  # ~saves
        "open .notes",
        "write",
        "fsync",
        "open ",
        "fsync",
        "open .tmp",
        "write",
        "fsync",
        "replace .tmp",
        "open ",
        "fsync",
        *("open ", "write"),  # ~saves
    ]


def test_a_disk_that_takes_a_part_at_a_time_gets_all_of_it(directory: Path) -> None:
    class Sips(Disk):
        def done(self, name: str, call: Any, args: tuple[Any, ...]) -> Any:
            return call(args[0], bytes(args[1])[:7]) if name == "write" else call(*args)

    assert run_into(directory, Sips(), 0, None) is None
    assert_whole(directory, 0)


# ------------------------------------------------------------------------------------- broken files


BROKEN = pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 100_000,
        b'{"wake_at":"soon"}',
        b'{"wake_at":7}',
        b'{"wake_at":"2026-11-23T09:00:00"}',
    ],
)


@BROKEN
def test_a_broken_file_is_due_after_those_that_can_be_driven(
    store: FileStore, directory: Path, broken: bytes
) -> None:
    for late, id in enumerate(("b", "a")):
        store.save(
            a_rollout(id, service=id, wake_at=AT - timedelta(seconds=late)), (), expected=None
        )
    (directory / "0-broken.json").write_bytes(broken)

    assert store.due(AT) == ["a", "b", "0-broken"]
    assert store.due(AT, 1) == ["a"]
    assert store.due(AT - timedelta(hours=1)) == ["0-broken"]


def test_notes_of_a_state_that_can_not_be_read_are_nobodys(
    store: FileStore, directory: Path
) -> None:
    """It says which of them are committed."""
    saved(store, 1)
    (directory / "checkout-42.json").write_bytes(b"{")

    with pytest.raises(StateError, match=r"checkout-42\.json: \$"):
        store.notes(ID)


@BROKEN
def test_nothing_is_started_beside_a_file_that_may_be_of_the_same_service(
    store: FileStore, directory: Path, broken: bytes
) -> None:
    saved(store, 0)
    (directory / "broken.json").write_bytes(broken)

    with pytest.raises(StateError, match=re.escape(f"{directory / 'broken.json'}: $")):
        store.last("checkout")


def test_a_newer_format_of_another_service_is_nobodys_trouble(
    store: FileStore, directory: Path
) -> None:
    saved(store, 0)
    (directory / "newer.json").write_text(
        '{"format":99,"release":{"service":"cart"},"when":"later"}', "utf-8"
    )

    assert getattr(store.last("checkout"), "id", None) == ID
    with pytest.raises(StateError, match=r"newer\.json: \$\.clocks\.created"):
        store.last("cart")


def test_files_that_the_store_would_not_have_named_are_left_alone(
    store: FileStore, directory: Path
) -> None:
    saved(store, 0)
    for name in (
        "README.json",
        "x~2.json",
        "a b.json",
        ".json",
        "-.json",
        "notes.txt",
        "checkout-42.json~",
        "käse.json",
    ):
        (directory / name).write_text("not a rollout", "utf-8")

    assert store.due(AT) == [ID]
    assert getattr(store.last("checkout"), "id", None) == ID


@pytest.mark.parametrize("where", ["a file", "missing/parent"])
def test_what_can_not_be_a_directory_of_rollouts_is_said_at_once(
    tmp_path: Path, where: str
) -> None:
    (tmp_path / "a file").touch()

    with pytest.raises(
        StoreError, match=re.escape(f"{tmp_path / where} can't hold rollouts: [Errno")
    ) as caught:
        FileStore(tmp_path / where)
    assert caught.value.failure is Failure.PERMANENT


# -------------------------------------------------------------------------------------------- notes


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


@pytest.mark.parametrize("line", range(12), ids=lambda line: f"line {line + 1}")
def test_a_line_that_is_lost_from_the_notes_is_noticed(
    store: FileStore, directory: Path, line: int
) -> None:
    saved(store, 3)
    path = directory / "checkout-42.notes"
    lines = lines_of(path)
    path.write_bytes(b"".join(lines[:line] + lines[line + 1 :]))

    with pytest.raises(StateError, match=re.escape(str(path))):
        list(store.notes(ID))
    assert store.load(ID) == a_rollout(serial=3)


def test_a_save_that_is_lost_from_the_notes_is_noticed(store: FileStore, directory: Path) -> None:
    saved(store, 3)
    path = directory / "checkout-42.notes"
    lines = lines_of(path)
    path.write_bytes(b"".join(lines[:3] + lines[6:]))

    with pytest.raises(
        StateError,
        match="line 6 says 2 notes of serial 2 after 1, but 2 notes after 0 stand before it",
    ):
        list(store.notes(ID))


@pytest.mark.parametrize(
    "edited",
    [
        b'{"kind":"refused"}\n',
        b"\x00\x00\n",
        b'{"kind":"refused","at":"2026-11-23T09:00:00Z","event":"skip"',
        b'{"saved":true}\n',
    ],
)
def test_a_line_that_was_edited_is_refused_with_its_number(
    store: FileStore, directory: Path, edited: bytes
) -> None:
    saved(store, 1)
    path = directory / "checkout-42.notes"
    lines = lines_of(path)
    path.write_bytes(b"".join([*lines[:4], edited, *lines[5:]]))

    with pytest.raises(
        StateError, match=re.escape(f"{path}: ") + "(line 5: \\$|.*left as (it is|they are))"
    ):
        list(store.notes(ID))


@pytest.mark.parametrize(
    "junk",
    [
        b"x",
        b"\x00" * 5000,
        b"\x00\n\x00\x00\n",
        b'{"kind":"ref',
        b'{"kind":"refused"}\n' * 500,
        b'{"saved":9,"af',
    ],
)
def test_what_an_interrupted_save_left_is_passed_over_and_then_cut(
    store: FileStore, directory: Path, junk: bytes
) -> None:
    saved(store, 2)
    path = directory / "checkout-42.notes"
    clean = path.read_bytes()
    path.write_bytes(clean + junk)

    assert list(store.notes(ID)) == all_notes(ID, 0, 1, 2)
    store.save(a_rollout(serial=3), some_notes(3), expected=2)
    assert list(store.notes(ID)) == all_notes(ID, 0, 1, 2, 3)
    assert path.read_bytes().startswith(clean + b'{"kind":"happened"')


def test_a_short_save_covers_all_that_a_long_one_left(store: FileStore, directory: Path) -> None:
    saved(store, 2)
    with pytest.MonkeyPatch.context() as patch:
        Disk(length_of_a_save_until("open .tmp")).install(patch)
        with pytest.raises(Killed):
            store.save(a_rollout(serial=3), some_notes(3, many=90), expected=2)
    store.save(a_rollout(serial=3), some_notes(3), expected=2)
    store.save(a_rollout(serial=4), some_notes(4), expected=3)

    assert_whole(directory, 4)


def length_of_a_save_until(call: str) -> int:
    disk = Disk()
    with a_directory(2) as directory:
        run_into(directory, disk, 3, 2)
    return disk.calls.index(call)


def test_a_journal_much_longer_than_a_block_is_committed_from_its_end(
    store: FileStore, directory: Path
) -> None:
    store.save(a_rollout(), some_notes(0, 200), expected=None)
    store.save(a_rollout(serial=1), some_notes(1, 200), expected=0)
    with (directory / "checkout-42.notes").open("ab") as journal:
        journal.write(b"".join(lines_of(directory / "checkout-42.notes")[:150]))
    store.save(a_rollout(serial=2), some_notes(2, 200), expected=1)

    assert list(store.notes(ID)) == all_notes(ID, 0, 1, 2, many=200)


@pytest.mark.parametrize("kept", [0, 2])
def test_a_state_that_was_restored_without_its_notes_is_not_written_over(
    store: FileStore, directory: Path, kept: int
) -> None:
    saved(store, kept)
    old = (directory / "checkout-42.json").read_bytes()
    for serial in range(kept + 1, kept + 4):
        store.save(a_rollout(serial=serial), some_notes(serial), expected=serial - 1)
    (directory / "checkout-42.json").write_bytes(old)
    before = held(directory)

    with pytest.raises(
        StateError,
        match=f"stored state is at serial {kept}, and this journal has notes of serial "
        f"{kept + 3}.*move this one away",
    ):
        store.save(a_rollout(serial=kept + 1), some_notes(kept + 1), expected=kept)
    assert held(directory) == before


def test_a_journal_without_its_save_lines_is_not_written_over(
    store: FileStore, directory: Path
) -> None:
    saved(store, 2)
    path = directory / "checkout-42.notes"
    path.write_bytes(b"".join(line for line in lines_of(path) if not line.startswith(b'{"saved":')))
    before = held(directory)

    with pytest.raises(
        StateError, match="stored state is at serial 2, and this journal has no notes of it"
    ):
        store.save(a_rollout(serial=3), (), expected=2)
    assert held(directory) == before


def test_a_state_from_before_its_notes_were_archived_gets_nobody_elses(
    store: FileStore, directory: Path
) -> None:
    saved(store, 2)
    old = (directory / "checkout-42.json").read_bytes()
    store.save(a_rollout(serial=5), some_notes(5), expected=2)
    (directory / "checkout-42.notes").unlink()
    store.save(a_rollout(serial=6), some_notes(6), expected=5)
    (directory / "checkout-42.json").write_bytes(old)

    with pytest.raises(
        StateError, match="stored state is at serial 2, and this journal has no notes of it"
    ):
        next(iter(store.notes(ID)))


def test_notes_of_a_state_that_was_removed_are_not_written_over(
    store: FileStore, directory: Path
) -> None:
    saved(store, 2)
    (directory / "checkout-42.json").unlink()
    before = held(directory)

    with pytest.raises(
        StateError, match="no state is stored, and this journal has notes of serial 2"
    ):
        store.save(a_rollout(), (), expected=None)
    assert held(directory) == before


def test_notes_that_were_archived_begin_anew(store: FileStore, directory: Path) -> None:
    saved(store, 2)
    (directory / "checkout-42.notes").rename(directory / "archive")

    assert list(store.notes(ID)) == []
    store.save(a_rollout(serial=3), some_notes(3), expected=2)
    store.save(a_rollout(serial=4), some_notes(4), expected=3)
    assert list(store.notes(ID)) == all_notes(ID, 3, 4)


# ---------------------------------------------------------------------------------------------- ids


def test_hostile_ids_stay_in_the_directory_and_apart_where_case_is_not_told(
    store: FileStore, directory: Path
) -> None:
    for id in HOSTILE:
        with store.driving(id):
            store.save(a_rollout(id, service=id), (), expected=None)

    names = [path.name for path in directory.iterdir()]
    assert len({name.casefold() for name in names}) == len(names) == 4 * len(HOSTILE) + 2
    assert max(map(len, names)) <= 161 + len(".driver")
    assert all(re.fullmatch(r"[a-z0-9._+=~-]+", name) for name in names)
    assert sorted(path.name for path in directory.parent.iterdir()) == ["rollouts"]


def test_every_id_comes_back_from_its_file_name() -> None:
    assert [id_of(stem_of(id)) for id in HOSTILE] == list(HOSTILE)
    assert (stem_of("checkout/42"), stem_of("Checkout"), stem_of("aB:c")) == (
        "checkout+42",
        "checkout~1",
        "ab=c~2",
    )


# ----------------------------------------------------------------------- what is no file of ours


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_outside_of_the_calendar_stops_no_other_rollout(
    store: FileStore, directory: Path, time: str
) -> None:
    store.save(a_rollout("good", service="good", wake_at=AT), (), expected=None)
    (directory / "bad.json").write_text(f'{{"wake_at":"{time}"}}')

    assert store.due(AT) == ["good", "bad"]


def try_to_write(store: FileStore, suffix: str) -> None:
    if suffix == "driver":
        with store.driving(ID):
            raise AssertionError("it was taken for a lock")
    store.save(a_rollout(serial=1), some_notes(1, 2), expected=0)


@pytest.mark.parametrize("suffix", ["json", "notes", "tmp", "driver", "lock"])
def test_a_pipe_that_has_the_name_of_a_file_is_an_error_and_not_waited_for(
    store: FileStore, directory: Path, suffix: str
) -> None:
    saved(store, 0)
    path = directory / f"{stem_of(ID)}.{suffix}"
    path.unlink(missing_ok=True)
    os.mkfifo(path)

    with pytest.raises((StoreError, StateError)):
        try_to_write(store, suffix)
    assert list(store.due(AT)) in ([], [ID])


@pytest.mark.parametrize("suffix", ["notes", "tmp", "driver", "lock"])
def test_a_link_to_somebody_elses_file_is_not_written_through(
    store: FileStore, directory: Path, tmp_path: Path, suffix: str
) -> None:
    saved(store, 0)
    theirs = tmp_path / "theirs"
    theirs.write_text("not ours")
    path = directory / f"{stem_of(ID)}.{suffix}"
    path.unlink(missing_ok=True)
    path.symlink_to(theirs)

    with pytest.raises((StoreError, StateError)):
        try_to_write(store, suffix)
    assert theirs.read_text() == "not ours"
