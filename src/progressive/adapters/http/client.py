"""The client: runs an adapter's flows over HTTP. Only here and in `wire` httpx is known, so that
its successor fits in.

It calls httpx's transport and not its client: no redirects, no cookies, nothing from the
environment, and no log line with the whole URL.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
import time
import weakref
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Final, TypeAlias

import attrs
import httpx

from progressive.adapters.flow import Client, Exchange, Fault
from progressive.adapters.veil import veiled
from progressive.adapters.waiting import Apart
from progressive.errors import Failure, WorldError

from .messages import Request, Response, judged
from .settings import Http, Unsigned
from .wire import atransport, exchange_ends, explain, transport, trust

__all__ = ["HttpClient"]

_Signed: TypeAlias = tuple[list[tuple[str, str]], tuple[str, ...]]
"""Headers, and what must not show of them."""

_LATE: Final = Fault(
    Failure.TRANSIENT, "not sent: the credentials could not be had before the total deadline"
)

_REMEMBERED: Final = 32
"""Parts of credentials that are kept out of messages after they were used: those of some renewals,
because an answer may echo the one before.
"""


class _Body:
    """Collects a body up to a limit and a deadline."""

    def __init__(self, http: Http, response: httpx.Response, ends: float) -> None:
        self._limit, self._ends = http.body_limit, ends
        self._parts: list[bytes] = []
        self._size = 0
        self.fault: Fault | None = None
        if response.headers.get("content-encoding", "identity").strip().lower() not in (
            "",
            "identity",
        ):
            self.fault = Fault(
                Failure.PERMANENT,
                "answered with a compressed body, though a plain one was asked for",
            )

    def takes(self, part: bytes) -> bool:
        """Add a part; False when enough is enough, and then `fault` says why."""
        self._parts.append(part)
        self._size += len(part)
        if self._size > self._limit:
            self.fault = Fault(
                Failure.PERMANENT,
                f"answered more than {self._limit} bytes; ask for less, or raise "
                "Http(body_limit=...)",
            )
        elif time.monotonic() > self._ends:
            self.fault = Fault(
                Failure.TRANSIENT, "no complete answer: the total deadline has passed"
            )
        return self.fault is None

    def judged(
        self, request: Request, response: httpx.Response, secrets: tuple[str, ...]
    ) -> Response | Fault:
        if self.fault is not None:
            return Fault(Failure.UNKNOWN, self.fault.why) if request.write else self.fault
        headers = tuple((name.lower(), value) for name, value in response.headers.multi_items())
        return judged(
            request,
            Response(status=response.status_code, body=b"".join(self._parts), headers=headers),
            secrets,
        )


@attrs.define(eq=False)
class HttpClient(Client[Request, Response]):
    """Runs the flows of one adapter against one system. ``error`` is what it raises; ``system`` is
    its name in messages.

    The synchronous colour keeps its connections until `close`; it may be used from several threads.
    The asynchronous one opens its own for every call and closes them with it, so one adapter may be
    used from one event loop after another.
    """

    http: Http
    error: type[WorldError]
    system: str
    _tls: ssl.SSLContext = attrs.field(
        init=False,
        repr=False,
        default=attrs.Factory(lambda self: trust(self.http), takes_self=True),
    )
    _lock: threading.Lock = attrs.field(init=False, repr=False, factory=threading.Lock)
    _asked: Apart[_Signed | Fault] | None = attrs.field(init=False, repr=False, default=None)
    _used: deque[str] = attrs.field(
        init=False, repr=False, factory=lambda: deque(maxlen=_REMEMBERED)
    )
    """What must not show of the credentials that were used last."""
    _transport: httpx.HTTPTransport | None = attrs.field(init=False, repr=False, default=None)
    _release: weakref.finalize[..., HttpClient] | None = attrs.field(
        init=False, repr=False, default=None
    )

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
        wire = atransport(self.http, self._tls)
        try:
            yield partial(self._aexchange, wire)
        finally:
            await wire.aclose()

    def close(self) -> None:
        """Close the kept connections. The adapter stays usable; the next call opens new ones."""
        with self._lock:
            release, self._release, self._transport = self._release, None, None
        if release is not None:
            release()

    def exchange(self, question: Request, ends: float) -> Response | Fault:
        """One request on a kept connection."""
        try:
            signed = self._asking().wait(ends) if self.http.asks else self._sign()
        except TimeoutError:
            return _LATE
        prepared, secrets = self._prepare(question, signed)
        if isinstance(prepared, Fault):
            return prepared
        outer = exchange_ends.set(ends)
        try:
            response = self._open().handle_request(prepared)
            try:
                body = _Body(self.http, response, ends)
                for part in () if body.fault else response.iter_raw():
                    if not body.takes(part):
                        break
            finally:
                response.close()
            return body.judged(question, response, secrets)
        except Exception as error:
            return explain(question, error, secrets)
        finally:
            exchange_ends.reset(outer)

    async def _aexchange(
        self, wire: httpx.AsyncHTTPTransport, request: Request, ends: float
    ) -> Response | Fault:
        try:
            signed = await self._asking().await_(ends) if self.http.asks else self._sign()
        except TimeoutError:
            return _LATE
        prepared, secrets = self._prepare(request, signed)
        if isinstance(prepared, Fault):
            return prepared
        try:
            async with asyncio.timeout(max(ends - time.monotonic(), 0.0)):
                response = await wire.handle_async_request(prepared)
                try:
                    body = _Body(self.http, response, ends)
                    if body.fault is None:
                        async for part in response.aiter_raw():
                            if not body.takes(part):
                                break
                finally:
                    await response.aclose()
            return body.judged(request, response, secrets)
        except Exception as error:
            return explain(request, error, secrets)

    def veil(self, text: str) -> str:
        """The text without the credentials that were used last, however they are written, and
        without what of the addresses must not show.
        """
        with self._lock:
            used = tuple(self._used)
        return veiled(text, (*self.http.passwords, *used))

    def _sign(self) -> _Signed | Fault:
        """The headers with the credentials of this moment, and what must not show of them."""
        try:
            signed = self.http.signed()
        except Unsigned as error:
            why = str(error)
        else:
            with self._lock:
                self._used.extend(each for each in signed[1] if each not in self._used)
            return signed
        return Fault(Failure.TRANSIENT, f"not sent: {why}")

    def _asking(self) -> Apart[_Signed | Fault]:
        """Ask for the credentials, in a thread of its own. Who comes while that still runs waits
        for the same: a function that hangs is not called again and again.
        """
        with self._lock:
            asked = self._asked
            if asked is None or asked.is_over:
                asked = self._asked = Apart(self._sign)
            return asked

    def _prepare(
        self, request: Request, signed: _Signed | Fault
    ) -> tuple[httpx.Request | Fault, tuple[str, ...]]:
        """The client's request, and what must not show of it. Nothing has been sent yet."""
        if isinstance(signed, Fault):
            return signed, ()
        headers, secrets = signed
        try:
            return self._build(request, headers), secrets
        except Exception as error:
            why = (
                f"can't be sent ({type(error).__name__}); check the address and the headers (not "
                "shown: they may be secret)"
            )
            return Fault(Failure.PERMANENT, why), ()

    def _build(self, request: Request, headers: list[tuple[str, str]]) -> httpx.Request:
        own = [
            ("user-agent", "progressive"),
            ("accept", "*/*"),
            ("accept-encoding", "identity"),
            *request.headers,
        ]
        content = request.content
        if request.json is not None:
            content = json.dumps(request.json, allow_nan=False, separators=(",", ":")).encode()
            own.append(("content-type", "application/json"))
        each = self.http.timeout.total_seconds()
        timeouts = {"connect": each, "read": each, "write": each, "pool": each}
        url = f"{self.http.base_url}{request.target}"
        return httpx.Request(
            request.method,
            url,
            headers=own + headers,
            content=content,
            extensions={"timeout": timeouts},
        )

    def _open(self) -> httpx.HTTPTransport:
        with self._lock:
            if self._transport is None:
                self._transport = transport(self.http, self._tls)
                self._release = weakref.finalize(self, self._transport.close)
            return self._transport
