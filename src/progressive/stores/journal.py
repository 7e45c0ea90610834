"""A journal: the notes of one rollout in one file, only ever appended to, and committed by the
state that is stored beside it.

Each save appends its notes, one on a line as `dumps_note` writes them, and then a line with its
serial, the serial before and the number of its notes::

    {"saved":5,"after":4,"notes":2}

Save 5 is committed once the stored *state* has serial 5, which is written after the journal is on
the disk. So everything after the line of the state's serial was interrupted: readers stop before
it, and the next save cuts it off. ``after`` chains the saves, so that a line that was lost or
edited is noticed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from progressive.errors import StateError

from .filesystem import open_plain, write_all

BLOCK: Final = 4096
"""Bytes read at a time from the end. One block is nearly always enough, because the last line is
mostly the one to find.
"""

SAVED: Final = re.compile(rb'\{"saved":(\d{1,18}),"after":(\d{1,18}|null),"notes":(\d{1,18})\}\n')
"""Matches exactly the line of a save; a note begins with its kind."""


@attrs.frozen(kw_only=True)
class _Saved:
    """The line that ends the notes of one save.

    ``saved`` is its serial, ``after`` the serial before (None where the journal begins), ``notes``
    the number of its notes.
    """

    saved: int
    after: int | None
    notes: int

    def __bytes__(self) -> bytes:
        after = "null" if self.after is None else self.after
        return f'{{"saved":{self.saved},"after":{after},"notes":{self.notes}}}\n'.encode()


def append(path: str, notes: Sequence[bytes], *, serial: int, after: int | None) -> bool:
    """Append the notes of one save and wait until they are on the disk.

    The rest of an interrupted save is cut off first. True if the journal begins here: the name of
    its file may then not be on the disk yet.

    * ``serial``: that of this save.
    * ``after``: that of the stored state; None if there is none.

    Raises `StateError`, and changes nothing, if state and journal do not belong together.
    """
    fd = open_plain(path, os.O_RDWR | os.O_CREAT)
    try:
        size = os.fstat(fd).st_size
        end = _committed_end(fd, size, after, path)
        lines = b"".join(note + b"\n" for note in notes) + bytes(
            _Saved(saved=serial, after=after, notes=len(notes))
        )
        if end == 0 and after is not None:
            lines = bytes(_Saved(saved=after, after=None, notes=0)) + lines
        if end < size:
            os.ftruncate(fd, end)
        os.lseek(fd, end, os.SEEK_SET)
        write_all(fd, lines)
        os.fsync(fd)
        return end == 0
    finally:
        os.close(fd)


def committed(path: str, serial: int) -> Iterator[tuple[int, int, int, bytes]]:
    """Yield every committed note up to ``serial``, oldest first.

    Each is (number of its line from 1, serial of its save, index in that save, text). A journal
    that does not exist is empty: somebody archived it. Raises `StateError` if anything is missing
    up to ``serial``.
    """
    try:  # only the opening may find no file; it is closed by the with below
        file = os.fdopen(open_plain(path, os.O_RDONLY), "rb")
    except FileNotFoundError:
        return
    before: int | None = None
    lines: list[bytes] = []
    with file:
        for number, line in enumerate(file, 1):
            saved = _parse(line)
            if saved is None:
                lines.append(line)
                continue
            if saved.saved > serial:
                break
            if saved.after != before or saved.notes != len(lines):
                raise StateError(
                    f"line {number} says {saved.notes} notes of serial {saved.saved} after "
                    f"{saved.after}, but {len(lines)} notes "
                    f"after {before} stand before it: lines were lost or edited; the file "
                    "is left as it is",
                    path=path,
                )
            for n, text in enumerate(lines):
                yield number - len(lines) + n, saved.saved, n, text
            before, lines = saved.saved, []
            if before == serial:
                return
    raise _mismatch(path, serial, before)


def _committed_end(fd: int, size: int, found: int | None, path: str) -> int:
    """Return the offset after the line of the save with serial ``found``, that of the stored state.

    Everything after it was interrupted. Raises `StateError` if there is no such line.
    """
    last: int | None = None
    whole = False
    for end, line in _backwards(fd, size):
        whole = True
        saved = _parse(line)
        if saved is None:
            continue
        last = saved.saved
        if saved.saved == found:
            return end
        if saved.after != found:
            raise _mismatch(path, found, saved.saved)
    if found is None or not whole:
        return 0
    raise _mismatch(path, found, last)


def _backwards(fd: int, size: int) -> Iterator[tuple[int, bytes]]:
    """Yield the complete lines, last first, each with the offset after it.

    A line without a line feed was torn, and is left out.
    """
    kept, at, whole = b"", size, False
    while at > 0:
        length = min(BLOCK, at)
        at -= length
        kept = os.pread(fd, length, at) + kept
        if not whole:
            end = kept.rfind(b"\n")
            whole = end >= 0
            kept = kept[: end + 1]
        while whole and (before := kept.rfind(b"\n", 0, -1)) >= 0:
            yield at + len(kept), kept[before + 1 :]
            kept = kept[: before + 1]
    if whole:
        yield len(kept), kept


def _parse(line: bytes) -> _Saved | None:
    """Parse the line of a save; None for a note, or for a line that a power cut has torn."""
    match = SAVED.fullmatch(line)
    if match is None:
        return None
    saved, after, notes = match.groups()
    return _Saved(
        saved=int(saved), after=None if after == b"null" else int(after), notes=int(notes)
    )


def _mismatch(path: str, state: int | None, journal: int | None) -> StateError:
    stored = "no state is stored" if state is None else f"the stored state is at serial {state}"
    held = "has no notes of it" if journal is None else f"has notes of serial {journal}"
    return StateError(
        f"{stored}, and this journal {held}: one of the two was restored, edited or removed "
        "without the other. Both are left as they "
        "are; put the matching one back, or move this one away to go on without its notes",
        path=path,
    )
