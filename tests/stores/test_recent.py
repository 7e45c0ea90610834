"""What a store remembers of its last reads hides nothing that others have done to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.rules import rule
from tests.support.world import RELEASE, START, canary

from progressive import StateError, begin, dumps
from progressive.plan.step import Kinds
from progressive.stores import recent as room
from progressive.stores.file import FileStore
from progressive.stores.recent import Recent
from progressive.stores.sqlite import SqliteStore

ROLLOUT = begin(canary().plan, RELEASE, id="r", at=START)
TEXT = dumps(ROLLOUT).encode()


def test_the_same_text_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[bytes] = []
    honest = room.rollout_of

    def counted(text: bytes, *args: Any, **named: Any) -> Any:
        read.append(text)
        return honest(text, *args, **named)

    monkeypatch.setattr(room, "rollout_of", counted)
    known = Recent(Kinds())
    first = known.read(TEXT, "r", where="here")
    later = TEXT.replace(b'"wake_at":"2026-03-01T12:00', b'"wake_at":"2026-03-01T12:01')

    assert known.read(TEXT, "r", where="here") is first == ROLLOUT
    assert read == [TEXT]
    assert later != TEXT
    assert known.read(later, "r", where="here") != first
    assert known.read(TEXT, "r", where="here") == first
    assert read == [TEXT, later, TEXT]


def test_only_the_last_ones_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MOST", 2)
    known = Recent(Kinds())
    for id in "abc":
        known.keep(TEXT.replace(b'"id":"r"', b'"id":"%s"' % id.encode()), _named(id))

    assert list(known._known) == ["b", "c"]


def _named(id: str) -> Any:
    return begin(canary().plan, RELEASE, id=id, at=START)


def _broken_row(folder: Path) -> SqliteStore:
    store = SqliteStore(folder / "rollouts.db")
    store.save(ROLLOUT, (), expected=None)
    assert store.load("r") == ROLLOUT
    with sqlite3.connect(folder / "rollouts.db") as db:
        db.execute("UPDATE rollouts SET state = replace(state, '\"format\":1', '\"format\":x')")
    return store


def _broken_file(folder: Path) -> FileStore:
    store = FileStore(folder)
    store.save(ROLLOUT, (), expected=None)
    assert store.load("r") == ROLLOUT
    [path] = folder.glob("*.json")
    path.write_bytes(path.read_bytes().replace(b'"format":1', b'"format":x'))
    return store


@rule("R34")
@pytest.mark.parametrize("broken", [_broken_row, _broken_file])
def test_what_was_damaged_since_is_seen_and_not_overwritten(
    broken: Callable[[Path], Any], tmp_path: Path
) -> None:
    store = broken(tmp_path)

    with pytest.raises(StateError):
        store.load("r")
    with pytest.raises(StateError):
        store.save(ROLLOUT, (), expected=0)
    assert store.serials(["r", "never-saved"]) == {}
