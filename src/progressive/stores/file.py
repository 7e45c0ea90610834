"""Rollouts in a directory of ordinary files, on one machine or on a shared file system that has working locks (``flock``).

Of a rollout ``checkout-42`` there are ``checkout-42.json`` (the state, exactly what `progressive.dumps` writes), ``checkout-42.notes`` (its
notes, appended), ``checkout-42.lock`` (locked during a save) and ``checkout-42.driver`` (locked while somebody drives it, and says who).
The last two may stay behind; only their locks count, and those die with their process.

A save is one transaction: the notes are appended and are on the disk first, then a new state replaces the old one by a rename. Until that
rename the old state and its notes are what anybody reads, after it the new ones; see `_journal`.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Final

from .. import _validators as check
from ..codec import dumps, dumps_note, loads, loads_note
from ..errors import ConflictError, Failure, StateError, StoreError
from ..notes import Note
from ..rollout import Rollout
from ..step import Kinds
from . import _journal
from ._names import id_of, stem_of

if sys.platform != "win32":
    import fcntl

__all__ = ["FileStore"]

LOCK_WAIT: Final = 10.0
"""Seconds that a save waits for another one of the same rollout. One takes milliseconds; a disk that hangs takes longer than this, and
then the driver must go on without the store, because it may have to roll back."""

LOCK_NAP: Final = 0.005
"""Seconds between two tries."""

HOPELESS: Final = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG}
)
"""What does not pass by itself: rights, a read-only file system, a directory that is not there. All else (full, I/O, too many) may."""

NO_KINDS: Final = Kinds()


class FileStore:
    """Rollouts in ``directory``, which is made if its parent exists. Safe for threads and processes; atomic and durable.

    ``kinds`` are your own step and check kinds. Everything but a wrong id (`StrategyError`) and a stored file that can't be
    understood (`StateError`, which names it; it is never overwritten) is a `StoreError`, and then what was stored stands:
    TRANSIENT (full, busy) may pass; PERMANENT (rights, read-only, not there) needs a person; UNKNOWN means that the rename was
    sent, so load before saving again. Not for Windows, which has no such locks and renames.
    """

    def __init__(self, directory: str | os.PathLike[str], kinds: Kinds = NO_KINDS) -> None:
        self._directory = os.path.abspath(os.fspath(directory))
        self._kinds = kinds
        if sys.platform == "win32":
            raise StoreError("FileStore needs flock and atomic renames, which Windows has not; use another store", failure=Failure.PERMANENT)
        with _told(f"{self._directory} can't hold rollouts"):
            if not os.path.isdir(self._directory):
                with suppress(FileExistsError):  # made by another process since, or a file: listing tells them apart
                    os.mkdir(self._directory)
            os.listdir(self._directory)

    def __repr__(self) -> str:
        return f"FileStore({self._directory!r})"

    # ------------------------------------------------------------------------------------------------------------ the store

    def save(self, rollout: Rollout, notes: Sequence[Note], *, expected: int | None) -> None:
        """Store both or neither, if the stored serial is ``expected`` (None: not stored yet), else `ConflictError`.

        Saving once more exactly what is stored does nothing.
        """
        state = _bytes(dumps(rollout, self._kinds))
        lines = [_bytes(dumps_note(note)) for note in notes]
        with _told(f"rollout {rollout.id!r} was not saved, and what was stored before stands"), self._locked(rollout.id):
            stored = self.load(rollout.id)
            found = None if stored is None else stored.serial
            if found != expected:
                raise ConflictError(
                    f"rollout {rollout.id!r} is {'not stored' if found is None else f'at serial {found}'}, and "
                    f"{'it should not have been stored' if expected is None else f'serial {expected} was expected'}: "
                    "somebody else moved it; load it and decide again"
                )
            if found is not None and rollout.serial <= found:
                if stored == rollout and not notes:
                    return
                raise ConflictError(
                    f"rollout {rollout.id!r} is at serial {found}, and what is to be saved has serial {rollout.serial}: a change has a "
                    "higher serial than what it changes; load it and decide again"
                )
            if _journal.append(self._path(rollout.id, "notes"), lines, serial=rollout.serial, after=expected):
                self._sync()
            self._replace(rollout.id, state)

    def load(self, id: str) -> Rollout | None:
        """The rollout as it was last saved; None if there is none. `StateError` names the file and the place in it."""
        path = self._path(id, "json")
        text = self._read(path)
        if text is None:
            return None
        try:
            rollout = loads(text, self._kinds)
        except StateError as error:
            raise _unreadable(path, error.path, error.why) from None
        if rollout.id != id:
            raise _unreadable(path, "$.id", f"it is the rollout {rollout.id!r} under the file name of {id!r}")
        return rollout

    def due(self, now: datetime, limit: int = 100) -> Sequence[str]:
        """The ids whose ``wake_at`` has come, the longest overdue first, ``limit`` at most.

        One broken file stops nobody else's rollout, and is not passed over either: a rollout that can't be read is listed after those
        that can be driven, because nobody watches its traffic. Ticking it raises the error that names the file.
        """
        now, limit = check.utc(now), check.whole(limit, "limit")
        overdue, broken = [], []
        for id in self._ids():
            try:
                wake_at = self._wake_at(id)
            except (StateError, StoreError):
                broken.append(id)
            else:
                if wake_at is not None and wake_at <= now:
                    overdue.append((wake_at, id))
        return [*(id for _, id in sorted(overdue)), *sorted(broken)][:limit]

    def last(self, service: str) -> Rollout | None:
        """The newest rollout of a service, by its creation.

        A file of which not even the service can be read might be of this one, and then two rollouts would move the same traffic: so it
        is a `StateError` until it is restored or moved away. One that says it is another service's is nobody's trouble here.
        """
        newest: tuple[datetime, str] | None = None
        for id in self._ids():
            data, path = self._glance(id), self._path(id, "json")
            if data is None or _service(data, path) != service:
                continue
            created = _time(data, ("clocks", "created"), path)
            if newest is None or (created, id) > newest:
                newest = created, id
        return None if newest is None else self.load(newest[1])

    def notes(self, id: str) -> Iterable[tuple[str, Note]]:
        """Every note with its id ``rollout/serial/n``, oldest first, up to the state as it is stored now; read while you iterate."""
        stored = self.load(id)
        return iter(()) if stored is None else self._notes(id, stored.serial)

    def _notes(self, id: str, serial: int) -> Iterator[tuple[str, Note]]:
        path = self._path(id, "notes")
        with _told(f"the notes of rollout {id!r} can't be read"):
            for number, saved, n, text in _journal.committed(path, serial):
                try:
                    note = loads_note(text)
                except StateError as error:
                    raise _unreadable(path, f"line {number}, {error.path}", error.why) from None
                yield f"{id}/{saved}/{n}", note

    @contextmanager
    def driving(self, id: str) -> Iterator[None]:
        """Keep a second driver out while this is open, also one in this process; `ConflictError` says who has it, and since when.

        It ends with the process however that ends, with SIGKILL too; a process that this one *forks* without an exec shares it.
        """
        what = f"rollout {id!r} can't be locked for a driver"
        with _opened(self._path(id, "driver"), os.O_RDWR | os.O_CREAT, what) as fd:
            with _told(what):
                if not _got(fd):
                    raise ConflictError(f"rollout {id!r} is driven by {_who(fd)}; leave it to that one, or stop it and try again")
            with suppress(OSError):  # the name is a courtesy; a full disk must not keep out the driver that rolls back
                os.ftruncate(fd, 0)
                os.pwrite(fd, _me(), 0)
            yield

    # ------------------------------------------------------------------------------------------------------------- its files

    def _path(self, id: str, suffix: str) -> str:
        return os.path.join(self._directory, f"{stem_of(check.name(id, 'id'))}.{suffix}")

    def _ids(self) -> list[str]:
        """The ids that there are states of. Files that this store would not have named are somebody else's, and left alone."""
        with _told(f"{self._directory} can't be listed"):
            names = os.listdir(self._directory)
        found = (id_of(name.removesuffix(".json")) for name in names if name.endswith(".json"))
        return [id for id in found if id is not None]

    def _read(self, path: str) -> bytes | None:
        """The bytes of a file; None if there is none.

        A directory that has gone is not an empty one: nothing would be due in it, and anything could be started.
        """
        with _told(f"{path} can't be read"):
            try:
                with open(path, "rb") as file:
                    return file.read()
            except FileNotFoundError:
                os.listdir(self._directory)
                return None

    def _glance(self, id: str) -> dict[str, Any] | None:
        """A state as bare JSON: enough to list many by what stays readable in every FORMAT, at a twentieth of the cost of loading."""
        path = self._path(id, "json")
        text = self._read(path)
        if text is None:
            return None
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise _unreadable(path, "$", f"not JSON: {error}") from None
        if not isinstance(data, dict):
            raise _unreadable(path, "$", "not an object")
        return data

    def _wake_at(self, id: str) -> datetime | None:
        data = self._glance(id)
        if data is None or data.get("wake_at", "") is None:
            return None
        return _time(data, ("wake_at",), self._path(id, "json"))

    @contextmanager
    def _locked(self, id: str) -> Iterator[None]:
        with _opened(self._path(id, "lock"), os.O_RDWR | os.O_CREAT, f"rollout {id!r} can't be locked for a save") as fd:
            end = time.monotonic() + LOCK_WAIT
            while not _got(fd):
                if time.monotonic() >= end:
                    raise StoreError(f"rollout {id!r} was not saved: another save of it has not ended within {LOCK_WAIT:g} s; try again")
                time.sleep(LOCK_NAP)
            yield

    def _replace(self, id: str, state: bytes) -> None:
        new = self._path(id, "tmp")
        with _opened(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, f"{new} can't be written") as fd:
            _journal.write(fd, state)
            os.fsync(fd)
        with _told(f"rollout {id!r} was perhaps saved, perhaps not; load it before saving again", failure=Failure.UNKNOWN):
            os.replace(new, self._path(id, "json"))
            self._sync()

    def _sync(self) -> None:
        """Wait until the directory's own entries are on the disk: a renamed file is not safe before that."""
        fd = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


@contextmanager
def _opened(path: str, flags: int, what: str) -> Iterator[int]:
    """A file descriptor. Only its opening is told as ``what`` failed; what is raised while it is open is for others to tell."""
    with _told(what):
        fd = os.open(path, flags, 0o666)
    try:
        yield fd
    finally:
        os.close(fd)


def _bytes(text: str) -> bytes:
    """JSON in UTF-8. Half a surrogate pair, which some system's error text may hold, has no UTF-8; its JSON escape is what Python calls it."""
    return text.encode("utf-8", "backslashreplace")


# ------------------------------------------------------------------------------------------------------------------- errors


@contextmanager
def _told(what: str, *, failure: Failure | None = None) -> Iterator[None]:
    """An error of the system becomes a `StoreError` with the system's own words."""
    try:
        yield
    except OSError as error:
        kind = failure or (Failure.PERMANENT if error.errno in HOPELESS else Failure.TRANSIENT)
        mend = "" if failure else "; mend the directory or its rights" if kind is Failure.PERMANENT else "; it may pass: try again"
        raise StoreError(f"{what}: {error}{mend}", failure=kind) from error


def _unreadable(path: str, place: str, why: str) -> StateError:
    return StateError(f"{why}. The file is left as it is: restore it, or move it away", path=f"{path}: {place}")


def _service(data: dict[str, Any], path: str) -> str:
    match data:
        case {"release": {"service": str() as service}}:
            return service
    raise _unreadable(path, "$.release.service", "it can't be told which service this rollout is of")


def _time(data: Any, keys: tuple[str, ...], path: str) -> datetime:
    try:
        for key in keys:
            data = data[key]
        return check.utc(datetime.fromisoformat(data))
    except (KeyError, TypeError, ValueError) as error:
        raise _unreadable(path, ".".join(("$", *keys)), f"not a time: {error}") from None


# -------------------------------------------------------------------------------------------------------------------- locks


def _got(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _me() -> bytes:
    since = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return f"process {os.getpid()} on {os.uname().nodename} since {since}".encode()


def _who(fd: int) -> str:
    """Who holds the lock, as that one wrote it."""
    return os.pread(fd, 400, 0).decode("utf-8", "replace") or "another process, which has not said which"
