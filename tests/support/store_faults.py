"""A disk that fails, and one that forgets: stands in for the ``os`` module in the file store's own
modules.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from progressive.stores import file
from progressive.stores import filesystem as _system
from progressive.stores import journal as _journal

COUNTED = ("open", "write", "ftruncate", "fsync", "replace")
"""The calls that change something, or make it durable. A process may die before each of them, and
in the middle of a write.
"""


class Killed(BaseException):
    """The process is dead: nothing of the store's own code may do anything from here on, clean-up
    in ``finally`` included.
    """


class Disk:
    """The ``os`` module, with a fault at the ``at``-th of the counted calls. ``calls`` has what was
    asked for, in order.
    """

    def __init__(
        self,
        at: int | None = None,
        *,
        fault: Callable[[], BaseException] = Killed,
        torn: bool = False,
    ) -> None:
        self.at, self.fault, self.torn = at, fault, torn
        self.calls: list[str] = []
        self.dead = False

    def __getattr__(self, name: str) -> Any:
        found = getattr(os, name)
        return self._counted(name, found) if name in COUNTED else found

    def _counted(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any) -> Any:
            if self.dead:
                raise Killed
            self.calls.append(
                f"{name} {Path(args[0]).suffix}" if isinstance(args[0], str) else name
            )
            if len(self.calls) - 1 == self.at:
                if self.torn and name == "write":
                    os.write(args[0], bytes(args[1])[: len(args[1]) // 2])
                error = self.fault()
                self.dead = isinstance(error, Killed)
                raise error
            return self.done(name, call, args)

        return counted

    def done(self, name: str, call: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Do what was asked for."""
        return call(*args)

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """From now on the file store works on this disk."""
        for module in (file, _journal, _system):
            patch.setattr(module, "os", self)


def full() -> OSError:
    """No space left."""
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def read_only() -> OSError:
    """The file system was remounted read-only, as Linux does after an error of the disk."""
    return OSError(errno.EROFS, os.strerror(errno.EROFS))


class ForgetfulDisk(Disk):
    """Keeps after a power cut what was synced, and nothing else: a file's bytes from its last
    fsync, names from the directory's last.
    """

    def __init__(self, directory: Path, at: int | None) -> None:
        super().__init__(at)
        self.directory = directory
        self.bytes: dict[int, bytes] = {}
        self.names: dict[str, int] = self._entries()
        self._kept_open: list[int] = []
        for name, inode in self.names.items():
            self.bytes[inode] = (directory / name).read_bytes()
            self._kept_open.append(os.open(directory / name, os.O_RDONLY))

    def _entries(self) -> dict[str, int]:
        return {path.name: path.stat().st_ino for path in self.directory.iterdir()}

    def done(self, name: str, call: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        result = call(*args)
        if name == "open" and args[0] != str(self.directory):
            self._kept_open.append(
                os.dup(result)
            )  # an inode that is in use is not given to another file
        if name == "fsync":
            inode = os.fstat(args[0]).st_ino
            if inode == self.directory.stat().st_ino:
                self.names = self._entries()
            else:
                [found] = [name for name, each in self._entries().items() if each == inode]
                self.bytes[inode] = (self.directory / found).read_bytes()
        return result

    def power_cut(self) -> None:
        """Make the directory what it is after the machine starts again."""
        survivors = {name: self.bytes.get(inode, b"") for name, inode in self.names.items()}
        for fd in self._kept_open:
            os.close(fd)
        shutil.rmtree(self.directory)
        self.directory.mkdir()
        for name, content in survivors.items():
            (self.directory / name).write_bytes(content)
