"""Files for stores: ids as file names, errors of the operating system as `StoreError`, locks
(``flock``).
"""

from __future__ import annotations

import errno
import os
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
    "opened",
    "os_errors_as_store_errors",
    "stem_of",
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
"""What does not pass by itself: rights, a read-only file system, a directory that is not there. All
else (full, I/O, too many) may.
"""


@contextmanager
def os_errors_as_store_errors(what: str, *, failure: Failure | None = None) -> Iterator[None]:
    """An `OSError` becomes a `StoreError`: ``what`` was not done, why, and whether it may pass (or
    ``failure``, if that is known).
    """
    try:
        yield
    except OSError as error:
        kind = failure or (Failure.PERMANENT if error.errno in HOPELESS else Failure.TRANSIENT)
        mend = (
            ""
            if failure
            else "; mend the directory or its rights"
            if kind is Failure.PERMANENT
            else "; it may pass: try again"
        )
        raise StoreError(f"{what}: {error}{mend}", failure=kind) from error


@contextmanager
def opened(path: str, flags: int, what: str) -> Iterator[int]:
    """A file descriptor. Only its opening is told as ``what`` failed; what is raised while it is
    open is for others to tell.
    """
    with os_errors_as_store_errors(what):
        fd = os.open(path, flags, 0o666)
    try:
        yield fd
    finally:
        os.close(fd)


SEPARATORS: Final = str.maketrans("/:", "+=")
"""What no file name may have everywhere, and what stands for it; neither of these is in any id."""


BACK: Final = str.maketrans("+=", "/:")


def stem_of(id: str) -> str:
    """The file name of a valid id, without a suffix: ``checkout/42`` is ``checkout+42``. At most
    161 characters.

    Which letters are capitals is a number behind ``~``, the first letter in its lowest bit:
    ``Checkout`` is ``checkout~1``.
    """
    capitals = 0
    for i, letter in enumerate(id):
        capitals |= letter.isupper() << i
    small = id.lower().translate(SEPARATORS)
    return f"{small}~{capitals:x}" if capitals else small


def id_of(stem: str) -> str | None:
    """The id of a file name; None if no id has that name."""
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
"""Seconds that a save waits for another one. One takes milliseconds; a disk that hangs takes longer
than this, and then the driver must go on without the store, because it may have to roll back.
"""


NAP: Final = 0.005
"""Seconds between two tries."""


def need_locks(store: str) -> None:
    """Refuse to work where there is no ``flock``: two drivers would move the same traffic."""
    if sys.platform == "win32":
        raise StoreError(
            f"{store} needs flock, which Windows has not; use another store",
            failure=Failure.PERMANENT,
        )


@contextmanager
def locked(path: str, id: str, other: str) -> Iterator[None]:
    """Hold the lock of a save, waiting for ``other`` to let go; `StoreError`, TRANSIENT, if it has
    not within `WAIT`.
    """
    with opened(path, os.O_RDWR | os.O_CREAT, f"rollout {id!r} can't be locked for a save") as fd:
        end = time.monotonic() + WAIT
        while not _got(fd):
            if time.monotonic() >= end:
                raise StoreError(
                    f"rollout {id!r} was not saved: {other} has not ended within {WAIT:g} "
                    "s; try again"
                )
            time.sleep(NAP)
        yield


@contextmanager
def driven(path: str, id: str) -> Iterator[None]:
    """Keep a second driver of ``id`` out, also one in this process; `ConflictError` says who has
    it, and since when.
    """
    what = f"rollout {id!r} can't be locked for a driver"
    with opened(path, os.O_RDWR | os.O_CREAT, what) as fd:
        with os_errors_as_store_errors(what):
            if not _got(fd):
                raise ConflictError(
                    f"rollout {id!r} is driven by {_who(fd)}; leave it to that one, or stop "
                    "it and try again"
                )
        with suppress(
            OSError
        ):  # the name is a courtesy; a full disk must not keep out the driver that rolls back
            os.ftruncate(fd, 0)
            os.pwrite(fd, _me(), 0)
        yield


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
    return (
        os.pread(fd, 400, 0).decode("utf-8", "replace")
        or "another process, which has not said which"
    )
