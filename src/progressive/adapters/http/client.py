"""The client: signs the requests of an adapter's flows, and sends them over HTTP."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

import attrs

from progressive.adapters.flow import Client, Exchange, Fault
from progressive.adapters.veil import veiled
from progressive.adapters.waiting import Apart
from progressive.errors import Failure, WorldError

from .messages import Request, Response
from .settings import Http, Signed, Unsigned

if TYPE_CHECKING:
    import httpx

    from .connections import Connections

__all__ = ["HttpClient"]

_LATE: Final = Fault(
    Failure.TRANSIENT,
    "not sent: the credentials could not be had before the total deadline",
    late=True,
)

_REMEMBERED: Final = 32
"""Parts of credentials that are kept out of messages after they were used: those of some renewals,
because an answer may echo the one before.
"""


def _connections_of(http: Http) -> Connections:
    from .connections import Connections  # httpx takes long: now, and not within a deadline

    return Connections(http)


@attrs.define(eq=False)
class HttpClient(Client[Request, Response]):
    """Runs the flows of one adapter against one system. ``error`` is what it raises; ``system`` is
    its name in messages; ``secrets``, what else of what it sends must not show.

    The synchronous colour keeps its connections until `close`; it may be used from several threads.
    The asynchronous one opens its own for every call and closes them with it, so one adapter may be
    used from one event loop after another.
    """

    http: Http
    error: type[WorldError]
    system: str
    secrets: tuple[str, ...] = attrs.field(default=(), repr=False)
    _connections: Connections = attrs.field(
        init=False,
        repr=False,
        default=attrs.Factory(lambda self: _connections_of(self.http), takes_self=True),
    )
    _lock: threading.Lock = attrs.field(init=False, repr=False, factory=threading.Lock)
    _asked: Apart[Signed | Fault] | None = attrs.field(init=False, repr=False, default=None)
    _used: deque[str] = attrs.field(
        init=False, repr=False, factory=lambda: deque(maxlen=_REMEMBERED)
    )
    """What must not show of the credentials that were used last."""

    @property
    def address(self) -> str:
        """Scheme, host and port; the path may be a secret."""
        return self.http.origin

    @property
    def deadline(self) -> timedelta:
        """That of the `Http`."""
        return self.http.deadline

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Exchange[Request, Response]]:
        """Connections of this one call, closed with it: an adapter may be used from one event loop
        after another.
        """
        wire = self._connections.opened()
        try:
            yield partial(self._aexchange, wire)
        finally:
            await wire.aclose()

    def close(self) -> None:
        """Close the kept connections. The adapter stays usable; the next call opens new ones."""
        self._connections.close()

    def exchange(self, question: Request, ends: float) -> Response | Fault:
        """One request on a kept connection."""
        try:
            signed = self._asking().wait(ends) if self.http.asks else self._sign()
        except TimeoutError:
            return _LATE
        if isinstance(signed, Fault):
            return signed
        return self._connections.exchange(question, signed, ends)

    async def _aexchange(
        self, wire: httpx.AsyncHTTPTransport, request: Request, ends: float
    ) -> Response | Fault:
        try:
            signed = await self._asking().await_(ends) if self.http.asks else self._sign()
        except TimeoutError:
            return _LATE
        if isinstance(signed, Fault):
            return signed
        return await self._connections.aexchange(wire, request, signed, ends)

    def veil(self, text: str) -> str:
        """The text without the credentials that were used last, however they are written, and
        without what of the addresses must not show.
        """
        with self._lock:
            used = tuple(self._used)
        return veiled(text, (*self.http.passwords, *self.secrets, *used))

    def _sign(self) -> Signed | Fault:
        """The headers with the credentials of this moment, and what must not show of them."""
        try:
            signed = self.http.signed()
        except Unsigned as error:
            why = str(error)
        else:
            with self._lock:
                self._used.extend(each for each in signed[1] if each not in self._used)
            return signed[0], (*signed[1], *self.secrets)
        return Fault(Failure.TRANSIENT, f"not sent: {why}")

    def _asking(self) -> Apart[Signed | Fault]:
        """Ask for the credentials, in a thread of its own. Who comes while that still runs waits
        for the same: a function that hangs is not called again and again.
        """
        with self._lock:
            asked = self._asked
            if asked is None or asked.is_over:
                asked = self._asked = Apart(self._sign)
            return asked
