"""The wire below the client: whom to trust, what a broken exchange means, and a total deadline.

The client's timeouts are per operation: a server that drips one byte at a time, even within the
headers, never runs into them. So every operation on a socket gets at most the time that is left of
the whole exchange. (The asynchronous colour has `asyncio.timeout`.)
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

import certifi  # what httpx trusts, and comes with it
import httpcore
import httpx
from httpcore._backends.sync import SyncStream

from progressive.adapters.flow import Fault, excerpt
from progressive.adapters.trust import verifying
from progressive.adapters.waiting import connected
from progressive.errors import Failure, StrategyError

from .messages import Request
from .settings import Http

__all__ = ["atransport", "exchange_ends", "explain", "transport", "trust"]

_NOT_SENT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)
"""After these nothing of the request has reached the system."""

_LIMITS: Final = httpx.Limits(
    max_connections=10, max_keepalive_connections=5, keepalive_expiry=15.0
)

_PIECE: Final = 4096
"""Bytes that are written at once where it can't be seen how many were taken."""

_AT_ONCE: Final = (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

exchange_ends: ContextVar[float] = ContextVar("progressive_exchange_ends")
"""When the exchange of this thread must be over, in seconds of `time.monotonic`."""


def _left(timeout: float | None) -> float:
    """What an operation may take. After the end there is nothing left, not a little each time: a
    server that never stops sending would go on for ever.
    """
    left = exchange_ends.get() - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left if timeout is None else min(timeout, left)


@contextmanager
def _not_sent() -> Iterator[None]:
    """While a connection is made nothing of the request has been sent yet."""
    try:
        yield
        return
    except TimeoutError:
        error: httpcore.ConnectTimeout | httpcore.ConnectError = httpcore.ConnectTimeout(
            "timed out"
        )
    except OSError as failed:
        error = httpcore.ConnectError(failed)
    raise error


class _BoundedStream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """In pieces: the stream's own time-out is for each that the other side takes, and it may
        take a byte at a time.
        """
        sock = self._stream.get_extra_info("socket")
        ssl_object = self._stream.get_extra_info("ssl_object")
        if not isinstance(sock, socket.socket) or (
            ssl_object is not None and not isinstance(sock, ssl.SSLSocket)
        ):  # TLS within TLS: its bytes are not those of the socket
            for start in range(0, len(buffer), _PIECE):
                self._stream.write(buffer[start : start + _PIECE], _left(timeout))
            return
        try:
            while buffer:
                sock.settimeout(_left(timeout))
                buffer = buffer[sock.send(buffer) :]
            return
        except TimeoutError:
            error: Exception = httpcore.WriteTimeout("timed out")
        except OSError as failed:
            error = httpcore.WriteError(failed)
        raise error

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        with _not_sent():
            left = _left(timeout)
        return _BoundedStream(self._stream.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _BoundedBackend(httpcore.NetworkBackend):
    """Opens connections whose every operation ends at the `exchange_ends` of the exchange that uses
    it.
    """

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        with _not_sent():
            sock = connected(host, port, exchange_ends.get(), each=timeout)
        try:
            for option in (*(socket_options or ()), _AT_ONCE):
                sock.setsockopt(*option)
        except BaseException:
            sock.close()
            raise
        return _BoundedStream(SyncStream(sock))


def transport(http: Http, tls: ssl.SSLContext) -> httpx.HTTPTransport:
    """A pool of connections whose operations end at the `exchange_ends` of the exchange that uses
    them.
    """
    made = httpx.HTTPTransport(verify=tls, trust_env=False, proxy=http.proxy, limits=_LIMITS)
    pool = made._pool  # httpx has no public place for a network backend
    pool._network_backend = _BoundedBackend()
    return made


def atransport(http: Http, tls: ssl.SSLContext) -> httpx.AsyncHTTPTransport:
    """A pool of asynchronous connections."""
    return httpx.AsyncHTTPTransport(verify=tls, trust_env=False, proxy=http.proxy, limits=_LIMITS)


def trust(http: Http) -> ssl.SSLContext:
    """Whom to trust. Always a context that verifies; for a plain http address one that trusts
    nobody, which is quick to make.
    """
    if isinstance(http.ca, ssl.SSLContext):
        return http.ca
    try:
        context = verifying()
        if http.ca is not None:
            context.load_verify_locations(cafile=http.ca)
        elif http.base_url.startswith("https:") or http.proxy is not None:
            context.load_verify_locations(cafile=certifi.where())
        if http.client_certificate is not None:
            context.load_cert_chain(*http.client_certificate)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        why = f"{type(error).__name__}: {error}"
    else:
        return context
    raise StrategyError(
        f"http.ca, http.client_certificate: the files can't be used ({why}); give PEM files that "
        "can be read"
    )


def explain(request: Request, error: Exception, secrets: tuple[str, ...]) -> Fault:
    """What an exception of the client means for this request."""
    name = type(error).__name__
    if isinstance(error, httpx.InvalidURL | httpx.LocalProtocolError):
        return Fault(
            Failure.PERMANENT,
            f"can't be sent ({name}); check the address and the headers (not shown: they may be "
            "secret)",
        )
    if isinstance(error, TimeoutError):
        name, words = "no complete answer", "the total deadline has passed"
    else:
        words = excerpt(str(error), secrets)
    why = f"{name}: {words}" if words else name
    if _untrusted(error):
        return Fault(Failure.PERMANENT, f"{why}; give the authority that signed it as Http(ca=...)")
    sent = not isinstance(error, _NOT_SENT)
    return Fault(Failure.UNKNOWN if request.write and sent else Failure.TRANSIENT, why)


def _untrusted(error: BaseException | None) -> bool:
    """Did TLS refuse the certificate? No retry mends that."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False
