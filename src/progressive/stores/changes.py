"""Which rollouts of a directory were saved lately: a file to which each save appends a line before
it and one after it, so that a list reads these and need not look at every file.

It is a hint and no record: a save goes on where it can't be written, it is not synced, and it is
emptied when it has grown. Whoever reads it looks at all files from time to time.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import attrs

from .filesystem import id_of, open_plain, stem_of, write_all

__all__ = ["Changes", "Delta", "Mark"]

BEGUN: Final = "+"
ENDED: Final = "-"

LINE: Final = re.compile(r"([+-])(\S+) (\d{19})", re.ASCII)
"""A save has begun or ended: of which rollout (the name of its file), and the nanosecond."""

MOST: Final = 2**20
"""Bytes after which the file is emptied: some ten thousand saves."""

KNOWN: Final = 256
"""Bytes before a mark that must still be the same: they hold the nanosecond of a save, so the same
place of a file that was emptied meanwhile has others.
"""


@attrs.frozen
class Mark:
    """How far the file was read: ``at`` so many bytes, of which the last are ``before``."""

    at: int
    before: bytes


@attrs.frozen
class Delta:
    """What was saved since a mark, by ids; a save of ``begun`` has perhaps not ended yet."""

    saved: frozenset[str] = frozenset()
    begun: frozenset[str] = frozenset()


class Changes:
    """The file ``path`` of saves that have begun and ended, for threads and processes."""

    def __init__(self, path: str) -> None:
        self._path = path

    @contextmanager
    def saving(self, id: str) -> Iterator[None]:
        """Tell readers of a save before it begins, and again when it has ended or failed."""
        self._append(BEGUN, id)
        try:
            yield
        finally:
            self._append(ENDED, id)

    def mark(self) -> Mark | None:
        """Return the end of the file as it is now; None if it can't be read, or is empty."""
        with suppress(OSError), self._reading() as (fd, size):
            before = os.pread(fd, min(size, KNOWN), max(0, size - KNOWN))
            # A line that is just being written is read whole the next time.
            ends = before.rfind(b"\n") + 1
            return Mark(size - len(before) + ends, before[:ends]) if ends else None
        return None

    def since(self, mark: Mark) -> tuple[Mark, Delta] | None:
        """Return what was saved since a mark, and the new one; None if that can't be told."""
        try:
            with self._reading() as (fd, size):
                begin = mark.at - len(mark.before)
                text = os.pread(fd, max(0, size - begin), begin)
        except OSError:
            return None
        if not text.startswith(mark.before):
            return None
        new = text[len(mark.before) : text.rfind(b"\n") + 1]
        delta = _delta(new)
        if delta is None:
            return None
        return Mark(mark.at + len(new), (mark.before + new)[-KNOWN:]), delta

    @contextmanager
    def _reading(self) -> Iterator[tuple[int, int]]:
        fd = open_plain(self._path, os.O_RDONLY)
        try:
            yield fd, os.fstat(fd).st_size
        finally:
            os.close(fd)

    def _append(self, sign: str, id: str) -> None:
        # A full disk or a missing right must not keep traffic from going back.
        with suppress(OSError):
            fd = open_plain(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            try:
                # A line that was cut off before it must not become a part of it.
                write_all(fd, f"\n{sign}{stem_of(id)} {time.time_ns()}\n".encode())
                if os.fstat(fd).st_size > MOST:
                    os.ftruncate(fd, 0)
            finally:
                os.close(fd)


def _delta(lines: bytes) -> Delta | None:
    """Read whole lines; None if there is another one among them."""
    begun = dict[str, bool]()
    for line in filter(None, lines.decode("ascii", "replace").split("\n")):
        found = LINE.fullmatch(line)
        if found is None:
            return None
        begun[found[2]] = found[1] == BEGUN
    ids = {stem: id for stem in begun if (id := id_of(stem)) is not None}
    if len(ids) < len(begun):
        return None
    return Delta(frozenset(ids.values()), frozenset(ids[stem] for stem in begun if begun[stem]))
