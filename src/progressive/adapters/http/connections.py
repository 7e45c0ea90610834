"""Connections to one system: a request goes out, and its answer is collected, with httpx.

Only here and in `wire` httpx is known, so that its successor fits in. `client` imports this when an
`HttpClient` is made: a script that only describes a strategy does not wait for it, and no request
does.

It calls httpx's transport and not its client: no redirects, no cookies, nothing from the
environment, and no log line with the whole URL.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
import weakref

import httpx

from progressive.adapters.flow import Fault
from progressive.errors import Failure

from .messages import Request, Response, judged
from .settings import Http, Signed
from .wire import atransport, exchange_ends, explain, transport, trust

__all__ = ["Connections"]


class _Body:
    """Collects a body up to a limit and a deadline."""

    def __init__(self, http: Http, request: Request, response: httpx.Response, ends: float) -> None:
        self._limit, self._ends = http.body_limit, ends
        self._parts: list[bytes] = []
        self._size = 0
        self.fault: Fault | None = None
        self.is_read = request.wants_body or not response.is_success
        encoding = response.headers.get("content-encoding", "").strip().lower()
        if self.is_read and encoding not in ("", "identity"):
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


class Connections:
    """The connections that `HttpClient` keeps for its synchronous calls, and those that it opens
    for each asynchronous one. It may be used from several threads.
    """

    def __init__(self, http: Http) -> None:
        self._http = http
        self._tls = trust(http)
        self._lock = threading.Lock()
        self._transport: httpx.HTTPTransport | None = None
        self._release: weakref.finalize[..., Connections] | None = None

    def opened(self) -> httpx.AsyncHTTPTransport:
        """Asynchronous connections, for `aexchange`; close them in the end."""
        return atransport(self._http, self._tls)

    def close(self) -> None:
        """Close the kept connections; the next request opens new ones."""
        with self._lock:
            release, self._release, self._transport = self._release, None, None
        if release is not None:
            release()

    def exchange(self, question: Request, signed: Signed, ends: float) -> Response | Fault:
        """One request on a kept connection."""
        prepared, secrets = self._prepare(question, signed)
        if isinstance(prepared, Fault):
            return prepared
        outer = exchange_ends.set(ends)
        try:
            response = self._open().handle_request(prepared)
            try:
                body = _Body(self._http, question, response, ends)
                for part in response.iter_raw() if body.is_read and not body.fault else ():
                    if not body.takes(part):
                        break
            finally:
                response.close()
            return body.judged(question, response, secrets)
        except Exception as error:
            return explain(question, error, secrets)
        finally:
            exchange_ends.reset(outer)

    async def aexchange(
        self, wire: httpx.AsyncHTTPTransport, request: Request, signed: Signed, ends: float
    ) -> Response | Fault:
        """One request on an asynchronous connection."""
        prepared, secrets = self._prepare(request, signed)
        if isinstance(prepared, Fault):
            return prepared
        try:
            async with asyncio.timeout(max(ends - time.monotonic(), 0.0)):
                response = await wire.handle_async_request(prepared)
                try:
                    body = _Body(self._http, request, response, ends)
                    if body.is_read and body.fault is None:
                        async for part in response.aiter_raw():
                            if not body.takes(part):
                                break
                finally:
                    await response.aclose()
            return body.judged(request, response, secrets)
        except Exception as error:
            return explain(request, error, secrets)

    def _prepare(
        self, request: Request, signed: Signed
    ) -> tuple[httpx.Request | Fault, tuple[str, ...]]:
        """The client's request, and what must not show of it. Nothing has been sent yet."""
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
        each = self._http.timeout.total_seconds()
        timeouts = {"connect": each, "read": each, "write": each, "pool": each}
        url = f"{self._http.base_url}{request.target}"
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
                self._transport = transport(self._http, self._tls)
                self._release = weakref.finalize(self, self._transport.close)
            return self._transport
