"""What a list needs to know of each rollout in a directory of files, kept as long as its file stays
the same.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from operator import attrgetter, itemgetter
from typing import Final

import attrs

from progressive.rollout.listing import Wanted
from progressive.rollout.phases import Phase

from .filesystem import id_of, os_errors_as_store_errors

__all__ = ["Glance", "Glances"]

SETTLED: Final = 2 * 10**9
"""Nanoseconds after which a change gives a file or a directory another time for sure: some file
systems count in seconds, and clocks tick in steps of milliseconds. What was changed later than
this before it was read is read again.
"""

TRUSTED: Final = 10.0
"""Seconds in which an unchanged directory means unchanged files. A save renames a file, which
changes its directory; a file that somebody has overwritten in place, as one that is restored, does
not, and is noticed after so long.
"""


@attrs.define(kw_only=True, eq=False)
class Glance:
    """What was seen of one file: when its rollout was created, of which service, in which phase.

    None for what can't be told; reading the state tells why. ``waits_for_person`` is added when
    somebody has read the state.
    """

    id: str
    created: datetime | None = None
    service: str | None = None
    phase: Phase | None = None
    waits_for_person: bool | None = None

    @property
    def place(self) -> tuple[datetime, str] | None:
        """Its place in a list; None if that can't be told."""
        return None if self.created is None else (self.created, self.id)

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
    """All files of a directory, newest rollout first, as they were ``at`` (monotonic seconds)."""

    mark: tuple[int, ...]
    settled: bool
    at: float
    seen: dict[str, _Seen]
    newest: tuple[Glance, ...]


class Glances:
    """The files of one directory. ``look`` reads one, given its id; None if it has gone.

    For threads: two that look at one moment both do the work, and neither waits for the other.
    """

    def __init__(self, directory: str, look: Callable[[str], Glance | None]) -> None:
        self._directory = directory
        self._look = look
        self._known: _Snapshot | None = None

    def newest(self) -> Sequence[Glance]:
        """Return a glance of each rollout, newest first; those whose age can't be told come before
        all others.

        What has changed since is read. While nothing is saved it costs next to nothing; else a
        `stat` of each file.
        """
        with os_errors_as_store_errors(f"{self._directory} can't be listed"):
            known, now, mark = self._known, time.time_ns(), _mark(os.stat(self._directory))
            if (
                known is not None
                and known.settled
                and known.mark == mark
                and time.monotonic() - known.at < TRUSTED
            ):
                return known.newest
            at = time.monotonic()
            seen = dict(self._files({} if known is None else known.seen))
        glances = [each.glance for each in seen.values()]
        dated = [(place, each) for each in glances if (place := each.place) is not None]
        dated.sort(key=itemgetter(0), reverse=True)
        undated = sorted((each for each in glances if each.place is None), key=attrgetter("id"))
        newest = (*undated, *(each for _, each in dated))
        # What can't be read will be mended in any way: it is looked at each time.
        settled = _is_settled(mark, now) and not undated
        self._known = _Snapshot(mark, settled, at, seen, newest)
        return newest

    def _files(self, known: dict[str, _Seen]) -> Iterator[tuple[str, _Seen]]:
        with os.scandir(self._directory) as entries:
            for entry in entries:
                name = entry.name
                if not name.endswith(".json"):
                    continue
                before, now = known.get(name), time.time_ns()
                try:
                    mark = _mark(entry.stat())
                except FileNotFoundError:
                    continue
                if before is not None and before.settled and before.mark == mark:
                    yield name, before
                    continue
                id = id_of(name.removesuffix(".json")) if before is None else before.glance.id
                if id is None:
                    continue
                glance = self._look(id)
                if glance is not None:
                    yield name, _Seen(mark, _is_settled(mark, now), glance)


def _mark(stat: os.stat_result) -> tuple[int, ...]:
    """Return what changes whenever a file or a directory does."""
    return stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_dev, stat.st_size


def _is_settled(mark: tuple[int, ...], now: int) -> bool:
    return now - max(mark[:2]) > SETTLED
