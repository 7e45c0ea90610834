"""HTTP for adapters: an adapter is a generator of requests, written once; two small loops here run
it in either colour.

::

    def _read(self, release: Release) -> Flow[Served]:
        response = yield Request("GET", "/runtime")
        return self._served(release, response.json())

What comes back to the generator is an answer that it can use: a 2xx, or a status that the request
says it can ``accept``. Everything else is raised as the adapter's own error, at the ``yield``.
Reads are retried for as long as `Http.deadline`. **A write is sent once**, and when nobody knows
whether it was done the error says so (`Failure.UNKNOWN`), also when only the reading back failed.

Only this file and `_http_wire` know the client (httpx), only this one the retries (tenacity). It
calls httpx's transport and not its client: no redirects, no cookies, nothing from the environment,
and no log line with the whole URL. Errors are built outside of ``except`` blocks, so that no
exception of the client, which may quote a credential, hangs on ours as ``__context__``.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
import time
import weakref
from collections.abc import Generator
from types import TracebackType
from typing import Any, Generic, Self, TypeAlias, TypeVar

import attrs
import httpx
import tenacity

from progressive._http_values import (
    Fault,
    Http,
    Malformed,
    Request,
    Response,
    Unsigned,
    at,
    judged,
    segment,
    to_http,
)
from progressive._http_wire import atransport, deadline, explain, transport, trust
from progressive.errors import ConflictError, Failure, ProgressiveError, WorldError

__all__ = [
    "Client",
    "Closing",
    "Flow",
    "Http",
    "Malformed",
    "Request",
    "Response",
    "at",
    "segment",
    "to_http",
]

T = TypeVar("T")
Flow: TypeAlias = Generator[Request, Response, T]
"""One call of an adapter: yields requests, is sent responses, returns the result. It lives for that
call, never longer.
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

    def settled(
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


# ------------------------------------------------------------------------- one call, in two colours


class _Talk(Generic[T]):
    """The state of one call, the same for both colours: what to ask next, and until when."""

    def __init__(self, client: Client, flow: Flow[T]) -> None:
        self._client, self._flow = client, flow
        self._wrote = False
        self._result: list[T] = []
        self.request: Request | None = None
        self.ends = 0.0
        self._advance(None, None)

    def _advance(self, response: Response | None, error: ProgressiveError | None) -> None:
        try:
            if error is not None:
                upcoming = self._flow.throw(error)
            else:
                upcoming = next(self._flow) if response is None else self._flow.send(response)
        except StopIteration as done:
            self.request = None
            self._result.append(done.value)
            return
        except Malformed as bad:
            why = str(bad)
        else:
            # Reads in a row share one deadline; a write has its own, and so has the reading back
            # after it.
            if self.request is None or self.request.write or upcoming.write:
                self.ends = time.monotonic() + self._client.http.deadline.total_seconds()
            self.request = upcoming
            return
        raise self._error(Fault(Failure.PERMANENT, f"answered what makes no sense: {why}"))

    def retries(self) -> dict[str, Any]:
        """How tenacity shall treat this request; an outcome is a value, and the last one is handed
        on as it is.
        """
        once = self.request is not None and self.request.write
        return {
            "retry": tenacity.retry_if_result(
                lambda outcome: isinstance(outcome, Fault) and outcome.failure is Failure.TRANSIENT
            ),
            "stop": tenacity.stop_after_attempt(1)
            if once
            else tenacity.stop_before_delay(self.ends - time.monotonic()),
            "wait": tenacity.wait_random_exponential(multiplier=0.1, max=2.0),
            "retry_error_callback": lambda state: state.outcome.result(),
        }

    def answered(self, outcome: Response | Fault) -> None:
        """Hand the outcome to the adapter."""
        if isinstance(outcome, Fault):
            self._advance(None, self._error(outcome))
            return
        self._wrote = self._wrote or (self.request is not None and self.request.write)
        self._advance(outcome, None)

    def result(self) -> T:
        return self._result[0]

    def _error(self, fault: Fault) -> ProgressiveError:
        what = "" if self.request is None else f"{self.request.method} {self.request.path}: "
        why = f"{self._client.system} at {self._client.http.origin}: {what}{fault.why}"
        if self._wrote:
            return self._client.error(
                f"{why}; a write was sent before, so read again before writing",
                failure=Failure.UNKNOWN,
            )
        if fault.failure is Failure.CONFLICT:
            return ConflictError(f"{why}; somebody else moved it, so read again and decide again")
        if fault.failure is Failure.UNKNOWN:
            return self._client.error(
                f"{why}; it may have been done, so read before writing again",
                failure=Failure.UNKNOWN,
            )
        return self._client.error(why, failure=fault.failure)


@attrs.define(eq=False)
class Client:
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
    _transport: httpx.HTTPTransport | None = attrs.field(init=False, repr=False, default=None)
    _release: weakref.finalize[..., Client] | None = attrs.field(
        init=False, repr=False, default=None
    )

    def run(self, flow: Flow[T]) -> T:
        """Run one call to its end; raises the adapter's errors and `ConflictError`."""
        talk = _Talk(self, flow)
        while talk.request is not None:
            talk.answered(
                tenacity.Retrying(**talk.retries())(self._exchange, talk.request, talk.ends)
            )
        return talk.result()

    async def arun(self, flow: Flow[T]) -> T:
        """`run`, asynchronously (asyncio)."""
        talk = _Talk(self, flow)
        wire = atransport(self.http, self._tls)
        try:
            while talk.request is not None:
                talk.answered(
                    await tenacity.AsyncRetrying(**talk.retries())(
                        self._aexchange, wire, talk.request, talk.ends
                    )
                )
        finally:
            await wire.aclose()
        return talk.result()

    def close(self) -> None:
        """Close the kept connections. The adapter stays usable; the next call opens new ones."""
        with self._lock:
            release, self._release, self._transport = self._release, None, None
        if release is not None:
            release()

    def _exchange(self, request: Request, ends: float) -> Response | Fault:
        prepared, secrets = self._prepare(request)
        if isinstance(prepared, Fault):
            return prepared
        outer = deadline.set(ends)
        try:
            response = self._open().handle_request(prepared)
            try:
                body = _Body(self.http, response, ends)
                for part in () if body.fault else response.iter_raw():
                    if not body.takes(part):
                        break
            finally:
                response.close()
            return body.settled(request, response, secrets)
        except Exception as error:
            return explain(request, error, secrets)
        finally:
            deadline.reset(outer)

    async def _aexchange(
        self, wire: httpx.AsyncHTTPTransport, request: Request, ends: float
    ) -> Response | Fault:
        prepared, secrets = self._prepare(request)
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
            return body.settled(request, response, secrets)
        except Exception as error:
            return explain(request, error, secrets)

    def _prepare(self, request: Request) -> tuple[httpx.Request | Fault, tuple[str, ...]]:
        """The client's request with the credentials of this moment, and what must not show of it.
        Nothing has been sent yet.
        """
        try:
            signed, secrets = self.http.signed()
        except Unsigned as error:
            return Fault(Failure.TRANSIENT, f"not sent: {error}"), ()
        try:
            return self._build(request, signed), secrets
        except Exception as error:
            why = (
                f"can't be sent ({type(error).__name__}); check the address and the headers "
                "(not shown: they may be secret)"
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


class Closing:
    """The four ways to close an adapter, for those that have a ``_client``."""

    __slots__ = ()
    _client: Client

    def close(self) -> None:
        """Close the kept connections; the adapter stays usable."""
        self._client.close()

    async def aclose(self) -> None:
        """`close`; the asynchronous colour keeps none, so this never waits."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()
