"""HAProxy's runtime socket in memory: maps of versions and shares, and every way in which such a
system can fail.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Self

from progressive.testing import Breakage, Breakages
from progressive.testing.contract.proxy import socket_folder

LINE = 65_536
"""The most bytes that a command may have."""


class FakeHAProxy:
    """A unix socket that answers `show map` and `set map` as HAProxy 2.6 does: one command, one
    connection.

    A success is an empty line, a failure is text; there is no status. ``writes`` has every `set
    map` that was sent, done or not. `breaking` makes it fail.
    """

    def __init__(self, map_file: str, entries: dict[str, str]) -> None:
        self._folder = socket_folder()
        self.path = f"{self._folder.name}/haproxy.sock"
        self.map_file, self.entries = map_file, dict(entries)
        self.writes: list[str] = []
        self.mode = ""
        self._held: list[socket.socket] = []
        self._lock = threading.Lock()
        self._listen()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
        self._let_go()
        self._folder.cleanup()

    @contextmanager
    def breaking(self, how: Breakage) -> Iterator[None]:
        """Fail in this way; see `progressive.testing.check_router`."""
        self.mode = how
        if how == "refuse":
            self._close()
        try:
            yield
        finally:
            self.mode = ""
            if how == "refuse":
                self._listen()
            self._let_go()

    @property
    def breakages(self) -> Breakages:
        """All of them, for ``broken=``."""
        ways: tuple[Breakage, ...] = (
            "refuse",
            "fail",
            "garble",
            "hang",
            "lose_reply",
            "hang_reply",
            "ignore",
        )
        made: dict[Breakage, Callable[[], AbstractContextManager[None]]] = {
            way: partial(self.breaking, way) for way in ways
        }
        return made

    def _listen(self) -> None:
        Path(self.path).unlink(missing_ok=True)
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(self.path)
        self._server.listen(16)
        threading.Thread(target=self._serve, args=(self._server,), daemon=True).start()

    def _close(self) -> None:
        """Nothing listens any more, and the path stays: a connection is refused."""
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _let_go(self) -> None:
        while self._held:
            self._held.pop().close()

    def _serve(self, server: socket.socket) -> None:
        while True:
            try:
                wire, _ = server.accept()
            except OSError:  # it was closed
                return
            threading.Thread(target=self._talk, args=(wire,), daemon=True).start()

    def _talk(self, wire: socket.socket) -> None:
        """Look at the command without taking it: what is closed then is a connection that was
        reset, not one that ended.
        """
        while b"\n" not in (seen := wire.recv(LINE, socket.MSG_PEEK)):
            if not seen:
                wire.close()
                return
        line = seen.decode().partition("\n")[0]
        write = line.startswith("set map ")
        if write:
            self.writes.append(line)
        if self.mode == "hang":
            self._held.append(wire)
            return
        answer = self._answer(line)
        if write and self.mode == "lose_reply":
            wire.close()
        elif write and self.mode == "hang_reply":
            self._held.append(wire)
        else:
            wire.recv(LINE)
            try:
                wire.sendall(answer)
            except OSError:  # it hung up before the answer
                return
            finally:
                wire.close()

    def _answer(self, line: str) -> bytes:
        if self.mode == "fail":
            return b"Permission denied\n\n"
        if self.mode == "garble":
            return b"HTTP/1.0 400 Bad request\r\n\r\n\xff\xfe<html>"
        with self._lock:
            match line.split():
                case ["show", "map", self.map_file]:
                    rows = [
                        f"0x{n + 1:012x} {key} {value}"
                        for n, (key, value) in enumerate(self.entries.items())
                    ]
                    return "".join(f"{row}\n" for row in [*rows, ""]).encode()
                case ["show", "backend"]:
                    names = ("v1", "v2", "blue", "green")
                    return "".join(f"{name}\n" for name in ("# name", *names, "")).encode()
                case ["set", "map", self.map_file, key, value, *_] if key in self.entries:
                    if self.mode != "ignore":
                        self.entries[key] = value
                    return b"\n"
                case ["set", "map", self.map_file, *_]:
                    return b"entry not found.\n\n"
                case [("show" | "set"), "map", *_]:
                    return b"Unknown map identifier. Please use #<id> or <file>.\n\n"
                case _:
                    return b"Unknown command: '" + line.encode() + b"'.\n\n"
