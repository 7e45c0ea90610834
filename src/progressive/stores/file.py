"""A store in a directory of ordinary files, on one machine or on a shared file system that has
working locks (``flock``).

A rollout ``checkout-42`` has the files ``checkout-42.json`` (the state, exactly as
`progressive.dumps` writes it), ``checkout-42.notes`` (its notes, appended), ``checkout-42.lock``
(locked during a save) and ``checkout-42.driver`` (locked while it is driven, with the name of the
driver's process). ``~start.lock`` is locked while a new rollout is saved. These files may stay
behind; only the lock on them counts. ``~saves`` tells lists which rollouts were saved lately; see
`changes`.

A save is one transaction: the notes are appended and are on the disk first, then a new state
replaces the old one by a rename. Until that rename the old state and its notes are read, after it
the new ones; see `journal`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import datetime
from typing import Any, Final

from progressive.codec.documents import dumps, dumps_note
from progressive.errors import Failure, StateError, StoreError
from progressive.model import fields
from progressive.plan.step import Kinds
from progressive.rollout.listing import Page, Wanted
from progressive.rollout.notes import Note
from progressive.rollout.phases import FINAL, Phase
from progressive.rollout.state import Rollout

from . import journal as _journal
from .changes import Changes
from .filesystem import (
    driven,
    id_of,
    locked,
    need_locks,
    open_plain,
    os_errors_as_store_errors,
    stem_of,
    sync_directory,
    written,
)
from .glances import Glance, Glances
from .recent import Recent
from .stored import may_replace, note_of, nowhere, page_of, second, unreadable

__all__ = ["FileStore"]

NO_KINDS: Final = Kinds()

ENDED: Final = tuple(phase.value for phase in FINAL)
"""The stored phases of a rollout that moves no traffic any more."""


class FileStore:
    """A store in a directory of files, for threads and processes; atomic and durable.

    * ``directory``: made if its parent exists.
    * ``kinds``: your own kinds of steps and checks.

    Raises `StrategyError` for a wrong id, and `StateError`, which names the file, for one that
    can't be understood; it is never overwritten. Every other failure is a `StoreError`, and then
    the stored state stands: TRANSIENT (full, busy) may pass; PERMANENT (rights, read-only, not
    there) needs a person; UNKNOWN means that the rename may have been done, so load before saving
    again. Not for Windows, which has no such locks and renames.
    """

    def __init__(self, directory: str | os.PathLike[str], kinds: Kinds = NO_KINDS) -> None:
        need_locks("FileStore")
        self._directory = os.path.abspath(os.fspath(directory))
        self._kinds = kinds
        self._recent = Recent(kinds)
        self._changes = Changes(os.path.join(self._directory, "~saves"))
        self._glances = Glances(self._directory, self._list_entry, self._changes)
        with os_errors_as_store_errors(f"{self._directory} can't hold rollouts"):
            if not os.path.isdir(self._directory):
                # Made by another process meanwhile, or a file: listing it tells them apart.
                with suppress(FileExistsError):
                    os.mkdir(self._directory)
            os.listdir(self._directory)

    def __repr__(self) -> str:
        return f"FileStore({self._directory!r})"

    # ------------------------------------------------------------------------------------ the store

    def save(self, rollout: Rollout, notes: Sequence[Note], *, expected: int | None) -> None:
        """Store a rollout and its notes, both or neither.

        Idempotent: saving exactly what is stored does nothing. ``expected`` is the stored serial,
        None if it is not stored yet. Raises `ConflictError` if that is another, and for a new
        rollout whose service has an active one, even if both are started at the same moment.
        """
        state = dumps(rollout, self._kinds).encode()
        lines = [dumps_note(note).encode() for note in notes]
        with (
            os_errors_as_store_errors(
                f"rollout {rollout.id!r} was not saved, and what was stored before stands"
            ),
            self._starting(rollout.id) if expected is None else nullcontext(),
            locked(self._path(rollout.id, "lock"), rollout.id, "another save of it"),
        ):
            stored = self.load(rollout.id)
            found = None if stored is None else stored.serial
            if not may_replace(
                rollout, notes, expected=expected, found=found, same=stored == rollout
            ):
                return
            if (
                expected is None
                and not rollout.final
                and (other := self._active(rollout.release.service)) is not None
            ):
                raise second(rollout, other)
            with self._changes.saving(rollout.id):
                if _journal.append(
                    self._path(rollout.id, "notes"), lines, serial=rollout.serial, after=expected
                ):
                    sync_directory(self._directory)
                self._replace(rollout.id, state)
            self._recent.keep(state, rollout)

    def load(self, id: str) -> Rollout | None:
        """Return the rollout as it was last saved; None if there is none.

        Raises `StateError` with the file and the place in it.
        """
        path = self._path(id, "json")
        text = self._read(path)
        return None if text is None else self._recent.read(text, id, where=path)

    def serials(self, ids: Sequence[str]) -> Mapping[str, int]:
        """Return the serials of those rollouts that are stored; what can't be read is left out."""
        found = {}
        for id in ids:
            with suppress(StateError, StoreError):
                if (stored := self.load(id)) is not None:
                    found[id] = stored.serial
        return found

    def due(self, now: datetime, limit: int | None = None) -> Sequence[str]:
        """Return the ids whose ``wake_at`` is at or before ``now``: all, or at most ``limit``.

        The longest overdue come first. Rollouts that can't be read come after them: one broken file
        stops no other rollout, but nobody watches its traffic, and ticking it raises the error that
        names the file.
        """
        now = fields.moment(now, "due(now=)")
        most = None if limit is None else fields.whole(limit, "limit")
        overdue, broken = [], []
        for glance in self._glances.newest():
            if glance.wake_at is None:
                if glance.wakes:
                    broken.append(glance.id)
            elif glance.wake_at <= now:
                overdue.append((glance.wake_at, glance.id))
        return [*(id for _, id in sorted(overdue)), *sorted(broken)][:most]

    def last(self, service: str) -> Rollout | None:
        """Return the active rollout of a service, else the newest by its creation; None if there is
        none.

        A file whose service can't be read might be of this one, and then two rollouts would move
        the same traffic: so it is a `StateError` until it is restored or moved away. Broken files
        of other services are ignored.
        """
        newest: tuple[bool, datetime, str] | None = None
        for id in self._ids():
            data, path = self._glance(id), self._path(id, "json")
            if data is None or _service(data, path) != service:
                continue
            found = _is_active(data), _time(data, ("clocks", "created"), path), id
            if newest is None or found > newest:
                newest = found
        return None if newest is None else self.load(newest[2])

    def rollouts(
        self,
        *,
        phase: Phase | str | Iterable[Phase | str] | None = None,
        service: str | None = None,
        waiting_for_person: bool | None = None,
        since: datetime | None = None,
        limit: int = 100,
        after: str | Rollout | None = None,
    ) -> Page[Rollout]:
        """Return a page of the stored rollouts, newest first; see `ListingStore.rollouts`.

        The first list of a process reads every file; later ones read what was saved since, and
        every ten seconds look at the date of each file. So what was done by hand, as a file that is
        restored, may be listed as it was for ten seconds. On a shared file system a list is as new
        as its attribute cache.
        """
        wanted = Wanted(
            phase=phase,
            service=service,
            waiting_for_person=waiting_for_person,
            since=since,
            limit=limit,
            after=after,
        )
        return page_of(wanted, self._found(wanted))

    def _found(self, wanted: Wanted) -> Iterator[Rollout | tuple[str, StateError | StoreError]]:
        """Yield what is wanted or can't be read behind ``after``, newest first."""
        for glance in _behind(wanted.after, self._glances.newest()):
            if not glance.may_be(wanted):
                continue
            path = self._path(glance.id, "json")
            try:
                if (text := self._read(path)) is None:
                    continue
                rollout = self._recent.read(text, glance.id, where=path)
            except (StateError, StoreError) as error:
                _raise_passing(error)
                yield glance.id, error
            else:
                glance.waits_for_person = rollout.waits_for_person
                if wanted.is_met_by(rollout):
                    yield rollout

    def notes(self, id: str) -> Iterable[tuple[str, Note]]:
        """Yield every note with its id ``rollout/serial/n``, oldest first, up to the state as it is
        stored now. They are read while you iterate.
        """
        stored = self.load(id)
        return iter(()) if stored is None else self._notes(id, stored.serial)

    def _notes(self, id: str, serial: int) -> Iterator[tuple[str, Note]]:
        path = self._path(id, "notes")
        with os_errors_as_store_errors(f"the notes of rollout {id!r} can't be read"):
            for number, saved, n, text in _journal.committed(path, serial):
                yield f"{id}/{saved}/{n}", note_of(text, where=f"{path}: line {number}")

    def driving(self, id: str) -> AbstractContextManager[None]:
        """Keep a second driver out while this is open, also one in this process.

        Raises `ConflictError`, which names the process that drives it and since when. The lock ends
        with the process however that ends, with SIGKILL too; a process that this one *forks*
        without an exec shares it.
        """
        return driven(self._path(id, "driver"), id)

    # ------------------------------------------------------------------------------------ its files

    def _path(self, id: str, suffix: str) -> str:
        return os.path.join(self._directory, f"{stem_of(fields.name(id, 'id'))}.{suffix}")

    def _ids(self) -> list[str]:
        """Return the ids of all stored states. Files that this store would not have named are
        ignored.
        """
        with os_errors_as_store_errors(f"{self._directory} can't be listed"):
            names = os.listdir(self._directory)
        ids = (id_of(name.removesuffix(".json")) for name in names if name.endswith(".json"))
        return [id for id in ids if id is not None]

    def _read(self, path: str) -> bytes | None:
        """Return the bytes of a file; None if there is none.

        A directory that has gone is an error, not an empty one: nothing would be due in it, and
        anything could be started.
        """
        with os_errors_as_store_errors(f"{path} can't be read"):
            try:
                with os.fdopen(open_plain(path, os.O_RDONLY), "rb") as file:
                    return file.read()
            except FileNotFoundError:
                os.listdir(self._directory)
                return None

    def _glance(self, id: str) -> dict[str, Any] | None:
        """Return a state as bare JSON; None if there is none.

        It is for lists: it costs a twentieth of loading, and the keys that are used are the same in
        every FORMAT.
        """
        path = self._path(id, "json")
        text = self._read(path)
        if text is None:
            return None
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise unreadable(path, "$", f"not JSON: {error}") from None
        if not isinstance(data, dict):
            raise unreadable(path, "$", "not an object")
        return data

    def _list_entry(self, id: str) -> Glance | None:
        """Return what a list needs to know of a stored state; None if there is none.

        What can't be told is left open.
        """
        path = self._path(id, "json")
        try:
            data = self._glance(id)
        except (StateError, StoreError):
            return Glance(id=id)
        if data is None:
            return None
        created = service = phase = wake_at = None
        wakes = data.get("wake_at", "") is not None
        with suppress(StateError):
            created = _time(data, ("clocks", "created"), path)
        with suppress(StateError):
            service = _service(data, path)
        with suppress(KeyError, AttributeError, ValueError):
            phase = Phase(data["progress"].get("phase", Phase.PENDING))
        if wakes:
            with suppress(StateError):
                wake_at = _time(data, ("wake_at",), path)
        return Glance(
            id=id, created=created, service=service, phase=phase, wake_at=wake_at, wakes=wakes
        )

    def _starting(self, id: str) -> AbstractContextManager[None]:
        """Let one new rollout be saved at a time. No id has a file name that begins with ``~``."""
        return locked(
            os.path.join(self._directory, "~start.lock"), id, "the first save of another rollout"
        )

    def _active(self, service: str) -> str | None:
        """Return the id of a rollout of this service that has not ended; None if there is none."""
        for id in self._ids():
            data = self._glance(id)
            if (
                data is None
                or _service(data, self._path(id, "json")) != service
                or data.get("wake_at", "") is None
            ):
                continue
            rollout = self.load(id)
            if rollout is not None and not rollout.final:
                return id
        return None

    def _replace(self, id: str, state: bytes) -> None:
        """Replace a state by a rename, on the disk when it returns."""
        new = self._path(id, "tmp")
        written(new, state)
        with os_errors_as_store_errors(
            f"rollout {id!r} was perhaps saved, perhaps not; load it before saving again",
            failure=Failure.UNKNOWN,
        ):
            os.replace(new, self._path(id, "json"))
            sync_directory(self._directory)


def _raise_passing(error: StateError | StoreError) -> None:
    """Raise an error that is not this one file's: a list without all the others says nothing."""
    if isinstance(error, StoreError) and error.failure is not Failure.PERMANENT:
        raise error


def _behind(after: str | tuple[datetime, str] | None, newest: Sequence[Glance]) -> Iterator[Glance]:
    """Yield what stands behind a place, or a rollout's; that without an age stands on page one."""
    if after is None:
        yield from newest
        return
    if isinstance(after, str):
        place = next((each.place for each in newest if each.id == after), None)
        if place is None:
            raise nowhere(after)
        after = place
    yield from (each for each in newest if each.place is not None and each.place < after)


def _service(data: dict[str, Any], path: str) -> str:
    match data:
        case {"release": {"service": str() as service}}:
            return service
    raise unreadable(path, "$.release.service", "it can't be told which service this rollout is of")


def _is_active(data: dict[str, Any]) -> bool:
    """Tell from bare JSON; what can't be told is found when it is loaded."""
    progress = data.get("progress")
    phase = progress.get("phase", "") if isinstance(progress, dict) else ""
    return phase not in ENDED


def _time(data: Any, keys: tuple[str, ...], path: str) -> datetime:
    try:
        for key in keys:
            data = data[key]
        return fields.moment(datetime.fromisoformat(data), keys[-1])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise unreadable(path, ".".join(("$", *keys)), f"not a time: {error}") from None
