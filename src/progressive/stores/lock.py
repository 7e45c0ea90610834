"""Locks on side files (``flock``), which end with the process that holds them, however it ends: with SIGKILL too.

The files may stay behind; only their locks count. A process that is *forked* while one is held shares it until it execs or ends.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Final

from progressive.errors import ConflictError, Failure, StoreError

from .system import opened, told

if sys.platform != "win32":
    import fcntl

__all__ = ["driven", "locked", "need_locks"]

WAIT: Final = 10.0
"""Seconds that a save waits for another one. One takes milliseconds; a disk that hangs takes longer than this, and then the driver must
go on without the store, because it may have to roll back."""

NAP: Final = 0.005
"""Seconds between two tries."""


def need_locks(store: str) -> None:
    """Refuse to work where there is no ``flock``: two drivers would move the same traffic."""
    if sys.platform == "win32":
        raise StoreError(f"{store} needs flock, which Windows has not; use another store", failure=Failure.PERMANENT)


@contextmanager
def locked(path: str, id: str, other: str) -> Iterator[None]:
    """Hold the lock of a save, waiting for ``other`` to let go; `StoreError`, TRANSIENT, if it has not within `WAIT`."""
    with opened(path, os.O_RDWR | os.O_CREAT, f"rollout {id!r} can't be locked for a save") as fd:
        end = time.monotonic() + WAIT
        while not _got(fd):
            if time.monotonic() >= end:
                raise StoreError(f"rollout {id!r} was not saved: {other} has not ended within {WAIT:g} s; try again")
            time.sleep(NAP)
        yield


@contextmanager
def driven(path: str, id: str) -> Iterator[None]:
    """Keep a second driver of ``id`` out, also one in this process; `ConflictError` says who has it, and since when."""
    what = f"rollout {id!r} can't be locked for a driver"
    with opened(path, os.O_RDWR | os.O_CREAT, what) as fd:
        with told(what):
            if not _got(fd):
                raise ConflictError(f"rollout {id!r} is driven by {_who(fd)}; leave it to that one, or stop it and try again")
        with suppress(OSError):  # the name is a courtesy; a full disk must not keep out the driver that rolls back
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
    return os.pread(fd, 400, 0).decode("utf-8", "replace") or "another process, which has not said which"
