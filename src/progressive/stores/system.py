"""What the operating system refuses, told as a `StoreError` with the system's own words."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from progressive.errors import Failure, StoreError

__all__ = ["opened", "told"]

HOPELESS: Final = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG}
)
"""What does not pass by itself: rights, a read-only file system, a directory that is not there. All else (full, I/O, too many) may."""


@contextmanager
def told(what: str, *, failure: Failure | None = None) -> Iterator[None]:
    """An `OSError` becomes a `StoreError`: ``what`` was not done, why, and whether it may pass (or ``failure``, if that is known)."""
    try:
        yield
    except OSError as error:
        kind = failure or (Failure.PERMANENT if error.errno in HOPELESS else Failure.TRANSIENT)
        mend = "" if failure else "; mend the directory or its rights" if kind is Failure.PERMANENT else "; it may pass: try again"
        raise StoreError(f"{what}: {error}{mend}", failure=kind) from error


@contextmanager
def opened(path: str, flags: int, what: str) -> Iterator[int]:
    """A file descriptor. Only its opening is told as ``what`` failed; what is raised while it is open is for others to tell."""
    with told(what):
        fd = os.open(path, flags, 0o666)
    try:
        yield fd
    finally:
        os.close(fd)
