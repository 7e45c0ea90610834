"""Files for stores: ids as file names, an `OSError` as a `StoreError`, and locks (``flock``)."""

from __future__ import annotations

import errno
import os
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Final

from progressive.errors import ConflictError, Failure, StoreError, StrategyError
from progressive.model import fields

__all__ = [
    "driven",
    "id_of",
    "locked",
    "need_locks",
    "open_plain",
    "opened",
    "os_errors_as_store_errors",
    "stem_of",
    "sync_directory",
    "write_all",
    "written",
]

HOPELESS: Final = frozenset(
    {
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.ELOOP,
        errno.ENAMETOOLONG,
    }
)
"""Errors that do not pass by themselves: rights, a read-only file system, a directory that does not
exist. All others (full, I/O, too many) may.
"""


@contextmanager
def os_errors_as_store_errors(what: str, *, failure: Failure | None = None) -> Iterator[None]:
    """Raise a `StoreError` for every `OSError`.

    ``what`` begins its message: the thing that was not done. ``failure``, if given, is how it
    failed; else the error's number decides between TRANSIENT and PERMANENT.
    """
    try:
        yield
    except OSError as error:
        kind = failure or (Failure.PERMANENT if error.errno in HOPELESS else Failure.TRANSIENT)
        if failure:
            hint = ""
        elif kind is Failure.PERMANENT:
            hint = "; mend the directory or its rights"
        else:
            hint = "; it may pass: try again"
        raise StoreError(f"{what}: {error}{hint}", failure=kind) from error


def open_plain(path: str, flags: int) -> int:
    """Open an ordinary file, and return its descriptor.

    Never waits: anything else that has the name, as a pipe, is an `OSError`. A file that may be
    written is not looked for behind a symbolic link, where it would be somebody else's.
    """
    if flags & (os.O_WRONLY | os.O_RDWR):
        flags |= os.O_NOFOLLOW
    fd = os.open(path, flags | os.O_NONBLOCK, 0o666)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EISDIR, "it is no ordinary file", path)
    return fd


@contextmanager
def opened(path: str, flags: int, what: str) -> Iterator[int]:
    """Open an ordinary file and yield its descriptor.

    Only an error of the opening becomes a `StoreError` that begins with ``what``.
    """
    with os_errors_as_store_errors(what):
        fd = open_plain(path, flags)
    try:
        yield fd
    finally:
        os.close(fd)


def write_all(fd: int, data: bytes) -> None:
    """Write all of ``data``: a nearly full disk takes a part, and fails only at the next write."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def written(path: str, data: bytes) -> None:
    """Write a whole file, on the disk when this returns; a rename then puts it in place."""
    with opened(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, f"{path} can't be written") as fd:
        write_all(fd, data)
        os.fsync(fd)


def sync_directory(directory: str) -> None:
    """Wait until a directory's own entries are on the disk: before that, a rename can be lost in a
    power cut.
    """
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


SEPARATORS: Final = str.maketrans("/:", "+=")
"""The characters of ids that not every file system allows, to others that no id has."""


BACK: Final = str.maketrans("+=", "/:")
"""The way back of `SEPARATORS`."""


def stem_of(id: str) -> str:
    """Return the file name of a valid id, without a suffix: ``checkout+42`` for ``checkout/42``.

    It has at most 161 characters. Capitals are a hexadecimal number after ``~``, the first
    character in its lowest bit: ``checkout~1`` for ``Checkout``.
    """
    capitals = 0
    for i, letter in enumerate(id):
        capitals |= letter.isupper() << i
    small = id.lower().translate(SEPARATORS)
    return f"{small}~{capitals:x}" if capitals else small


def id_of(stem: str) -> str | None:
    """Return the id of a file name; None if no id has that name."""
    small, _, capitals = stem.partition("~")
    with suppress(ValueError, StrategyError):
        bits = int(capitals or "0", 16)
        id = "".join(
            letter.upper() if bits >> i & 1 else letter
            for i, letter in enumerate(small.translate(BACK))
        )
        if stem_of(fields.name(id, "id")) == stem:
            return id
    return None


if sys.platform != "win32":
    import fcntl


WAIT: Final = 10.0
"""Seconds that a save waits for another one. A save takes milliseconds; a disk that hangs takes
longer than this, and then the driver must go on without the store, because it may have to roll
back.
"""


NAP: Final = 0.005
"""Seconds between two tries to lock."""


def need_locks(store: str) -> None:
    """Raise `StoreError` where there is no ``flock``: two drivers would move the same traffic."""
    if sys.platform == "win32":
        raise StoreError(
            f"{store} needs flock, which Windows has not; use another store",
            failure=Failure.PERMANENT,
        )


@contextmanager
def locked(path: str, id: str, other: str) -> Iterator[None]:
    """Hold the lock of a save; `StoreError`, TRANSIENT, if it is not free within `WAIT`.

    ``other`` names its holder in the message.
    """
    with opened(path, os.O_RDWR | os.O_CREAT, f"rollout {id!r} can't be locked for a save") as fd:
        end = time.monotonic() + WAIT
        while not _try_lock(fd):
            if time.monotonic() >= end:
                raise StoreError(
                    f"rollout {id!r} was not saved: {other} has not ended within {WAIT:g} "
                    "s; try again"
                )
            time.sleep(NAP)
        yield


@contextmanager
def driven(path: str, id: str) -> Iterator[None]:
    """Keep a second driver of ``id`` out, also one in this process.

    Raises `ConflictError`, which names the process that drives it and since when.
    """
    what = f"rollout {id!r} can't be locked for a driver"
    with opened(path, os.O_RDWR | os.O_CREAT, what) as fd:
        with os_errors_as_store_errors(what):
            if not _try_lock(fd):
                raise ConflictError(
                    f"rollout {id!r} is driven by {_holder(fd)}; leave it to that one, or stop "
                    "it and try again"
                )
        # The name is a courtesy: a full disk must not keep out the driver that rolls back.
        with suppress(OSError):
            os.ftruncate(fd, 0)
            os.pwrite(fd, _this_process(), 0)
        yield


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _this_process() -> bytes:
    since = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return f"process {os.getpid()} on {os.uname().nodename} since {since}".encode()


def _holder(fd: int) -> str:
    """Return the name of the process that holds the lock, as that process wrote it."""
    name = os.pread(fd, 400, 0).decode("utf-8", "replace")
    return name or "another process, which has not said which"
