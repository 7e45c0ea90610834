"""The notes of one rollout in one file: only ever appended to, and committed by the state that is
stored beside it.

Each save adds its notes, one on a line as `dumps_note` writes them, and then a line that says which
save they were::

    {"saved":5,"after":4,"notes":2}

Saved 5 counts once the *state* says 5, which is written after the journal is on the disk. So
everything behind the line of the state's serial was interrupted: readers stop before it, and the
next save cuts it off. ``after`` chains the saves, so that a line that was lost or edited is noticed
instead of read over.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from progressive.errors import StateError

BLOCK: Final = 4096
"""Bytes read at a time from the end. One is nearly always enough: the last line is the one that is
looked for.
"""

SAVED: Final = re.compile(rb'\{"saved":(\d{1,18}),"after":(\d{1,18}|null),"notes":(\d{1,18})\}\n')
"""The line of a save, and nothing that is nearly one; a note begins with its kind."""


@attrs.frozen(kw_only=True)
class _Saved:
    """The line that ends the notes of one save. ``after`` is the serial before; None where the
    journal begins.
    """

    saved: int
    after: int | None
    notes: int

    def __bytes__(self) -> bytes:
        after = "null" if self.after is None else self.after
        return f'{{"saved":{self.saved},"after":{after},"notes":{self.notes}}}\n'.encode()


def append(path: str, notes: Sequence[bytes], *, serial: int, after: int | None) -> bool:
    """Add the notes of one save and wait until they are on the disk. ``after`` is the serial that
    the stored state has now.

    True if the journal begins here: the name of its file may not be on the disk yet. What an
    interrupted save left behind is cut off first. `StateError` if state and journal are not of one
    piece; nothing is cut then.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
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
        write(fd, lines)
        os.fsync(fd)
        return end == 0
    finally:
        os.close(fd)


def write(fd: int, data: bytes) -> None:
    """All of it: a nearly full disk takes a part, and says so only when it is asked again."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def committed(path: str, serial: int) -> Iterator[tuple[int, int, int, bytes]]:
    """Every committed note up to ``serial``, oldest first: the number of its line, its save's
    serial, its place in it, its text.

    A journal that is not there is empty (somebody archived it). One in which anything is missing up
    to ``serial`` is a `StateError`.
    """
    try:  # only the opening may find nothing; the file is closed by the with below
        file = open(path, "rb")  # noqa: SIM115
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
    raise _apart(path, serial, before)


def _committed_end(fd: int, size: int, found: int | None, path: str) -> int:
    """The offset behind the line of the save that the stored state is of: everything after it was
    interrupted.
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
            raise _apart(path, found, saved.saved)
    if found is None or not whole:
        return 0
    raise _apart(path, found, last)


def _backwards(fd: int, size: int) -> Iterator[tuple[int, bytes]]:
    """The complete lines, last first, each with the offset behind it. What stands after the last
    line feed is torn and left out.
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
    """The line of a save, or None: a note, or what a power cut left of a line."""
    found = SAVED.fullmatch(line)
    if found is None:
        return None
    saved, after, notes = found.groups()
    return _Saved(
        saved=int(saved), after=None if after == b"null" else int(after), notes=int(notes)
    )


def _apart(path: str, state: int | None, journal: int | None) -> StateError:
    stored = "no state is stored" if state is None else f"the stored state is at serial {state}"
    held = "has no notes of it" if journal is None else f"has notes of serial {journal}"
    return StateError(
        f"{stored}, and this journal {held}: one of the two was restored, edited or removed "
        "without the other. Both are left as they "
        "are; put the matching one back, or move this one away to go on without its notes",
        path=path,
    )
