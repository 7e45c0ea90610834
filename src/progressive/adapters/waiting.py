"""Waiting no longer than a deadline for what knows none: a function of a user's, a program, the
resolver of the system, a name with many addresses.

What takes no deadline runs in a thread of its own (`apart_threads`), and is left behind when the
deadline has passed.
"""

from __future__ import annotations

import contextvars
import ipaddress
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

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

    def __init__(self, call: Callable[[], T]) -> None:
        from concurrent.futures import Future  # it brings logging

        self._outcome: Future[tuple[T, None] | tuple[None, BaseException]] = Future()
        self._outcome.set_running_or_notify_cancel()  # who stops waiting does not end it

        def run() -> None:
            try:
                answer = call()
            except BaseException as error:
                self._outcome.set_result((None, error))
            else:
                self._outcome.set_result((answer, None))

        begin(run, name="progressive-apart", context=contextvars.copy_context())

    @property
    def is_over(self) -> bool:
        """Has it returned, or raised?"""
        return self._outcome.done()

    def wait(self, ends: float) -> T:
        """What it returns or raises; `TimeoutError` if that takes longer."""
        return self._given(self._outcome.result(max(ends - time.monotonic(), 0.0)))

    async def await_(self, ends: float | None = None) -> T:
        """`wait`, asynchronously (asyncio); without ``ends`` for as long as it takes."""
        import asyncio

        waited = asyncio.wrap_future(self._outcome)
        left = None if ends is None else max(ends - time.monotonic(), 0.0)
        try:
            done, _ = await asyncio.wait({waited}, timeout=left)
            if not done:
                raise TimeoutError
            return self._given(waited.result())
        finally:
            waited.cancel()  # nobody waits any more; the call itself goes on

    @staticmethod
    def _given(outcome: tuple[T, None] | tuple[None, BaseException]) -> T:
        answer, error = outcome
        if error is not None:
            raise error
        return answer  # type: ignore[return-value]


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
