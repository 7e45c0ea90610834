"""What a list needs to know of each rollout in a directory of files, kept as long as its file stays
the same.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import takewhile
from operator import attrgetter, itemgetter
from typing import Final

import attrs

from progressive.rollout.listing import Wanted
from progressive.rollout.phases import Phase

from .changes import Changes, Delta, Mark
from .filesystem import id_of, os_errors_as_store_errors, stem_of

__all__ = ["Glance", "Glances"]

SETTLED: Final = 2 * 10**9
"""Nanoseconds after which a change gives a file or a directory another time for sure: some file
systems count in seconds, and clocks tick in steps of milliseconds. What was changed later than
this before it was read is read again.
"""

TRUSTED: Final = 10.0
"""Seconds in which an unchanged directory means unchanged files, and one in which something was
saved that nothing else was changed. What somebody has done by hand, as a file that is restored, is
noticed after so long at the latest.
"""


@attrs.define(kw_only=True, eq=False)
class Glance:
    """What was seen of one file: when its rollout was created, of which service, in which phase.

    None for what can't be told; reading the state tells why. ``waits_for_person`` is added when
    somebody has read the state. ``wakes`` is False for one that has ended.
    """

    id: str
    created: datetime | None = None
    service: str | None = None
    phase: Phase | None = None
    wake_at: datetime | None = None
    wakes: bool = True
    waits_for_person: bool | None = None
    place: tuple[datetime, str] | None = attrs.field(
        init=False,
        default=attrs.Factory(
            lambda self: None if self.created is None else (self.created, self.id), takes_self=True
        ),
    )
    """Its place in a list; None if that can't be told."""

    def may_be(self, wanted: Wanted) -> bool:
        """Return whether it may be one of those that are wanted: what can't be told may be."""
        return (
            (wanted.possible is None or self.phase is None or self.phase in wanted.possible)
            and (wanted.service is None or self.service in (None, wanted.service))
            and (wanted.since is None or self.created is None or self.created >= wanted.since)
            and (
                None in (wanted.waiting_for_person, self.waits_for_person)
                or self.waits_for_person is wanted.waiting_for_person
            )
        )


@attrs.frozen
class _Seen:
    """A file as it was before it was read. ``settled``: whether a change since would show."""

    mark: tuple[int, ...]
    settled: bool
    glance: Glance


@attrs.frozen
class _Snapshot:
    """All files of a directory, newest rollout first, as they were.

    * ``mark``, ``settled``: of the directory.
    * ``at``: when all files were looked at, in monotonic seconds.
    * ``saves``: how far the saves were read; None if that can't be told.
    * ``begun``: ids that were perhaps still being saved.
    """

    mark: tuple[int, ...]
    settled: bool
    at: float
    seen: dict[str, _Seen]
    newest: tuple[Glance, ...]
    saves: Mark | None
    begun: frozenset[str] = frozenset()


class Glances:
    """The files of one directory. ``look`` reads one, given its id; None if it has gone.

    For threads: two that look at one moment both do the work, and neither waits for the other.
    """

    def __init__(
        self, directory: str, look: Callable[[str], Glance | None], changes: Changes
    ) -> None:
        self._directory = directory
        self._look = look
        self._changes = changes
        self._known: _Snapshot | None = None

    def newest(self) -> Sequence[Glance]:
        """Return a glance of each rollout, newest first; those whose age can't be told come before
        all others.

        While nothing is saved it costs next to nothing. What has been saved since is read; and
        where it can't be told what has changed, each file that has.
        """
        with os_errors_as_store_errors(f"{self._directory} can't be listed"):
            known = self._known
            if known is None or time.monotonic() - known.at >= TRUSTED:
                known = self._all(known)
            else:
                # The saves are read before the directory: what is saved in between is read twice.
                told = None if known.saves is None else self._changes.since(known.saves)
                mark = _mark(os.stat(self._directory))
                if told is not None and (told[1].saved or known.begun):
                    known = self._with_saved(known, mark, *told)
                elif not known.settled or known.mark != mark:
                    known = self._all(known)
        self._known = known
        return known.newest

    def _all(self, known: _Snapshot | None) -> _Snapshot:
        """Look at all files, and read those that have changed."""
        at, saves, now = time.monotonic(), self._changes.mark(), time.time_ns()
        mark = _mark(os.stat(self._directory))
        seen = dict(self._files({} if known is None else known.seen))
        newest = _sorted(seen)
        # What can't be read will be mended in any way: it is looked at each time.
        settled = _is_settled(mark, now) and not any(map(_is_undated, newest[:1]))
        return _Snapshot(mark, settled, at, seen, newest, saves)

    def _with_saved(
        self, known: _Snapshot, mark: tuple[int, ...], saves: Mark, delta: Delta
    ) -> _Snapshot:
        """Read what was saved, or was perhaps still being saved the last time."""
        seen, changed, in_place = dict(known.seen), dict[str, Glance](), True
        unreadable = (each.id for each in takewhile(_is_undated, known.newest))
        for id in delta.saved.union(known.begun, unreadable):
            name = f"{stem_of(id)}.json"
            before = seen.pop(name, None)
            found = self._file(id, os.path.join(self._directory, name))
            if found is not None:
                seen[name], changed[id] = found, found.glance
            if before is None or found is None or before.glance.place != found.glance.place:
                in_place = False
        newest = (
            tuple([changed.get(each.id, each) for each in known.newest])
            if in_place
            else _sorted(seen)
        )
        begun = delta.begun | (known.begun - delta.saved)
        return _Snapshot(mark, True, known.at, seen, newest, saves, begun)

    def _files(self, known: dict[str, _Seen]) -> Iterator[tuple[str, _Seen]]:
        with os.scandir(self._directory) as entries:
            for entry in entries:
                if not entry.name.endswith(".json"):
                    continue
                seen = known.get(entry.name)
                id = id_of(entry.name.removesuffix(".json")) if seen is None else seen.glance.id
                if id is None:
                    continue
                if seen is None or not seen.settled or seen.mark != _mark_of(entry):
                    seen = self._file(id, entry.path)
                if seen is not None:
                    yield entry.name, seen

    def _file(self, id: str, path: str) -> _Seen | None:
        """Read a file; None if it has gone."""
        now = time.time_ns()
        try:
            mark = _mark(os.stat(path))
        except FileNotFoundError:
            return None
        glance = self._look(id)
        if glance is None:
            return None
        # What could not be told may have been a trouble that passes: it is read again.
        told = glance.created is not None and (glance.wake_at is not None or not glance.wakes)
        return _Seen(mark, told and _is_settled(mark, now), glance)


def _sorted(seen: dict[str, _Seen]) -> tuple[Glance, ...]:
    glances = [each.glance for each in seen.values()]
    dated = [(place, each) for each in glances if (place := each.place) is not None]
    dated.sort(key=itemgetter(0), reverse=True)
    undated = sorted(filter(_is_undated, glances), key=attrgetter("id"))
    return (*undated, *(each for _, each in dated))


def _is_undated(glance: Glance) -> bool:
    return glance.created is None


def _mark_of(entry: os.DirEntry[str]) -> tuple[int, ...] | None:
    try:
        return _mark(entry.stat())
    except FileNotFoundError:
        return None


def _mark(stat: os.stat_result) -> tuple[int, ...]:
    """Return what changes whenever a file or a directory does."""
    return stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_dev, stat.st_size


def _is_settled(mark: tuple[int, ...], now: int) -> bool:
    return now - max(mark[:2]) > SETTLED
