"""The file store: the contract, and what it keeps when the process, the disk or a person breaks in (R21, R25, R34, R35)."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from contract import AT, HOSTILE, a_rollout, all_notes, check_store, some_notes
from faults import Disk, ForgetfulDisk, Killed, full, read_only
from rules import rule

from progressive import ConflictError, Failure, StateError, StoreError, StrategyError, dumps
from progressive.stores import file
from progressive.stores._names import id_of, stem_of
from progressive.stores.file import FileStore
from progressive.testing import MemoryStore

HERE = Path(__file__).parent
ID = "checkout-42"


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "rollouts")


@pytest.fixture
def directory(store: FileStore, tmp_path: Path) -> Path:
    return tmp_path / "rollouts"


def saved(store: FileStore, upto: int, *, many: int = 2) -> None:
    """Saves with the serials 0 to ``upto``."""
    for serial in range(upto + 1):
        store.save(a_rollout(serial=serial), some_notes(serial, many), expected=serial - 1 if serial else None)


def held(directory: Path) -> dict[str, bytes]:
    """Every file and its bytes."""
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


def assert_whole(directory: Path, *serials: int) -> int | None:
    """What a new process finds is one of these states (-1: none), with exactly its notes. Gives its serial."""
    store = FileStore(directory)
    found = store.load(ID)
    serial = -1 if found is None else found.serial
    assert serial in serials
    assert found is None or found == a_rollout(serial=serial)
    assert list(store.notes(ID)) == all_notes(ID, *range(serial + 1))
    return None if found is None else serial


# --------------------------------------------------------------------------------------------------------------- contract


@rule("R21")
def test_the_file_store_keeps_the_contract(tmp_path: Path) -> None:
    fresh = count()

    check_store(lambda: FileStore(tmp_path / str(next(fresh))))


def test_the_memory_store_keeps_the_same_contract() -> None:
    check_store(MemoryStore)


def test_the_state_file_is_what_dumps_writes_and_the_notes_are_a_line_each(store: FileStore, directory: Path) -> None:
    saved(store, 1)

    assert (directory / "checkout-42.json").read_text("utf-8") == dumps(a_rollout(serial=1))
    assert [line[:9] for line in (directory / "checkout-42.notes").read_text("utf-8").splitlines()] == ['{"kind":"', '{"kind":"', '{"saved":'] * 2


def test_another_store_on_the_same_directory_sees_it(store: FileStore, directory: Path) -> None:
    saved(store, 3)

    assert assert_whole(directory, 3) == 3


def test_half_a_surrogate_pair_in_a_note_is_stored_and_read(store: FileStore) -> None:
    """Error texts of the system may hold one, and a driver must not die of it."""
    from progressive.notes import Refused

    note = Refused(at=AT, event="skip", why="file \udcff.txt")
    store.save(a_rollout(), (note,), expected=None)

    assert [found for _, found in store.notes(ID)] == [note]


@rule("R21")
def test_a_serial_that_does_not_rise_is_refused(store: FileStore, directory: Path) -> None:
    saved(store, 3)
    before = held(directory)

    for serial in (2, 3):
        with pytest.raises(ConflictError, match=f"is at serial 3, and what is to be saved has serial {serial}"):
            store.save(a_rollout(serial=serial, wake_at=AT + timedelta(hours=1)), some_notes(serial), expected=3)
    assert held(directory) == before


@rule("R21")
@pytest.mark.parametrize(
    ("stored", "expected", "said"),
    [
        (None, 5, "rollout 'checkout-42' is not stored, and serial 5 was expected: somebody else moved it; load it and decide again"),
        (3, 2, "rollout 'checkout-42' is at serial 3, and serial 2 was expected: somebody else moved it; load it and decide again"),
        (3, None, "rollout 'checkout-42' is at serial 3, and it should not have been stored: somebody else moved it; load it and decide again"),
    ],
)
def test_a_lost_compare_and_set_says_what_was_found_and_expected(store: FileStore, stored: int | None, expected: int | None, said: str) -> None:
    if stored is not None:
        saved(store, stored)

    with pytest.raises(ConflictError) as caught:
        store.save(a_rollout(serial=9), (), expected=expected)
    assert str(caught.value) == said


@rule("R21")
def test_of_many_savers_at_one_moment_one_wins_each_serial(store: FileStore, directory: Path) -> None:
    won: list[int] = []

    def race() -> None:
        for serial in range(15):
            try:
                store.save(a_rollout(serial=serial), some_notes(serial), expected=serial - 1 if serial else None)
            except ConflictError:
                continue
            won.append(serial)

    threads = [threading.Thread(target=race) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(won) == list(range(len(won)))
    assert_whole(directory, len(won) - 1)


def test_a_save_does_not_wait_for_ever_for_another_one(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "LOCK_WAIT", 0.02)

    with store._locked(ID), pytest.raises(StoreError, match=r"another save of it has not ended within 0\.02 s; try again") as caught:
        store.save(a_rollout(), (), expected=None)
    assert caught.value.failure is Failure.TRANSIENT
    store.save(a_rollout(), (), expected=None)


# ------------------------------------------------------------------------------------------------------- interrupted saves


def run_into(directory: Path, disk: Disk, serial: int, expected: int | None) -> BaseException | None:
    """One save on ``disk``; what it raised."""
    with pytest.MonkeyPatch.context() as patch:
        disk.install(patch)
        try:
            FileStore(directory).save(a_rollout(serial=serial), some_notes(serial), expected=expected)
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
def test_a_process_that_dies_anywhere_in_a_save_leaves_the_old_or_the_new_whole(before: int, torn: bool) -> None:
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
                    FileStore(directory).save(a_rollout(serial=before + 1), some_notes(before + 1), expected=expected)
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
def test_a_disk_that_fails_anywhere_is_a_store_error_and_loses_nothing(before: int, fault: Any, torn: bool) -> None:
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
                FileStore(directory).save(a_rollout(serial=before + 1), some_notes(before + 1), expected=expected)
            assert_whole(directory, before + 1)

    assert kinds == {Failure.UNKNOWN, Failure.TRANSIENT if fault is full else Failure.PERMANENT}


def test_the_order_of_a_save_is_notes_then_state_then_name(directory: Path) -> None:
    disk = Disk()

    run_into(directory, disk, 0, None)
    assert disk.calls == [
        "open .lock", "open .notes", "write", "fsync", "open ", "fsync",
        "open .tmp", "write", "fsync", "replace .tmp", "open ", "fsync",
    ]  # fmt: skip


def test_a_disk_that_takes_a_part_at_a_time_gets_all_of_it(directory: Path) -> None:
    class Sips(Disk):
        def done(self, name: str, call: Any, args: tuple[Any, ...]) -> Any:
            return call(args[0], bytes(args[1])[:7]) if name == "write" else call(*args)

    assert run_into(directory, Sips(), 0, None) is None
    assert_whole(directory, 0)


@rule("R25")
def test_a_file_size_limit_of_the_system_is_a_store_error(directory: Path) -> None:
    """Not simulated: the kernel itself cuts the write short and then refuses it."""
    script = (
        "import resource, signal, sys; from contract import *; from progressive.stores.file import FileStore\n"
        "from progressive import StoreError\n"
        "store = FileStore(sys.argv[1])\n"
        "store.save(a_rollout(), some_notes(0), expected=None)\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (700, resource.RLIM_INFINITY))\n"
        "try: store.save(a_rollout(serial=1), some_notes(1, 30), expected=0)\n"
        "except StoreError as error: print(error)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)\n"
        "store.save(a_rollout(serial=1), some_notes(1), expected=0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, directory], capture_output=True, text=True, env=environment(), check=False)

    assert done.stderr == ""
    assert re.match(r"rollout 'checkout-42' was not saved, and what was stored before stands: \[Errno 27\] File too large", done.stdout)
    assert_whole(directory, 1)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Rights don't bind root; a test that runs as root gives them up for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@rule("R25")
def test_a_directory_without_the_right_to_write_can_be_read_and_refuses_to_save() -> None:
    with a_directory(2) as directory:
        for path in directory.iterdir():
            path.chmod(0o444)
        directory.chmod(0o555)
        try:
            with as_nobody():
                store = FileStore(directory)
                with pytest.raises(StoreError, match=r"Permission denied.*mend the directory or its rights") as caught:
                    store.save(a_rollout(serial=3), (), expected=2)
                with pytest.raises(StoreError, match="Permission denied"), store.driving(ID):
                    pass
                assert_whole(directory, 2)
        finally:
            directory.chmod(0o755)

    assert caught.value.failure is Failure.PERMANENT


def environment() -> dict[str, str]:
    """What a subprocess needs to import the helpers of these tests and the same library as this process."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])}


@rule("R4", "R25")
def test_a_process_that_is_killed_while_it_saves_loses_nothing_that_it_said_was_saved(directory: Path) -> None:
    """For real: SIGKILL at eight places in a loop of saves, each process going on from what the one before left."""
    said = -1
    for stop_after in (1, 2, 3, 5, 8, 13, 21, 34):
        process = subprocess.Popen([sys.executable, HERE / "saver.py", directory], stdout=subprocess.PIPE, text=True, env=environment())
        assert process.stdout is not None
        with process.stdout:
            for _ in range(stop_after):
                said = int(process.stdout.readline())
            process.send_signal(signal.SIGKILL)
            rest = [int(line) for line in process.stdout.read().splitlines()]
        process.wait()
        said = max([said, *rest])

        store = FileStore(directory)
        found = store.load(ID)
        assert found is not None
        assert found.serial in (said, said + 1)
        assert list(store.notes(ID)) == [each for s in range(found.serial + 1) for each in all_notes(ID, s, many=s % 4)]
    assert sorted(path.suffix for path in directory.iterdir() if path.suffix != ".tmp") == [".json", ".lock", ".notes"]


# ------------------------------------------------------------------------------------------------------------ broken files


@rule("R34")
def test_a_state_cut_at_any_byte_is_refused_with_its_path_and_left_as_it_is(store: FileStore, directory: Path) -> None:
    saved(store, 1)
    path = directory / "checkout-42.json"
    whole = path.read_bytes()
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        before = held(directory)
        for act in (
            lambda: store.load(ID),
            lambda: store.notes(ID),
            lambda: store.last("checkout"),
            lambda: store.save(a_rollout(serial=2), (), expected=1),
        ):
            with pytest.raises(StateError, match=re.escape(f"{path}: $")) as caught:
                act()
            assert "left as it is: restore it, or move it away" in str(caught.value)
        assert store.due(AT) == [ID]
        assert held(directory) == before


@rule("R35")
def test_a_newer_format_is_refused_and_never_overwritten(store: FileStore, directory: Path) -> None:
    saved(store, 0)
    path = directory / "checkout-42.json"
    path.write_text(path.read_text("utf-8").replace('"format":1', '"format":99'), "utf-8")
    before = held(directory)

    for act in (lambda: store.load(ID), lambda: store.save(a_rollout(serial=1), (), expected=0)):
        with pytest.raises(StateError, match=r"\$\.format: format 99: .*upgrade"):
            act()
    assert held(directory) == before


def test_a_state_under_another_ids_name_is_refused(store: FileStore, directory: Path) -> None:
    saved(store, 0)
    (directory / "checkout-42.json").rename(directory / "checkout-43.json")

    with pytest.raises(StateError, match=r"checkout-43\.json: \$\.id: it is the rollout 'checkout-42' under the file name of 'checkout-43'"):
        store.load("checkout-43")


BROKEN = pytest.mark.parametrize("broken", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"wake_at":"soon"}', b'{"wake_at":7}'])


@BROKEN
def test_a_broken_file_stops_no_other_rollout_and_is_not_passed_over(store: FileStore, directory: Path, broken: bytes) -> None:
    for late, id in enumerate(("b", "a")):
        store.save(a_rollout(id, wake_at=AT - timedelta(seconds=late)), (), expected=None)
    (directory / "0-broken.json").write_bytes(broken)

    assert store.due(AT) == ["a", "b", "0-broken"]
    assert store.due(AT, 1) == ["a"]
    assert store.due(AT - timedelta(hours=1)) == ["0-broken"]
    with pytest.raises(StateError, match="0-broken"):
        store.load("0-broken")


@BROKEN
def test_nothing_is_started_beside_a_file_that_may_be_of_the_same_service(store: FileStore, directory: Path, broken: bytes) -> None:
    saved(store, 0)
    (directory / "broken.json").write_bytes(broken)

    with pytest.raises(StateError, match=re.escape(f"{directory / 'broken.json'}: $")):
        store.last("checkout")


def test_a_newer_format_of_another_service_is_nobodys_trouble(store: FileStore, directory: Path) -> None:
    saved(store, 0)
    (directory / "newer.json").write_text('{"format":99,"release":{"service":"cart"},"when":"later"}', "utf-8")

    assert getattr(store.last("checkout"), "id", None) == ID
    with pytest.raises(StateError, match=r"newer\.json: \$\.clocks\.created"):
        store.last("cart")


def test_files_that_the_store_would_not_have_named_are_left_alone(store: FileStore, directory: Path) -> None:
    saved(store, 0)
    for name in ("README.json", "x~2.json", "a b.json", ".json", "-.json", "notes.txt", "checkout-42.json~", "käse.json"):
        (directory / name).write_text("not a rollout", "utf-8")

    assert store.due(AT) == [ID]
    assert getattr(store.last("checkout"), "id", None) == ID


def test_a_directory_that_has_gone_is_not_an_empty_one(store: FileStore, directory: Path) -> None:
    saved(store, 0)
    directory.rename(directory.with_name("unmounted"))

    for act in (
        lambda: store.load(ID),
        lambda: store.due(AT),
        lambda: store.last("checkout"),
        lambda: store.save(a_rollout(serial=1), (), expected=0),
    ):
        with pytest.raises(StoreError, match="No such file or directory") as caught:
            act()
        assert caught.value.failure is Failure.PERMANENT


@pytest.mark.parametrize("where", ["a file", "missing/parent"])
def test_what_can_not_be_a_directory_of_rollouts_is_said_at_once(tmp_path: Path, where: str) -> None:
    (tmp_path / "a file").touch()

    with pytest.raises(StoreError, match=re.escape(f"{tmp_path / where} can't hold rollouts: [Errno")) as caught:
        FileStore(tmp_path / where)
    assert caught.value.failure is Failure.PERMANENT


def test_a_relative_directory_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = FileStore("rollouts")
    saved(store, 0)
    monkeypatch.chdir("/")

    assert store.load(ID) == a_rollout()
    assert repr(store) == f"FileStore({str(tmp_path / 'rollouts')!r})"


# ------------------------------------------------------------------------------------------------------------------ notes


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


@pytest.mark.parametrize("line", range(12), ids=lambda line: f"line {line + 1}")
def test_a_line_that_is_lost_from_the_notes_is_noticed(store: FileStore, directory: Path, line: int) -> None:
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

    with pytest.raises(StateError, match="line 6 says 2 notes of serial 2 after 1, but 2 notes after 0 stand before it"):
        list(store.notes(ID))


@pytest.mark.parametrize(
    "edited", [b'{"kind":"refused"}\n', b"\x00\x00\n", b'{"kind":"refused","at":"2026-11-23T09:00:00Z","event":"skip"', b'{"saved":true}\n']
)
def test_a_line_that_was_edited_is_refused_with_its_number(store: FileStore, directory: Path, edited: bytes) -> None:
    saved(store, 1)
    path = directory / "checkout-42.notes"
    lines = lines_of(path)
    path.write_bytes(b"".join([*lines[:4], edited, *lines[5:]]))

    with pytest.raises(StateError, match=re.escape(f"{path}: ") + "(line 5, \\$|.*left as (it is|they are))"):
        list(store.notes(ID))


@pytest.mark.parametrize("junk", [b"x", b"\x00" * 5000, b"\x00\n\x00\x00\n", b'{"kind":"ref', b'{"kind":"refused"}\n' * 500, b'{"saved":9,"af'])
def test_what_an_interrupted_save_left_is_passed_over_and_then_cut(store: FileStore, directory: Path, junk: bytes) -> None:
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


def test_a_journal_much_longer_than_a_block_is_committed_from_its_end(store: FileStore, directory: Path) -> None:
    store.save(a_rollout(), some_notes(0, 200), expected=None)
    store.save(a_rollout(serial=1), some_notes(1, 200), expected=0)
    with (directory / "checkout-42.notes").open("ab") as journal:
        journal.write(b"".join(lines_of(directory / "checkout-42.notes")[:150]))
    store.save(a_rollout(serial=2), some_notes(2, 200), expected=1)

    assert list(store.notes(ID)) == all_notes(ID, 0, 1, 2, many=200)


@pytest.mark.parametrize("kept", [0, 2])
def test_a_state_that_was_restored_without_its_notes_is_not_written_over(store: FileStore, directory: Path, kept: int) -> None:
    saved(store, kept)
    old = (directory / "checkout-42.json").read_bytes()
    for serial in range(kept + 1, kept + 4):
        store.save(a_rollout(serial=serial), some_notes(serial), expected=serial - 1)
    (directory / "checkout-42.json").write_bytes(old)
    before = held(directory)

    with pytest.raises(StateError, match=f"stored state is at serial {kept}, and this journal has notes of serial {kept + 3}.*move this one away"):
        store.save(a_rollout(serial=kept + 1), some_notes(kept + 1), expected=kept)
    assert held(directory) == before


def test_a_journal_without_its_save_lines_is_not_written_over(store: FileStore, directory: Path) -> None:
    saved(store, 2)
    path = directory / "checkout-42.notes"
    path.write_bytes(b"".join(line for line in lines_of(path) if not line.startswith(b'{"saved":')))
    before = held(directory)

    with pytest.raises(StateError, match="stored state is at serial 2, and this journal has no notes of it"):
        store.save(a_rollout(serial=3), (), expected=2)
    assert held(directory) == before


def test_a_state_from_before_its_notes_were_archived_gets_nobody_elses(store: FileStore, directory: Path) -> None:
    saved(store, 2)
    old = (directory / "checkout-42.json").read_bytes()
    store.save(a_rollout(serial=5), some_notes(5), expected=2)
    (directory / "checkout-42.notes").unlink()
    store.save(a_rollout(serial=6), some_notes(6), expected=5)
    (directory / "checkout-42.json").write_bytes(old)

    with pytest.raises(StateError, match="stored state is at serial 2, and this journal has no notes of it"):
        next(iter(store.notes(ID)))


def test_notes_of_a_state_that_was_removed_are_not_written_over(store: FileStore, directory: Path) -> None:
    saved(store, 2)
    (directory / "checkout-42.json").unlink()
    before = held(directory)

    with pytest.raises(StateError, match="no state is stored, and this journal has notes of serial 2"):
        store.save(a_rollout(), (), expected=None)
    assert held(directory) == before


def test_notes_that_were_archived_begin_anew(store: FileStore, directory: Path) -> None:
    saved(store, 2)
    (directory / "checkout-42.notes").rename(directory / "archive")

    assert list(store.notes(ID)) == []
    store.save(a_rollout(serial=3), some_notes(3), expected=2)
    store.save(a_rollout(serial=4), some_notes(4), expected=3)
    assert list(store.notes(ID)) == all_notes(ID, 3, 4)


# ----------------------------------------------------------------------------------------------------------------- driving


def test_a_second_driver_is_told_who_drives(store: FileStore, directory: Path) -> None:
    (directory / "checkout-42.driver").write_text("a longer text of an earlier driver that was killed. " * 4, "utf-8")
    with store.driving(ID):
        with pytest.raises(ConflictError) as caught, store.driving(ID):
            pass
        with store.driving("another"):
            pass
    with store.driving(ID):
        pass

    said = (
        rf"rollout 'checkout-42' is driven by process {os.getpid()} on \S+ since \d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ; "
        "leave it to that one, or stop it and try again"
    )
    assert re.fullmatch(said, str(caught.value))


def test_who_drives_goes_on_saving(store: FileStore) -> None:
    with store.driving(ID):
        saved(store, 2)


def test_a_driver_that_fails_lets_go(store: FileStore) -> None:
    with pytest.raises(RuntimeError, match="its own"), store.driving(ID):
        raise RuntimeError("its own")
    with pytest.raises(FileNotFoundError), store.driving(ID):
        os.open("/nonexistent/of its own", os.O_RDONLY)

    with store.driving(ID):
        pass


def test_a_full_disk_does_not_keep_out_the_driver_that_rolls_back(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise full()

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", refuse)
        with store.driving(ID), pytest.raises(ConflictError, match="another process, which has not said which"), store.driving(ID):
            pass


def test_a_second_process_is_kept_out_and_sigkill_lets_it_in(store: FileStore, directory: Path) -> None:
    command = [sys.executable, HERE / "driver.py", directory]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": environment()}
    with subprocess.Popen(command, **pipes) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "drives\n"

        second = subprocess.run(command, input="", capture_output=True, text=True, env=environment(), check=True)
        assert re.match(rf"rollout 'checkout-42' is driven by process {first.pid} on \S+ since ", second.stdout)
        first.kill()
        first.wait()

    third = subprocess.run(command, input="", capture_output=True, text=True, env=environment(), check=True)
    assert third.stdout == "drives\n"


# --------------------------------------------------------------------------------------------------------------------- ids


@pytest.mark.parametrize("id", ["", "../../x", "/etc/passwd", ".", "a/", "a\0b", "a\nb", "x" * 129, "käse", None, 7, b"a"])
def test_what_is_not_an_id_is_refused_and_touches_nothing(store: FileStore, directory: Path, id: Any) -> None:
    for act in (lambda: store.load(id), lambda: store.notes(id), lambda: store.driving(id).__enter__()):
        with pytest.raises(StrategyError, match=r"id: .* is not a name; use 1 to 128 letters"):
            act()

    assert held(directory) == {}


def test_hostile_ids_stay_in_the_directory_and_apart_where_case_is_not_told(store: FileStore, directory: Path) -> None:
    for id in HOSTILE:
        with store.driving(id):
            store.save(a_rollout(id), (), expected=None)

    names = [path.name for path in directory.iterdir()]
    assert len({name.casefold() for name in names}) == len(names) == 4 * len(HOSTILE)
    assert max(map(len, names)) <= 161 + len(".driver")
    assert all(re.fullmatch(r"[a-z0-9._+=~-]+", name) for name in names)
    assert sorted(path.name for path in directory.parent.iterdir()) == ["rollouts"]


def test_every_id_comes_back_from_its_file_name() -> None:
    assert [id_of(stem_of(id)) for id in HOSTILE] == list(HOSTILE)
    assert (stem_of("checkout/42"), stem_of("Checkout"), stem_of("aB:c")) == ("checkout+42", "checkout~1", "ab=c~2")
