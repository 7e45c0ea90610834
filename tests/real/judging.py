"""How exactly, how quickly and at what cost each real proxy moves traffic:
``PYTHONPATH=src:. python tests/real/judging.py`` prints a table; what is not installed is left out.

Of each: how many of 20,000 requests the candidate gets at 1, 10 and 50 %; how many fail while the
weight changes ten times under load; how long it takes from the call of ``apply`` until nobody meets
the old version any more (median and worst of ten); and what one change asks the system.
"""

from __future__ import annotations

import contextlib
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from unittest import mock
from urllib.parse import urlsplit

import attrs
from tests.support import laws_table, nginx_process
from tests.support.envoy_process import free_port, wait_until
from tests.support.proxies import PROXIES, Proxy

from progressive.adapters.http import Request
from progressive.adapters.lines import Line
from progressive.model.router_state import Marker
from progressive.model.traffic import Traffic
from progressive.model.units import percent

REQUESTS = 20_000
WEIGHTS = (1, 10, 50)
CHANGES = 10
AT_ONCE = 50
"""Requests on their way on one connection: what is counted here is who answers, not how fast."""

CONNECTIONS = 4
SETTLED = 0.5
"""Seconds of load before the first change and after the last."""

ENOUGH = 20
"""Answers in a row by the new version after which the old one is taken to be gone."""


@attrs.frozen
class Quick:
    """A backend of nginx that says its name: so that Python is not what is measured."""

    name: str
    port: int


@contextmanager
def quick_backends(folder: Path) -> Iterator[tuple[Quick, ...]]:
    backends = tuple(Quick(name, free_port()) for name in ("v1", "v2", "v1-fresh"))
    servers = "\n".join(
        f"server {{ listen 127.0.0.1:{each.port}; keepalive_requests 10000000; "
        f'location / {{ default_type text/plain; return 200 "{each.name[:2]}"; }} }}'
        for each in backends
    )
    (folder / "tmp").mkdir()
    (folder / "nginx.conf").write_text(
        f"pid {folder}/pid; error_log {folder}/error.log warn;\n"
        "events { worker_connections 1024; }\n"
        "http { access_log off; client_body_temp_path tmp/body; proxy_temp_path tmp/proxy;\n"
        f"{servers}\n}}\n"
    )
    binary = nginx_process.binary()
    assert binary is not None
    command = [binary, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", "daemon off;"]
    with subprocess.Popen(command) as running:
        try:
            wait_until("the backends answer", lambda: _listens(backends[-1].port))
            yield backends
        finally:
            running.terminate()


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


class Wire:
    """One connection that is kept open, with several requests on their way at once."""

    def __init__(self, url: str) -> None:
        at = urlsplit(url)
        assert at.hostname is not None and at.port is not None
        self._at = (at.hostname, at.port)
        self._request = f"GET / HTTP/1.1\r\nHost: {at.netloc}\r\n\r\n".encode()
        self._connect()

    def _connect(self) -> None:
        self._socket = socket.create_connection(self._at, 30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def ask(self, count: int = 1) -> list[str]:
        """Who answers so many requests; the connection is made anew where it was closed idle."""
        try:
            self._socket.sendall(self._request * count)
            return [self._answer() for _ in range(count)]
        except (ConnectionError, EOFError):
            self.close()
            self._connect()
            return []

    def _answer(self) -> str:
        if not (status := self._file.readline()):
            raise EOFError
        length, chunked = 0, False
        while (line := self._file.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode().lower().partition(":")
            length = int(value) if name == "content-length" else length
            chunked = chunked or (name == "transfer-encoding" and "chunked" in value)
        body = b""
        if chunked:
            while size := int(self._file.readline(), 16):
                body += self._file.read(size)
                self._file.readline()
            self._file.readline()
        else:
            body = self._file.read(length)
        if len(body) < length:
            return "cut off"
        return body.decode() if b" 200 " in status else status.decode().split()[1]


class Load:
    """Requests without a pause on a few connections that are kept open.

    ``closed``: how often one was closed while no answer was under way, which a client that keeps
    connections tries again; ``failed``: what was answered otherwise than by a version.
    """

    def __init__(self, url: str) -> None:
        self.answers: Counter[str] = Counter()
        self.closed = 0
        self._url = url
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._use) for _ in range(CONNECTIONS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    @property
    def failed(self) -> int:
        return sum(count for answer, count in self.answers.items() if answer not in ("v1", "v2"))

    def _use(self) -> None:
        wire = Wire(self._url)
        while not self._ended.is_set():
            answers = wire.ask()
            self.answers.update(answers)
            self.closed += not answers
        wire.close()


@attrs.define
class Judged:
    """One proxy: what was counted, and what was measured in seconds."""

    proxy: Proxy
    shares: dict[int, int] = attrs.field(factory=dict)
    asked: Counter[str] = attrs.field(factory=Counter)
    load: Load | None = None
    effects: list[float] = attrs.field(factory=list)
    serial: int = 0

    def give(self, share: float) -> None:
        self.serial += 1
        traffic = Traffic(candidate=percent(share))
        marker = Marker(generation=1, serial=self.serial, owner="rjudge")
        served = self.proxy.router.apply(self.proxy.release, traffic, marker=marker, expect=None)
        assert served.shows(traffic), served

    def count(self) -> None:
        """Who answers at each weight."""
        for weight in WEIGHTS:
            self.give(weight)
            wire, found = Wire(self.proxy.url), Counter[str]()
            while found.total() < REQUESTS:
                found.update(wire.ask(AT_ONCE))
            wire.close()
            assert set(found) == {"v1", "v2"}, found
            self.shares[weight] = found["v2"] * REQUESTS // found.total()

    def change(self) -> None:
        """What is asked for one change, and how many requests fail meanwhile."""
        client = self.proxy.router._client
        exchange = type(client).exchange

        def counted(given: Any, question: Any, ends: float) -> Any:
            self.asked[_called(question)] += 1
            return exchange(given, question, ends)

        with Load(self.proxy.url) as self.load:
            time.sleep(SETTLED)
            with mock.patch.object(type(client), "exchange", counted):
                for n in range(CHANGES):
                    self.give(10 if n % 2 else 20)
            time.sleep(SETTLED)

    def time(self) -> None:
        """How long the old version is met after the call of ``apply``."""
        self.give(0)
        for n in range(CHANGES):
            new, share = ("v1", 0) if n % 2 else ("v2", 100)
            wire = Wire(self.proxy.url)
            changing = threading.Thread(target=self.give, args=(share,))
            began, in_a_row, last = time.perf_counter(), 0, 0.0
            changing.start()
            while in_a_row < ENOUGH or changing.is_alive():
                for answer in wire.ask():
                    in_a_row = in_a_row + 1 if answer == new else 0
                    last = last if answer == new else time.perf_counter() - began
            changing.join()
            wire.close()
            self.effects.append(last)


def _called(question: Any) -> str:
    """The kind of what is asked: a method, a command, a job."""
    match question:
        case Request(method=method):
            return method
        case Line(text=text):
            return text.split()[0]
        case _:
            return type(question).__name__


def judged(name: str, proxy: Proxy) -> str:
    """A row of the table."""
    found = Judged(proxy)
    found.count()
    found.change()
    found.time()
    assert found.load is not None
    asked = ", ".join(f"{count / CHANGES:g} {what}" for what, count in sorted(found.asked.items()))
    cells = [
        name.replace("_", " "),
        *(f"{share:,}" for share in found.shares.values()),
        f"{found.load.failed} of {found.load.answers.total():,}",
        str(found.load.closed),
        f"{statistics.median(found.effects) * 1000:.0f} ms",
        f"{max(found.effects) * 1000:.0f} ms",
        asked,
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    if (laws := Path(os.environ.get("PROGRESSIVE_LAWS", ""))).is_file():
        print(*laws_table.table(laws), "", sep="\n", flush=True)
    expected = (f"{weight} % ({REQUESTS * weight // 100:,})" for weight in WEIGHTS)
    heads = (
        "proxy",
        *expected,
        f"failed in {CHANGES} changes",
        "idle ones closed",
        "effect, median",
        "worst",
        "asked for a change",
    )
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}", flush=True)
    for made, installed in PROXIES.items():
        if not installed:
            continue
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "backends").mkdir()
            (folder / "proxy").mkdir()
            with quick_backends(folder / "backends") as backends:
                given: Any = backends
                with made(given, folder / "proxy") as proxy:
                    print(judged(made.__name__, proxy), flush=True)


if __name__ == "__main__":
    os.environ.setdefault("NO_PROXY", "*")
    sys.exit(main())
