"""The stores that keep rollouts on a disk, and what a test must know of each to look at its bytes,
or to spoil them.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Protocol

from tests.support.paths import ROOT
from tests.support.store_contract import a_rollout, some_notes

from progressive.stores.file import FileStore
from progressive.stores.sqlite import SqliteStore

HERE = Path(__file__).parent
ID = "checkout-42"


class Place(Protocol):
    """One kind of store in a directory of its own."""

    name: str

    def open(self, directory: Path) -> FileStore | SqliteStore:
        """A store on what is there."""
        ...

    def path(self, directory: Path) -> Path:
        """What the store is given."""
        ...

    def where(self, directory: Path, id: str) -> str:
        """How an error names the state of a rollout."""
        ...

    def state(self, directory: Path, id: str) -> bytes:
        """The state as it is stored."""
        ...

    def spoil(self, directory: Path, id: str, state: bytes) -> None:
        """Put something else in its place."""
        ...


class Files:
    name = "file"

    def open(self, directory: Path) -> FileStore:
        return FileStore(self.path(directory))

    def path(self, directory: Path) -> Path:
        return directory

    def where(self, directory: Path, id: str) -> str:
        return f"{directory / id}.json"

    def state(self, directory: Path, id: str) -> bytes:
        return (directory / f"{id}.json").read_bytes()

    def spoil(self, directory: Path, id: str, state: bytes) -> None:
        (directory / f"{id}.json").write_bytes(state)


class Sqlite:
    name = "sqlite"

    def open(self, directory: Path) -> SqliteStore:
        directory.mkdir(exist_ok=True)
        return SqliteStore(self.path(directory))

    def path(self, directory: Path) -> Path:
        return directory / "rollouts.db"

    def where(self, directory: Path, id: str) -> str:
        return f"{self.path(directory)}: rollout {id!r}"

    def state(self, directory: Path, id: str) -> bytes:
        with by_hand(self.path(directory)) as db:
            [(text,)] = db.execute("SELECT CAST(state AS BLOB) FROM rollouts WHERE id = ?", (id,))
        return bytes(text)

    def spoil(self, directory: Path, id: str, state: bytes) -> None:
        with by_hand(self.path(directory)) as db:
            db.execute(
                "INSERT INTO rollouts SELECT ?, service, created, 0, wake_at, state FROM "
                "rollouts WHERE id = ? ON CONFLICT DO NOTHING",
                (id, ID),
            )
            db.execute("UPDATE rollouts SET state = CAST(? AS TEXT) WHERE id = ?", (state, id))


@contextmanager
def by_hand(path: Path) -> Iterator[sqlite3.Connection]:
    """The database as a person opens it; nothing of this needs to outlive a power cut."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")
        yield db


PLACES: tuple[Place, ...] = (Files(), Sqlite())


def opened(kind: str, directory: str) -> FileStore | SqliteStore:
    """For the programs beside this file: ``opened("file", DIRECTORY)``."""
    [place] = [place for place in PLACES if place.name == kind]
    return place.open(Path(directory))


def saved(store: FileStore | SqliteStore, upto: int, *, many: int = 2) -> None:
    """Saves with the serials 0 to ``upto``."""
    for serial in range(upto + 1):
        store.save(
            a_rollout(serial=serial),
            some_notes(serial, many),
            expected=serial - 1 if serial else None,
        )


def held(directory: Path) -> dict[str, bytes]:
    """Every file and its bytes, but for the hints to lists."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name != "~saves"
    }


def environment() -> dict[str, str]:
    """What a subprocess needs to import the helpers of these tests and the same library as this
    process.
    """
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }


@contextmanager
def a_directory_for_all() -> Iterator[Path]:
    """One that also who has no rights can reach; pytest's own are for their user alone."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made) / "rollouts"


@contextmanager
def as_nobody(directory: Path) -> Iterator[None]:
    """Without the right to write in the directory. Rights don't bind root; a test that runs as root
    gives them up for a while.
    """
    for path in directory.rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    directory.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        for path in (directory, *directory.rglob("*")):
            path.chmod(0o755)
