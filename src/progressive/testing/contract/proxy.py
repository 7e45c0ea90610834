"""A proxy between a port and its system that fails on demand, for ``broken=``."""

from __future__ import annotations

import os
import socket
import struct
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from .outages import Breakage, Breakages

CHUNK: Final = 65_536

GARBLED: Final = b"\x15\x03\x01\xff\xfe<html>\r\n\r\n"
"""Bytes that are neither HTTP nor text."""

UNAVAILABLE: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
)

RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER of 0 seconds: what is closed then is a connection that was reset."""


def socket_folder() -> tempfile.TemporaryDirectory[str]:
    """A temporary folder with so short a path that unix sockets fit in: the usual place, or /tmp
    if that one is deep (a socket's path may have 107 bytes, 103 on BSD and macOS).
    """
    usual = tempfile.gettempdir()
    place = usual if len(os.fsencode(usual)) <= 50 else "/tmp"  # noqa: S108 - the folder is ours
    return tempfile.TemporaryDirectory(prefix="progressive-", dir=place)


class BreakableProxy:
    """Passes bytes on between a port and its system, and breaks down in each way of `Breakage`.

    ::

        with BreakableProxy("127.0.0.1:9901", is_write=lambda it: it.startswith(b"POST")) as proxy:
            router = Envoy(admin=f"http://{proxy.address}", prefix="app")
            check_router(router, release, broken=proxy.breakages, writes=lambda: proxy.writes)

    ``upstream`` is where the system listens: ``host:port`` (without TLS), or the path of a unix
    socket. ``address`` is where the proxy does, in the same form. ``is_write`` is asked about the
    first bytes of each request, which have to come in one piece (a line, or the head of an HTTP
    request); ``writes`` counts those that it said yes to.

    ``failure`` is the answer of ``"fail"``: an error in the system's own form. ``success`` is the
    answer of ``"ignore"``: what the system says to a write that it did; without it `breakages` has
    no ``"ignore"``.
    """

    def __init__(
        self,
        upstream: str,
        *,
        is_write: Callable[[bytes], bool],
        failure: bytes = UNAVAILABLE,
        success: bytes | None = None,
    ) -> None:
        self.upstream = upstream
        self.writes = 0
        self._is_write, self._failure, self._success = is_write, failure, success
        self._mode: Breakage | None = None
        self._folder = socket_folder() if "/" in upstream else None
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._server = self._listening(0)
        name = self._server.getsockname()
        self.address: str = name if self._folder else f"127.0.0.1:{name[1]}"

    def __enter__(self) -> Self:
        self._serve()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()
        if self._folder is not None:
            self._folder.cleanup()

    @property
    def breakages(self) -> Breakages:
        """Every way in which this proxy can break down, for ``broken=``."""
        ways: list[Breakage] = ["refuse", "fail", "garble", "hang", "lose_reply", "hang_reply"]
        if self._success is not None:
            ways.append("ignore")
        made: dict[Breakage, Callable[[], AbstractContextManager[None]]] = {
            way: partial(self.breaking, way) for way in ways
        }
        return made

    @contextmanager
    def breaking(self, how: Breakage) -> Iterator[None]:
        """Break down in this way. Connections that are open at the end are closed."""
        self._mode = how
        if how == "refuse":
            self._stop()
        try:
            yield
        finally:
            self._mode = None
            if how == "refuse":
                port = 0 if self._folder else int(self.address.rpartition(":")[2])
                self._server = self._listening(port)
                self._serve()
            self._hang_up()

    # ---------------------------------------------------------------------------------- connections

    def _listening(self, port: int) -> socket.socket:
        if self._folder is not None:
            path = Path(self._folder.name) / "proxy.sock"
            path.unlink(missing_ok=True)
            server = socket.socket(socket.AF_UNIX)
            server.bind(str(path))
        else:
            server = socket.socket()
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind(("127.0.0.1", port))
        server.listen(64)
        return server

    def _serve(self) -> None:
        name = "progressive-proxy"
        threading.Thread(target=self._accept, args=(self._server,), daemon=True, name=name).start()

    def _accept(self, server: socket.socket) -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:  # it was closed
                return
            self._keep(client)
            threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _stop(self) -> None:
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._hang_up()

    def _hang_up(self) -> None:
        with self._lock:
            left, self._open = self._open, set()
        for each in left:
            _end(each, reset=True)

    def _keep(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.add(connection)

    def _close(self, connection: socket.socket, *, reset: bool = False) -> None:
        with self._lock:
            self._open.discard(connection)
        _end(connection, reset=reset)

    def _to_system(self) -> socket.socket:
        if self._folder is not None:
            system = socket.socket(socket.AF_UNIX)
            system.connect(self.upstream)
            return system
        host, _, port = self.upstream.rpartition(":")
        return socket.create_connection((host.strip("[]"), int(port)))

    # ------------------------------------------------------------------------------------- requests

    def _pass_on(self, client: socket.socket) -> None:
        """Requests of one connection, in the mode that rules when each of them comes."""
        system: socket.socket | None = None
        silenced = threading.Event()
        with suppress(OSError):  # somebody hung up: so does the other side
            while sent := client.recv(CHUNK):
                mode, write = self._mode, self._is_write(sent)
                self.writes += write
                if mode == "hang":
                    return
                if mode in ("fail", "garble") or (mode == "ignore" and write):
                    answers = {
                        "fail": self._failure,
                        "garble": GARBLED,
                        "ignore": self._success or b"",
                    }
                    client.sendall(answers[mode])
                    break
                if write and mode in ("lose_reply", "hang_reply"):
                    silenced.set()
                if system is None:
                    system = self._to_system()
                    self._keep(system)
                    back = (system, client, silenced)
                    threading.Thread(target=self._pass_back, args=back, daemon=True).start()
                system.sendall(sent)
            if system is None:
                self._close(client)
            else:
                system.shutdown(socket.SHUT_WR)

    def _pass_back(
        self, system: socket.socket, client: socket.socket, silenced: threading.Event
    ) -> None:
        """Pass answers back; the first one to a silenced connection ends it, or is kept."""
        with suppress(OSError):
            while answer := system.recv(CHUNK):
                if silenced.is_set():
                    break
                client.sendall(answer)
        self._close(system)
        if not silenced.is_set():
            self._close(client)
        elif self._mode != "hang_reply":
            self._close(client, reset=True)


def _end(connection: socket.socket, *, reset: bool) -> None:
    """Close it, also where another thread waits for its bytes.

    The other side sees a reset, if it is to and the kind of socket knows one; else its end.
    """
    with suppress(OSError):
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        connection.shutdown(socket.SHUT_RD if reset else socket.SHUT_RDWR)
    connection.close()
