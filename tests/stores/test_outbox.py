"""What always holds of an outbox, wherever it keeps what was told."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from tests.support.rules import rule
from tests.support.world import START

from progressive.errors import ConflictError, StateError, StoreError, StrategyError
from progressive.model.delivery import Delivery
from progressive.model.units import minutes
from progressive.ports import Outbox
from progressive.stores.file import FileStore
from progressive.stores.file_outbox import FileOutbox
from progressive.stores.sqlite import SqliteStore
from progressive.stores.sqlite_outbox import SqliteOutbox
from progressive.testing import MemoryOutbox

FIRST = Delivery(rollout="Shop/2", destination="slack:deploys", revision=1)
LATER = attrs.evolve(
    FIRST,
    revision=2,
    told="Shop/2/4/1",
    attempts=3,
    claimed=START,
    retry_at=START + minutes(1),
    failed="answered 500: “no”",
    handle='{"ts":"1.2"}',
    recent=("one", "two"),
    sent=2,
    sent_at=START,
)


@pytest.fixture(params=["memory", "files", "beside a store", "sqlite", "a store's database"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Outbox]:
    """What opens the same outbox again."""
    if request.param == "beside a store":
        FileStore(tmp_path / "rollouts")
    if request.param == "a store's database":
        SqliteStore(tmp_path / "rollouts.db")
    memory = MemoryOutbox()
    made: dict[str, Callable[[], Outbox]] = {
        "memory": lambda: memory,
        "files": lambda: FileOutbox(tmp_path / "rollouts"),
        "beside a store": lambda: FileOutbox(tmp_path / "rollouts"),
        "sqlite": lambda: SqliteOutbox(tmp_path / "rollouts.db"),
        "a store's database": lambda: SqliteOutbox(tmp_path / "rollouts.db"),
    }
    return made[request.param]


def test_what_was_saved_last_is_loaded_whole(opened: Callable[[], Outbox]) -> None:
    outbox = opened()
    outbox.save(FIRST)
    outbox.save(LATER)

    assert opened().load("Shop/2", "slack:deploys") == LATER
    assert opened().load("Shop/2", "other") is None
    assert opened().load("shop/2", "slack:deploys") is None


@rule("R21")
@pytest.mark.parametrize("revision", [1, 3, 4])
def test_who_was_not_first_changes_nothing(opened: Callable[[], Outbox], revision: int) -> None:
    outbox = opened()
    outbox.save(FIRST)
    outbox.save(LATER)
    beside = attrs.evolve(FIRST, revision=revision, failed="beside")
    if revision == 3:
        outbox.save(attrs.evolve(LATER, revision=3))

    with pytest.raises(ConflictError, match="is at revision"):
        outbox.save(beside)
    stored = outbox.load("Shop/2", "slack:deploys")
    assert stored is not None and stored.failed != "beside"


def test_the_first_save_has_revision_one(opened: Callable[[], Outbox]) -> None:
    with pytest.raises(ConflictError, match="at revision 0, and revision 2 was to follow"):
        opened().save(LATER)


def test_open_are_those_of_which_somebody_is_to_be_told_more(
    opened: Callable[[], Outbox],
) -> None:
    outbox = opened()
    assert outbox.open() == []
    for rollout in ("b-2", "a-1", "c-3"):
        for destination in ("slack", "mail"):
            outbox.save(attrs.evolve(FIRST, rollout=rollout, destination=destination))
    for rollout, destination in (("a-1", "slack"), ("c-3", "slack"), ("c-3", "mail")):
        done = attrs.evolve(
            FIRST, rollout=rollout, destination=destination, revision=2, finished=True
        )
        outbox.save(done)

    assert opened().open() == ["a-1", "b-2"]
    found = opened().load("c-3", "mail")
    assert found is not None and found.finished
    outbox.save(attrs.evolve(found, revision=3, finished=True, sent=9))
    assert opened().open() == ["a-1", "b-2"]


def _race(outbox: Any, gate: Any, wins: Any) -> None:
    gate.wait()
    for revision in range(1, 101):
        try:
            outbox.save(attrs.evolve(FIRST, revision=revision, failed=str(os.getpid())))
        except ConflictError:
            continue
        with wins.get_lock():
            wins.value += 1


@rule("R21")
@pytest.mark.parametrize("kind", [FileOutbox, SqliteOutbox])
def test_of_two_processes_one_is_first(kind: Any, tmp_path: Path) -> None:
    spawning = multiprocessing.get_context("fork")
    outbox, gate, wins = kind(tmp_path / "outbox"), spawning.Barrier(2), spawning.Value("i", 0)
    both = [spawning.Process(target=_race, args=(outbox, gate, wins)) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join()

    assert [each.exitcode for each in both] == [0, 0]
    found = outbox.load("Shop/2", "slack:deploys")
    assert found is not None and found.revision == wins.value == 100


def test_a_store_goes_on_beside_its_outbox(tmp_path: Path) -> None:
    """Also one of an older version, which knows nothing of the table."""
    outbox = SqliteOutbox(tmp_path / "rollouts.db")
    outbox.save(FIRST)
    files = FileOutbox(tmp_path / "rollouts")
    files.save(FIRST)

    assert SqliteStore(tmp_path / "rollouts.db").due(START) == []
    assert FileStore(tmp_path / "rollouts").due(START) == []
    assert repr(outbox) == f"SqliteOutbox({str(tmp_path / 'rollouts.db')!r})"
    assert repr(files) == f"FileOutbox({str(tmp_path / 'rollouts')!r})"


def test_what_is_damaged_is_named_and_left_as_it_is(tmp_path: Path) -> None:
    files = FileOutbox(tmp_path / "rollouts")
    files.save(FIRST)
    [path] = (tmp_path / "rollouts").rglob("*.untold")
    path.write_text("{}")

    with pytest.raises(StateError, match=r"\.untold: \$.*left as it is"):
        files.load("Shop/2", "slack:deploys")
    with pytest.raises(StateError):
        files.save(LATER)
    assert path.read_text() == "{}"


def test_a_damaged_row_is_named_and_left_as_it_is(tmp_path: Path) -> None:
    import sqlite3

    outbox = SqliteOutbox(tmp_path / "rollouts.db")
    outbox.save(FIRST)
    with sqlite3.connect(tmp_path / "rollouts.db") as db:
        db.execute("UPDATE deliveries SET delivery = 'x'")

    with pytest.raises(StateError, match=r"slack:deploys.*was told of.*left as it is"):
        outbox.load("Shop/2", "slack:deploys")


def test_where_it_can_not_be_made_says_so(tmp_path: Path) -> None:
    with pytest.raises(StrategyError, match="MemoryOutbox"):
        SqliteOutbox(":memory:")
    with pytest.raises(StoreError, match="can't hold an outbox"):
        FileOutbox(tmp_path / "a" / "b")
    with pytest.raises(StoreError):
        SqliteOutbox(tmp_path / "a" / "b.db")


def test_what_is_not_ours_beside_the_destinations_is_passed_over(tmp_path: Path) -> None:
    files = FileOutbox(tmp_path / "rollouts")
    files.save(FIRST)
    (tmp_path / "rollouts" / "~outbox" / ".DS_Store").write_text("x")

    assert files.open() == ["Shop/2"]


def test_an_interrupted_finish_reads_what_was_told(tmp_path: Path) -> None:
    """The old file may stay behind where the process was killed between rename and removal."""
    files = FileOutbox(tmp_path / "rollouts")
    files.save(FIRST)
    [untold] = (tmp_path / "rollouts").rglob("*.untold")
    kept = untold.read_bytes()
    files.save(attrs.evolve(LATER, finished=True))
    untold.write_bytes(kept)

    found = files.load("Shop/2", "slack:deploys")
    assert found is not None and found.finished
    assert files.open() == []
