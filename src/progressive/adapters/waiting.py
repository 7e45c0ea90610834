"""Waiting no longer than a deadline for what knows none: a function of a user's, a program, the
resolver of the system, a name with many addresses.

What takes no deadline runs in a thread of its own (`apart_threads`), and is left behind when the
deadline has passed.
"""

from __future__ import annotations

import contextvars
import ipaddress
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar

if TYPE_CHECKING:
    import asyncio

from .apart_threads import begin

__all__ = ["Apart", "connected"]

T = TypeVar("T")

LEAST: Final = 0.05
"""Seconds that each of many addresses gets at least, while there is time at all."""

_Address: TypeAlias = tuple[Any, ...]


class Apart(Generic[T]):
    """A call in a thread of its own, begun at once. Any number may wait for it, each until its own
    deadline (seconds of `time.monotonic`).
    """

    # `concurrent.futures.Future` does the same and takes as long as the change of threads does.
    __slots__ = ("_answer", "_asleep", "_call", "_error", "_over", "_running")

    def __init__(self, call: Callable[[], T]) -> None:
        self._call: Callable[[], T] | None = call
        self._answer: T | None = None
        self._error: BaseException | None = None
        self._over = False
        self._running = threading.Lock()
        self._running.acquire()
        self._asleep: deque[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = deque()
        begin(self._make, name="progressive-apart", context=contextvars.copy_context())

    def _make(self) -> None:
        call, self._call = self._call, None
        assert call is not None  # it is made once
        try:
            self._answer = call()
        except BaseException as error:
            self._error = error
        self._over = True
        self._running.release()
        while self._asleep:
            loop, asleep = self._asleep.popleft()
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(_wake, asleep)

    @property
    def is_over(self) -> bool:
        """Has it returned, or raised?"""
        return self._over

    def wait(self, ends: float) -> T:
        """What it returns or raises; `TimeoutError` if that takes longer."""
        if not self._over:
            if not self._running.acquire(timeout=max(ends - time.monotonic(), 0.0)):
                raise TimeoutError
            self._running.release()  # for others that wait
        return self._given()

    async def await_(self, ends: float | None = None) -> T:
        """`wait`, asynchronously (asyncio); without ``ends`` for as long as it takes."""
        import asyncio

        loop = asyncio.get_running_loop()
        asleep = loop.create_future()
        self._asleep.append((loop, asleep))  # before the question whether it is over already
        left = 0.0 if ends is None else max(ends - time.monotonic(), 0.0)
        alarm = None if ends is None else loop.call_later(left, _wake, asleep)
        try:
            if not self._over:
                await asleep  # if this is cancelled, nobody waits any more; the call goes on
        finally:
            if alarm is not None:
                alarm.cancel()
            if not self._over:
                with suppress(ValueError, IndexError):  # it is being woken just now
                    self._asleep.remove((loop, asleep))
        if not self._over:
            raise TimeoutError
        return self._given()

    def _given(self) -> T:
        if self._error is not None:
            raise self._error
        return self._answer  # type: ignore[return-value]


def _wake(asleep: asyncio.Future[None]) -> None:
    if not asleep.done():
        asleep.set_result(None)


def connected(host: str, port: int, ends: float, *, each: float | None = None) -> socket.socket:
    """A TCP connection to the first address of ``host`` that answers.

    The name and all of its addresses together get until ``ends`` (seconds of `time.monotonic`), and
    an address that does not answer gets a fair part of what is left, ``each`` seconds at most.
    Raises `OSError`; `TimeoutError`, which is one, if nothing answered in time.
    """
    addresses = _addresses(host, port, ends)
    failed: OSError = OSError(f"{host} has no address")
    for i, (family, kind, protocol, _, address) in enumerate(addresses):
        left = ends - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"no address of {host} answered in time")
        part = max(left / (len(addresses) - i), min(left, LEAST))
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(part if each is None else min(part, each))
            sock.connect(address)
        except OSError as error:
            sock.close()
            failed = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failed


def _addresses(host: str, port: int, ends: float) -> list[_Address]:
    def ask() -> list[_Address]:
        return list(socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM))

    return ask() if _is_number(host) else Apart(ask).wait(ends)


def _is_number(host: str) -> bool:
    """Nobody has to be asked for the address that such a host has."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
