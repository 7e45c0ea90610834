"""Every store keeps the contract; and what those on a disk have in common when the process, the
disk or a person breaks in.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.support.places import (
    HERE,
    ID,
    PLACES,
    Place,
    a_directory_for_all,
    as_nobody,
    environment,
    held,
    saved,
)
from tests.support.rules import rule
from tests.support.store_contract import (
    AT,
    CANARY,
    HOSTILE,
    a_rollout,
    all_notes,
    some_notes,
    together,
)

from progressive import ConflictError, Ports, StateError, StrategyError, dumps, start
from progressive.errors import Failure, StoreError
from progressive.ports import Store
from progressive.stores import filesystem as _lock
from progressive.testing import MemoryRouter, MemoryStore, aplay, check_store, play

MAKERS: dict[str, Callable[[Path], Store]] = {
    "memory": lambda directory: MemoryStore(),
    **{place.name: place.open for place in PLACES},
}

every_store = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


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


def program(name: str, place: Place, directory: Path, *more: str) -> list[str]:
    """The command of one of the programs beside this file."""
    return [sys.executable, str(HERE / name), place.name, str(directory), *more]


# ----------------------------------------------------------------------------------------- contract


@rule("R21", "R24", "R32")
@pytest.mark.parametrize(
    ("kind", "shared"),
    [("memory", False), *((place.name, shared) for place in PLACES for shared in (False, True))],
)
def test_every_store_keeps_the_laws_of_all_stores(kind: str, shared: bool, tmp_path: Path) -> None:
    """With one handle that all threads share, and where others can reach the place, with a handle
    for each.
    """
    check_store(lambda place: MAKERS[kind](tmp_path / place), shared=shared)


@rule("R21")
@every_store
def test_a_refused_save_says_what_stands_there_and_what_was_expected(
    make: Callable[[Path], Store], directory: Path
) -> None:
    store = make(directory)
    with pytest.raises(ConflictError, match=r"checkout-42.*5 was expected"):
        store.save(a_rollout(serial=6), some_notes(6), expected=5)
    store.save(a_rollout(), some_notes(0), expected=None)

    for expected in (None, 1, 7):
        with pytest.raises(ConflictError, match=r"checkout-42.*serial 0"):
            store.save(a_rollout(serial=8), some_notes(8), expected=expected)
    with pytest.raises(
        ConflictError, match=r"'checkout-42' is at serial 0, and .* saved .*serial 0"
    ):
        store.save(a_rollout(wake_at=AT + timedelta(hours=1)), (), expected=0)
    with pytest.raises(
        ConflictError,
        match=r"service 'checkout' has an active rollout, 'checkout-42'; .* before starting "
        r"'second'",
    ):
        store.save(a_rollout("second"), (), expected=None)
    with pytest.raises(StrategyError, match=r"due\(now=\): 2026-11-23T09:00:00 has no time zone"):
        store.due(AT.replace(tzinfo=None))


@rule("R21")
@every_store
def test_of_two_that_start_at_one_moment_one_is_told_of_the_other(
    make: Callable[[Path], Store], directory: Path
) -> None:
    """Both have asked for the last rollout of the service before either is saved."""
    store, met = make(directory), threading.Barrier(2, timeout=60)
    started, refused = [], []

    class Both:
        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

        def last(self, service: str) -> Any:
            found = store.last(service)
            met.wait()
            return found

    def race(id: str) -> None:
        try:
            started.append(
                start(
                    CANARY,
                    a_rollout().release,
                    id=id,
                    ports=Ports(router=MemoryRouter(), store=Both()),
                ).id
            )
        except ConflictError as error:
            refused.append(str(error))

    together(partial(race, "one"), partial(race, "other"))

    [won], [said] = started, refused
    assert f"service 'checkout' has an active rollout, '{won}'" in said
    assert list(store.due(a_rollout().clocks.created.replace(year=2100))) == [won]


@rule("R21")
def test_of_many_processes_that_move_one_rollout_none_loses_a_save(
    store: Any, place: Place, directory: Path
) -> None:
    saved(store, 0, many=0)
    racers = [
        subprocess.Popen(
            program("store_racer.py", place, directory, name, "20"),
            stdin=-1,
            stdout=-1,
            text=True,
            env=environment(),
        )
        for name in "abc"
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    for racer in racers:
        racer.communicate()
        assert racer.returncode == 0

    assert getattr(store.load(ID), "serial", None) == 60
    notes = list(store.notes(ID))
    assert [id for id, _ in notes] == [f"{ID}/{serial}/0" for serial in range(1, 61)]
    for name in "abc":
        assert [note.why for _, note in notes if note.event == name] == [
            f"win {n}" for n in range(20)
        ]


@rule("R32")
@every_store
@pytest.mark.parametrize(
    "drive",
    [play, lambda *given, **ports: asyncio.run(aplay(*given, **ports))],
    ids=["play", "aplay"],
)
def test_a_whole_rollout_is_driven_and_the_next_one_may_start(
    drive: Any, make: Callable[[Path], Store], directory: Path
) -> None:
    """In both colours: asyncio calls the store from the threads of its pool."""
    store, router = make(directory), MemoryRouter()
    outcome = drive(CANARY, a_rollout().release, router=router, store=store)
    following = start(
        CANARY, a_rollout().release, id="following", ports=Ports(router=router, store=store)
    )

    assert outcome.promoted
    assert getattr(store.load("played"), "over", None)
    assert sum(1 for _ in store.notes("played")) > 0
    assert store.last("checkout") == following
    assert list(store.due(following.clocks.now)) == ["following"]


# ----------------------------------------------------------------------------------- what is stored


@rule("R36")
def test_what_is_stored_is_what_dumps_writes(store: Any, place: Place, directory: Path) -> None:
    saved(store, 1)

    assert place.state(directory, ID) == dumps(a_rollout(serial=1)).encode()


def test_another_store_in_the_same_place_sees_it(store: Any, place: Place, directory: Path) -> None:
    saved(store, 3)
    other = place.open(directory)

    assert other.load(ID) == a_rollout(serial=3)
    assert list(other.notes(ID)) == all_notes(ID, 0, 1, 2, 3)
    assert repr(other) == repr(store) == f"{type(store).__name__}({str(place.path(directory))!r})"


@rule("R21")
@pytest.mark.parametrize(
    ("stored", "expected", "said"),
    [
        (
            None,
            5,
            (
                "rollout 'checkout-42' is not stored, and serial 5 was expected: somebody else "
                "moved it; load it and decide again"
            ),
        ),
        (
            3,
            2,
            (
                "rollout 'checkout-42' is at serial 3, and serial 2 was expected: somebody "
                "else moved it; load it and decide again"
            ),
        ),
        (
            3,
            None,
            (
                "rollout 'checkout-42' is at serial 3, and it should not have been stored: "
                "somebody else moved it; load it and decide again"
            ),
        ),
    ],
)
def test_a_lost_compare_and_set_says_what_was_found_and_expected(
    store: Any, stored: int | None, expected: int | None, said: str
) -> None:
    if stored is not None:
        saved(store, stored)

    with pytest.raises(ConflictError) as caught:
        store.save(a_rollout(serial=9), (), expected=expected)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    "id",
    ["", "../../x", "/etc/passwd", ".", "a/", "a\0b", "a\nb", "x" * 129, "käse", None, 7, b"a"],
)
def test_what_is_not_an_id_is_refused_and_touches_nothing(
    store: Any, directory: Path, id: Any
) -> None:
    before = held(directory)

    for act in (
        lambda: store.load(id),
        lambda: store.notes(id),
        lambda: store.driving(id).__enter__(),
    ):
        with pytest.raises(StrategyError, match=r"id: .* is not a name; use 1 to 128 letters"):
            act()
    assert held(directory) == before


def test_a_relative_path_stays_where_it_was(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = place.open(Path("rollouts"))
    monkeypatch.chdir("/")
    store.save(a_rollout(), (), expected=None)

    assert repr(store) == f"{type(store).__name__}({str(place.path(tmp_path / 'rollouts'))!r})"
    assert place.open(tmp_path / "rollouts").load(ID) == a_rollout()


# ------------------------------------------------------------------------------------ broken states


@rule("R34")
def test_a_state_cut_at_any_byte_is_refused_with_its_path_and_left_as_it_is(
    store: Any, place: Place, directory: Path
) -> None:
    saved(store, 1)
    whole = place.state(directory, ID)
    for end in range(len(whole)):
        place.spoil(directory, ID, whole[:end])
        before = held(directory)
        for act in (
            lambda: store.load(ID),
            lambda: store.last("checkout"),
            lambda: store.save(a_rollout(serial=2), (), expected=1),
        ):
            with pytest.raises(
                StateError, match=re.escape(f"{place.where(directory, ID)}: $")
            ) as caught:
                act()
            assert "left as it is: restore it, or move it away" in str(caught.value)
        assert store.due(AT) == [ID]
        assert held(directory) == before


@rule("R35")
def test_a_newer_format_is_refused_and_never_overwritten(
    store: Any, place: Place, directory: Path
) -> None:
    saved(store, 0)
    place.spoil(directory, ID, place.state(directory, ID).replace(b'"format":1', b'"format":99'))
    before = held(directory)

    for act in (lambda: store.load(ID), lambda: store.save(a_rollout(serial=1), (), expected=0)):
        with pytest.raises(
            StateError,
            match=re.escape(f"{place.where(directory, ID)}: $.format: format 99: ") + ".*upgrade",
        ):
            act()
    assert held(directory) == before


@rule("R34")
def test_a_state_under_another_ids_name_is_refused(
    store: Any, place: Place, directory: Path
) -> None:
    saved(store, 0)
    place.spoil(directory, "checkout-43", place.state(directory, ID))

    said = (
        f"{place.where(directory, 'checkout-43')}: $.id: it is the rollout 'checkout-42' under "
        "the name of 'checkout-43'"
    )
    with pytest.raises(StateError, match=re.escape(said)):
        store.load("checkout-43")


@pytest.mark.parametrize(
    "broken",
    [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"wake_at":"soon"}', b'{"wake_at":7}'],
)
def test_a_broken_state_is_a_state_error_stops_no_other_rollout_and_is_not_passed_over(
    store: Any, place: Place, directory: Path, broken: bytes
) -> None:
    for late, id in enumerate((ID, "b", "a")):
        store.save(
            a_rollout(id, service=id, wake_at=AT - timedelta(seconds=late)), (), expected=None
        )
    place.spoil(directory, "0-broken", broken)

    assert store.due(AT, 2) == ["a", "b"]
    assert sorted(store.due(AT)) == ["0-broken", "a", "b", ID]
    assert getattr(store.load("a"), "id", None) == "a"
    with pytest.raises(StateError, match=re.escape(f"{place.where(directory, '0-broken')}: $")):
        store.load("0-broken")


# ----------------------------------------------------------------------------------------- the disk


@rule("R4", "R25")
def test_a_process_that_is_killed_while_it_saves_loses_nothing_that_it_said_was_saved(
    place: Place, directory: Path
) -> None:
    """For real: SIGKILL at eight places in a loop of saves, each process going on from what the one
    before left.
    """
    said = -1
    for stop_after in (1, 2, 3, 5, 8, 13, 21, 34):
        with subprocess.Popen(
            program("store_saver.py", place, directory),
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        ) as process:
            assert process.stdout is not None
            for _ in range(stop_after):
                said = int(process.stdout.readline())
            process.send_signal(signal.SIGKILL)
            rest = [int(line) for line in process.stdout.read().splitlines()]
        said = max([said, *rest])

        store = place.open(directory)
        found = store.load(ID)
        assert found is not None
        assert found == a_rollout(serial=found.serial)
        assert found.serial in (said, said + 1)
        assert list(store.notes(ID)) == [
            each for s in range(found.serial + 1) for each in all_notes(ID, s, many=s % 4)
        ]


@rule("R25")
def test_a_file_size_limit_of_the_system_is_a_store_error(place: Place, directory: Path) -> None:
    """Not simulated: the kernel itself cuts the write short and then refuses it."""
    script = (
        "import os, resource, signal, sys; from tests.support.store_contract import *; "
        "from tests.support.places import *\n"
        "from progressive.errors import StoreError\n"
        "store = opened(*sys.argv[1:])\n"
        "store.save(a_rollout(), some_notes(0), expected=None)\n"
        "limit = max(path.stat().st_size for path in Path(sys.argv[2]).iterdir()) if "
        "sys.argv[1] == 'sqlite' else 700\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))\n"
        "try: store.save(a_rollout(serial=1), some_notes(1, 900), expected=0)\n"
        "except StoreError as error: print(error)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)\n"
        "assert store.load(ID) == a_rollout()\n"
        "store.save(a_rollout(serial=1), some_notes(1), expected=0)\n"
    )
    command = [sys.executable, "-c", script, place.name, str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)

    assert done.stderr == ""
    assert re.match(
        r"rollout 'checkout-42' was (not saved, and what was stored before stands|perhaps "
        r"saved, perhaps not; load it)",
        done.stdout,
    )
    assert re.search(r"File too large|disk I/O error|disk is full", done.stdout)
    assert place.open(directory).load(ID) == a_rollout(serial=1)
    assert list(place.open(directory).notes(ID)) == all_notes(ID, 0, 1)


@rule("R25")
def test_a_directory_without_the_right_to_write_can_be_read_and_refuses_to_save(
    place: Place,
) -> None:
    with a_directory_for_all() as directory:
        saved(place.open(directory), 2)
        before = held(directory)
        with as_nobody(directory):
            store = place.open(directory)
            with pytest.raises(StoreError, match=r"mend the .* rights$") as caught:
                store.save(a_rollout(serial=3), (), expected=2)
            with pytest.raises(StoreError, match="Permission denied"), store.driving(ID):
                pass

            assert store.load(ID) == a_rollout(serial=2)
            assert store.due(AT) == [ID]
            assert list(store.notes(ID)) == all_notes(ID, 0, 1, 2)
        assert held(directory) == before

    assert caught.value.failure is Failure.PERMANENT


def test_a_directory_that_has_gone_is_not_an_empty_one(store: Any, directory: Path) -> None:
    saved(store, 0)
    directory.rename(directory.with_name("unmounted"))

    for act in (
        lambda: store.load(ID),
        lambda: store.due(AT),
        lambda: store.last("checkout"),
        lambda: store.save(a_rollout(serial=1), (), expected=0),
        lambda: store.driving(ID).__enter__(),
    ):
        with pytest.raises(
            StoreError, match=r"No such file or directory|unable to open database file"
        ) as caught:
            act()
        assert caught.value.failure is Failure.PERMANENT


# ------------------------------------------------------------------------------------------ driving


def test_a_second_driver_is_told_who_drives(store: Any, place: Place, directory: Path) -> None:
    with store.driving(ID):
        for other in (store, place.open(directory)):
            with pytest.raises(ConflictError) as caught, other.driving(ID):
                pass
        with store.driving("another"):
            pass
    with store.driving(ID):
        pass

    said = (
        rf"rollout 'checkout-42' is driven by process {os.getpid()} on \S+ since "
        rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ; "
        "leave it to that one, or stop it and try again"
    )
    assert re.fullmatch(said, str(caught.value))


def test_a_shorter_name_covers_a_longer_one(store: Any, directory: Path) -> None:
    with store.driving(ID):
        pass
    [lock] = directory.rglob("*.driver")
    lock.write_text("a longer text of an earlier driver that was killed. " * 4, "utf-8")

    with (
        store.driving(ID),
        pytest.raises(ConflictError, match=r"try again$") as caught,
        store.driving(ID),
    ):
        pass
    assert "earlier driver" not in str(caught.value)


def test_who_drives_goes_on_saving(store: Any) -> None:
    with store.driving(ID):
        saved(store, 2)


def test_a_driver_that_fails_lets_go(store: Any) -> None:
    with pytest.raises(RuntimeError, match="its own"), store.driving(ID):
        raise RuntimeError("its own")
    with pytest.raises(FileNotFoundError), store.driving(ID):
        os.open("/nonexistent/of its own", os.O_RDONLY)

    with store.driving(ID):
        pass


@rule("R25")
def test_a_full_disk_does_not_keep_out_the_driver_that_rolls_back(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch:
        patch.setattr(_lock.os, "pwrite", refuse)
        with (
            store.driving(ID),
            pytest.raises(ConflictError, match="another process, which has not said which"),
            store.driving(ID),
        ):
            pass


def test_a_second_process_is_kept_out_and_sigkill_lets_it_in(
    store: Any, place: Place, directory: Path
) -> None:
    command = program("store_driver.py", place, directory)
    pipes: dict[str, Any] = {
        "stdin": subprocess.PIPE,
        "stdout": subprocess.PIPE,
        "text": True,
        "env": environment(),
    }
    with subprocess.Popen(command, **pipes) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "drives\n"

        second = subprocess.run(
            command, input="", capture_output=True, text=True, env=environment(), check=True
        )
        assert re.match(
            rf"rollout 'checkout-42' is driven by process {first.pid} on \S+ since ", second.stdout
        )
        with pytest.raises(ConflictError, match=f"process {first.pid} on"), store.driving(ID):
            pass
        first.kill()
        first.wait()

    with store.driving(ID):
        pass


def test_locks_of_hostile_ids_stay_in_the_directory_and_apart_where_case_is_not_told(
    store: Any, directory: Path
) -> None:
    for id in HOSTILE:
        with store.driving(id):
            pass

    names = [path.name for path in directory.rglob("*.driver")]
    assert len({name.casefold() for name in names}) == len(names) == len(HOSTILE)
    assert max(map(len, names)) <= 161 + len(".driver")
    assert all(re.fullmatch(r"[a-z0-9._+=~-]+", name) for name in names)
    assert sorted(path.name for path in directory.parent.iterdir()) == ["rollouts"]
