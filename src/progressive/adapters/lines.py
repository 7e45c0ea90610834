"""Lines over a socket as a transport of adapters: one line a connection, and everything until it
hangs up.

::

    def _read(self, release: Release) -> LineFlow[Entry]:
        answer = yield Line(f"show map {self.map}")

That is how HAProxy's runtime socket is spoken to, and many other daemons; over a unix socket or
TCP. Such protocols have no status: what an answer means is the adapter's matter, except where
"done" is said by silence (``Line(silent=True)``).
"""

from __future__ import annotations

import os
import socket as sockets
import sys
import time
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

import attrs

from progressive.errors import Failure, StrategyError, WorldError
from progressive.model import fields

from .flow import Client, Exchange, Fault, excerpt
from .waiting import connected

if TYPE_CHECKING:
    import asyncio

__all__ = ["Line", "LineClient", "LineFlow", "LineSocket", "to_line_socket"]

T = TypeVar("T")

_CHUNK: Final = 65_536

_LONGEST_PATH: Final = 107 if sys.platform == "linux" else 103
"""Bytes of a unix socket's path; the system's structure has one more, for the end."""

_DEADLINE: Final = "no complete answer: the total deadline has passed"


def _is_line(instance: object, attribute: attrs.Attribute[str], value: object) -> None:
    if not isinstance(value, str) or not value.strip() or {"\0", "\r", "\n"} & set(value):
        where = fields.where(instance, attribute)
        raise StrategyError(
            f"{where}: {fields.brief(value)} is not one line of text; a line break would be "
            "another "
            "command"
        )


@attrs.frozen
class Line:
    """What is asked: one line, without its end. ``write``: it changes something, so it is sent
    once.

    ``silent``: the system says "done" with an empty answer; anything else is its refusal, and is
    raised in its own words as PERMANENT. Raises `StrategyError` for a text with NUL, CR or LF in
    it.
    """

    text: str = attrs.field(validator=_is_line)
    write: bool = attrs.field(default=False, kw_only=True)
    silent: bool = attrs.field(default=False, kw_only=True)

    @property
    def label(self) -> str:
        """The line, shortened."""
        return repr(excerpt(self.text))


def _is_address(instance: object, attribute: attrs.Attribute[str], value: object) -> None:
    where = fields.where(instance, attribute)
    given = fields.brief(value)
    if not isinstance(value, str) or not value.isprintable() or not value:
        raise StrategyError(
            f"{where}: {given} is no address; give '/run/haproxy/admin.sock' or '127.0.0.1:9999'"
        )
    if "/" in value:
        if not hasattr(sockets, "AF_UNIX"):
            raise StrategyError(
                f"{where}: {given} is a unix socket, which this system has not; give host:port"
            )
        if (length := len(os.fsencode(value))) > _LONGEST_PATH:
            raise StrategyError(
                f"{where}: {given} has {length} bytes and a unix socket's path at most "
                f"{_LONGEST_PATH}; give a shorter one, of a link to its folder for example"
            )
        return
    host, _, port = value.rpartition(":")
    if not host.strip("[]") or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise StrategyError(
            f"{where}: {given} is neither the path of a socket (with a /) nor host:port"
        )


@attrs.frozen
class LineSocket:
    """How to reach a system that is spoken to in lines: the path of a unix socket (with a / in it),
    or ``host:port``.

    ``deadline``: the longest time for one write, or for reads in a row with their retries.
    ``body_limit``: bytes of an answer.
    """

    address: str = attrs.field(validator=_is_address)
    deadline: timedelta = attrs.field(
        default=timedelta(seconds=10),
        kw_only=True,
        converter=fields.whole_ms,
        validator=fields.is_duration,
    )
    body_limit: int = attrs.field(
        default=8 * 1024 * 1024, kw_only=True, validator=fields.at_least(1)
    )

    @property
    def is_path(self) -> bool:
        """Is it a unix socket?"""
        return "/" in self.address

    @property
    def host_and_port(self) -> tuple[str, int]:
        """Where a TCP socket listens."""
        host, _, port = self.address.rpartition(":")
        return host.strip("[]"), int(port)


LineFlow: TypeAlias = Generator[Line, str, T]
"""One call of an adapter over lines: a `Flow`."""


def to_line_socket(value: LineSocket | str | os.PathLike[str]) -> LineSocket:
    """A converter: an address alone is enough where nothing else is needed."""
    return value if isinstance(value, LineSocket) else LineSocket(os.fspath(value))


@attrs.frozen(eq=False)
class LineClient(Client[Line, str]):
    r"""Runs the flows of one adapter over lines. Each line has a connection of its own, so nothing
    is kept open.

    ``ending``: what every whole answer ends with (HAProxy: an empty line, ``"\n\n"``), so that
    one which was cut off is no answer. What the adapter gets is without line breaks at its end.
    """

    socket: LineSocket
    error: type[WorldError]
    system: str
    ending: str = attrs.field(default="", kw_only=True)

    @property
    def address(self) -> str:
        """The path, or host and port."""
        return self.socket.address

    @property
    def deadline(self) -> timedelta:
        """That of the socket."""
        return self.socket.deadline

    def exchange(self, question: Line, ends: float) -> str | Fault:
        """One line on a connection of its own."""
        sent, answer = False, bytearray()
        try:
            with self._connected(ends) as wire:
                sent = True
                wire.settimeout(_left(ends))
                wire.sendall(_bytes(question))  # its time-out is that of the whole
                while part := _received(wire, ends):
                    answer += part
                    if len(answer) > self.socket.body_limit:
                        break
        except OSError as error:
            return _failed(question, error, sent=sent)
        return self._judged(question, bytes(answer))

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Exchange[Line, str]]:
        """Nothing is kept open between lines."""
        yield self._aexchange

    async def _aexchange(self, question: Line, ends: float) -> str | Fault:
        import asyncio

        sent, answer = False, bytearray()
        try:
            async with asyncio.timeout(_left(ends)):
                reader, writer = await self._aconnected()
                try:
                    sent = True
                    writer.write(_bytes(question))
                    await writer.drain()
                    while part := await reader.read(_CHUNK):
                        answer += part
                        if len(answer) > self.socket.body_limit:
                            break
                finally:
                    writer.close()
                    with suppress(
                        OSError
                    ):  # it has answered or failed already; how it hangs up tells nothing
                        await writer.wait_closed()
        except OSError as error:
            return _failed(question, error, sent=sent)
        return self._judged(question, bytes(answer))

    def _connected(self, ends: float) -> sockets.socket:
        if not self.socket.is_path:
            return connected(*self.socket.host_and_port, ends)
        wire = sockets.socket(sockets.AF_UNIX)
        try:
            wire.settimeout(_left(ends))
            wire.connect(self.socket.address)
        except BaseException:
            wire.close()
            raise
        return wire

    async def _aconnected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        import asyncio

        if self.socket.is_path:
            return await asyncio.open_unix_connection(self.socket.address)
        return await asyncio.open_connection(*self.socket.host_and_port)

    def _judged(self, question: Line, answer: bytes) -> str | Fault:
        if len(answer) > self.socket.body_limit:
            why = (
                f"answered more than {self.socket.body_limit} bytes; raise "
                "LineSocket(body_limit=...)"
            )
            return Fault(Failure.UNKNOWN if question.write else Failure.PERMANENT, why)
        text = answer.decode("utf-8", errors="replace")
        if self.ending and not f"\n{text}".endswith(self.ending):
            why = f"hung up before the end of its answer, after {len(answer)} bytes"
            return Fault(Failure.UNKNOWN if question.write else Failure.TRANSIENT, why)
        if question.silent and text.strip():
            return Fault(Failure.PERMANENT, f"answered: {excerpt(text)}")
        return text.rstrip("\r\n")


def _bytes(question: Line) -> bytes:
    return f"{question.text}\n".encode()


def _left(ends: float) -> float:
    return max(ends - time.monotonic(), 0.001)


def _received(wire: sockets.socket, ends: float) -> bytes:
    """The next part. Each may wait only for what is left of the whole, so that a drip ends too."""
    if time.monotonic() >= ends:
        raise TimeoutError
    wire.settimeout(_left(ends))
    return wire.recv(_CHUNK)


def _failed(question: Line, error: OSError, *, sent: bool) -> Fault:
    """What a broken exchange means. After the connection was made, nobody knows how far the line
    came.
    """
    if isinstance(error, TimeoutError):
        why = _DEADLINE
    else:
        why = f"{type(error).__name__}: {excerpt(error.strerror or str(error))}"
    if not sent and isinstance(error, PermissionError):
        return Fault(Failure.PERMANENT, f"{why}; run as a user who may write to the socket")
    return Fault(Failure.UNKNOWN if question.write and sent else Failure.TRANSIENT, why)
