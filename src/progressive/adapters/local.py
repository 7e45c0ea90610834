"""The machine itself as a transport of adapters: files, programs, and HTTP beside them.

::

    def _read(self, release: Release) -> LocalFlow[Split]:
        file = yield from done(ReadFile(self.include))
        answer = yield from ask(Request("GET", "/split"))

What is done here takes no deadline of its own (a disk of the network may hang), so it is done in a
thread of its own and left behind when the deadline has passed: a write is UNKNOWN then.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Generator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from functools import partial
from typing import Any, Final, Generic, TypeAlias, TypeVar, cast

import attrs

from progressive.errors import Failure, StrategyError, WorldError
from progressive.model import fields

from .flow import Client, Exchange, Fault, excerpt
from .http import HttpClient, Request, Response
from .waiting import Apart

if sys.platform != "win32":
    import fcntl

__all__ = [
    "Asked",
    "Ended",
    "File",
    "Job",
    "LocalClient",
    "LocalFlow",
    "Pause",
    "Program",
    "ReadFile",
    "WriteFile",
    "arguments",
    "ask",
    "done",
    "is_path",
    "is_program",
]

T = TypeVar("T")

LARGEST: Final = 8 * 1024 * 1024
"""Bytes of a file that is read."""

NAP: Final = 0.005
"""Seconds between two tries to lock a folder."""

PASSING: Final = frozenset(
    {
        errno.EAGAIN,
        errno.EDQUOT,
        errno.EINTR,
        errno.EIO,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOMEM,
        errno.ENOSPC,
        errno.ESTALE,
        errno.ETXTBSY,
    }
)
"""Errors of the system that may be over at the next try. Others stay until somebody mends them."""


class Job(ABC, Generic[T]):
    """What is done on this machine, and gives a ``T``. A job of your own gives ``do``, ``label``
    and, if it changes something, ``write = True``.
    """

    __slots__ = ()
    write = False

    @property
    @abstractmethod
    def label(self) -> str:
        """It in a few words, for messages."""

    @abstractmethod
    def do(self, ends: float) -> T | Fault:
        """Do it, until ``ends`` (seconds of `time.monotonic`) at the latest. What it raises as
        `OSError` becomes a fault.
        """


Asked: TypeAlias = Request | Job[object]
LocalFlow: TypeAlias = Generator[Asked, object, T]
"""One call of an adapter on this machine: a `Flow`. It yields jobs by `done` and requests by
`ask`.
"""


def done(job: Job[T]) -> LocalFlow[T]:
    """Have a job done, in a flow."""
    return cast("T", (yield cast("Job[object]", job)))


def ask(request: Request) -> LocalFlow[Response]:
    """Send a request, in a flow."""
    return cast("Response", (yield request))


@attrs.frozen
class File:
    """A file: its text, None if there is none, and its age in seconds."""

    text: str | None
    age: float = 0.0


@attrs.frozen
class ReadFile(Job[File]):
    """Read a file. One that is not there is an answer."""

    path: str

    @property
    def label(self) -> str:
        return f"read {self.path}"

    def do(self, ends: float) -> File | Fault:
        text = _text(self.path)
        age = 0.0 if text is None else max(time.time() - os.stat(self.path).st_mtime, 0.0)
        return File(text, age)


@attrs.frozen
class WriteFile(Job[None]):
    """Replace a file at once, if it still has the text ``was`` (None: if it is not there), as
    `ReadFile` gave it. A conflict otherwise.

    The new file is made beside it, or in the folder ``beside``, which is on the same file system;
    it is on the disk before it takes the place of the old one, whose mode, owner and group it has.
    Where this user can't give it those, and not all may read it, nothing is written: who reads it
    would find it locked. Where the path is a link, the file that it leads to is replaced.

    The folder is locked meanwhile (``flock``; not on Windows), so that of two that write by this
    class, one has a conflict. Who edits it by hand asks for no lock; the file is compared once more
    in the moment before it is replaced.
    """

    path: str
    text: str
    was: str | None
    beside: str = ""
    write = True

    @property
    def label(self) -> str:
        return f"write {self.path}"

    def do(self, ends: float) -> Fault | None:
        path = os.path.realpath(self.path)
        folder = os.path.dirname(path)
        with _locked(folder, ends) as free:
            if not free:
                return Fault(Failure.TRANSIENT, f"the folder {folder} is locked by another process")
            if _text(path) != self.was:
                return _CHANGED
            old = None if self.was is None else os.stat(path)
            name = f".{os.path.basename(path)}."
            fd, new = tempfile.mkstemp(prefix=name, suffix=".new", dir=self.beside or folder)
            try:
                with open(fd, "wb") as file:
                    if not _is_owned_as(old, file.fileno()):
                        return _foreign(path)
                    os.chmod(new, 0o644 if old is None else old.st_mode & 0o7777)
                    file.write(_bytes(self.text))
                    file.flush()
                    os.fsync(file.fileno())
                if _text(path) != self.was:
                    return _CHANGED
                os.replace(new, path)
                new = ""
            finally:
                if new:
                    os.unlink(new)
            return _keep(folder)


_CHANGED: Final = Fault(Failure.CONFLICT, "it was changed since it was read")


def _is_owned_as(old: os.stat_result | None, fd: int) -> bool:
    """Give a new file the owner and the group of the old one; False if nobody else could read it
    then who could before.
    """
    new = os.fstat(fd)
    if old is None or (old.st_uid, old.st_gid) == (new.st_uid, new.st_gid):
        return True
    for owner in (old.st_uid, -1):
        try:
            os.chown(fd, owner, old.st_gid)
        except PermissionError:
            continue
        return owner != -1 or bool(old.st_mode & 0o044)
    return bool(old.st_mode & 0o004)


def _foreign(path: str) -> Fault:
    return Fault(
        Failure.PERMANENT,
        f"{path} is another user's, and who reads it could not read a file of this one; write it "
        "as its owner, or let all read it",
    )


@attrs.frozen
class Ended:
    """A program that has ended: its exit code, and all that it said."""

    code: int
    output: str

    @property
    def words(self) -> str:
        """What it said, on one short line."""
        return excerpt(self.output)


@attrs.frozen
class Program(Job[Ended]):
    """Run a program and wait for its end. It has no input, and no part in a Ctrl-C."""

    arguments: tuple[str, ...]
    write: bool = attrs.field(default=False, kw_only=True)

    @property
    def label(self) -> str:
        return " ".join(self.arguments)

    def do(self, ends: float) -> Ended | Fault:
        try:
            running = subprocess.Popen(  # noqa: S603 - what the user said shall be run
                self.arguments,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:  # it was not begun
            why = f"can't be run: {error.strerror or error}"
            return Fault(_failure(error), why)
        with running:
            try:
                said, _ = running.communicate(timeout=max(ends - time.monotonic(), 0.001))
            except subprocess.TimeoutExpired:
                _kill(running)
                return _late(self)
        return Ended(running.returncode, said.decode("utf-8", "replace"))


def _kill(running: subprocess.Popen[bytes]) -> None:
    """Kill a program, and all that it has begun itself."""
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
    running.kill()


@attrs.frozen
class Pause(Job[None]):
    """Wait for some seconds."""

    seconds: float

    @property
    def label(self) -> str:
        return f"wait {self.seconds:g} s"

    def do(self, ends: float) -> None:
        time.sleep(self.seconds)


@attrs.frozen(eq=False)
class LocalClient(Client[Asked, object]):
    """Runs the flows of one adapter on this machine. ``address``: what messages call the place;
    ``http``: where its requests go.
    """

    place: str
    error: type[WorldError]
    system: str
    http: HttpClient | None = attrs.field(default=None, kw_only=True)
    longest: timedelta = attrs.field(default=timedelta(seconds=10), kw_only=True)

    @property
    def address(self) -> str:
        return self.place

    @property
    def deadline(self) -> timedelta:
        return self.longest

    def exchange(self, question: Asked, ends: float) -> object | Fault:
        if isinstance(question, Request):
            assert self.http is not None  # an adapter that asks has where to
            return _from(self.http, self.http.exchange(question, ends))
        try:
            return Apart(partial(_outcome, question, ends)).wait(ends)
        except TimeoutError:
            return _late(question)

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Exchange[Asked, object]]:
        http = self.http
        if http is None:
            yield self._adone
            return
        async with http.connect() as wire:

            async def exchange(question: Asked, ends: float) -> object | Fault:
                if isinstance(question, Request):
                    return _from(http, await wire(question, ends))
                return await self._adone(question, ends)

            yield exchange

    async def _adone(self, question: Asked, ends: float) -> object | Fault:
        assert not isinstance(question, Request)
        try:
            return await Apart(partial(_outcome, question, ends)).await_(ends)
        except TimeoutError:
            return _late(question)

    def close(self) -> None:
        if self.http is not None:
            self.http.close()

    def veil(self, text: str) -> str:
        return text if self.http is None else self.http.veil(text)


def is_path(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """A validator: an absolute path of a file, as text. Where a program stands changes nothing."""
    if not isinstance(value, str) or not os.path.isabs(value) or not value.isprintable():
        raise StrategyError(
            f"{fields.where(instance, attribute)}: {fields.brief(value)} is no absolute path of a "
            "file, such as '/etc/nginx/split/shop.conf'"
        )


def is_program(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """A validator: a program and its first arguments."""
    fields.is_strings(instance, attribute, value)
    if not value:
        raise StrategyError(
            f"{fields.where(instance, attribute)}: no program; give its name, and its first "
            "arguments, such as ('sudo', 'nginx')"
        )


def _outcome(job: Job[T], ends: float) -> T | Fault:
    try:
        return job.do(ends)
    except OSError as error:
        why = f"{type(error).__name__}: {error.strerror or error}"
        hint = "; the two folders must be on one file system" if error.errno == errno.EXDEV else ""
        return Fault(_failure(error), f"{why}{hint}")


def _failure(error: OSError) -> Failure:
    return Failure.TRANSIENT if error.errno in PASSING else Failure.PERMANENT


def _from(http: HttpClient, outcome: Response | Fault) -> Response | Fault:
    """An outcome that says where it comes from: it is another place than the client's."""
    if isinstance(outcome, Fault):
        return attrs.evolve(outcome, why=f"{http.address}: {outcome.why}")
    return outcome


def _late(job: Job[T]) -> Fault:
    return Fault(
        Failure.UNKNOWN if job.write else Failure.TRANSIENT,
        "it was not over when the deadline passed",
    )


def _text(path: str) -> str | None:
    try:
        with open(path, "rb") as file:
            data = file.read(LARGEST + 1)
    except FileNotFoundError:
        return None
    if len(data) > LARGEST:
        raise OSError(errno.EFBIG, f"it has more than {LARGEST} bytes")
    return data.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


@contextmanager
def _locked(folder: str, ends: float) -> Iterator[bool]:
    """Whether the folder could be locked in time."""
    if sys.platform == "win32":
        yield True
        return
    fd = os.open(folder, os.O_RDONLY)
    try:
        yield _try_lock(fd, ends)
    finally:
        os.close(fd)


def _try_lock(fd: int, ends: float) -> bool:
    if sys.platform == "win32":
        return True
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() + NAP >= ends:
                return False
            time.sleep(NAP)
        else:
            return True


def _keep(folder: str) -> Fault | None:
    """Have the name on the disk too. Where that fails, nobody knows whether it lasts."""
    if sys.platform == "win32":
        return None
    try:
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        return Fault(Failure.UNKNOWN, f"{type(error).__name__}: {error.strerror or error}")
    return None


def arguments(value: Sequence[str] | str) -> tuple[str, ...]:
    """A converter: a program and its first arguments; a name alone is enough."""
    return (value,) if isinstance(value, str) else tuple(value)
