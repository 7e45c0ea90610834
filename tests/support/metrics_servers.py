"""The metrics servers that tests run against, by version, and one of them as a process.

`tests/real/install_metrics.sh` puts the programs where they are looked for here.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import attrs
import httpx
import pytest
from tests.support.envoy_process import free_port, wait_until

PROMETHEUS, VICTORIA_METRICS = "prometheus", "victoria-metrics"

ALL = "PROGRESSIVE_METRICS_SERVERS"
"""The variable that says that all should be there: then one that is missing is a failure."""


@attrs.frozen
class Server:
    """A program of one version, as the documentation names it. ``file``: how its name begins.

    Debian's unstable suite moves on, so what stands for 1.145 is whatever it had on the day.
    """

    family: str
    version: str
    file: str

    def __str__(self) -> str:
        return f"{self.family} {self.version}"


SERVERS = {
    server.version: server
    for server in (
        Server(PROMETHEUS, "2.42", "prometheus-bookworm-"),
        Server(PROMETHEUS, "2.53", "prometheus-trixie-"),
        Server(PROMETHEUS, "3.16", "prometheus-3.16"),
        Server(VICTORIA_METRICS, "1.79", "victoria-metrics-bookworm-"),
        Server(VICTORIA_METRICS, "1.145", "victoria-metrics-sid-"),
        Server(VICTORIA_METRICS, "1.151", "victoria-metrics-1.151"),
    )
}


def program_of(server: Server) -> Path:
    """Where its program is. Where nobody said that all are there, skips the test without it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    folder = cache / "progressive-tests" / "metrics"
    if found := sorted(folder.glob(f"{server.file}*")):
        return found[-1]
    why = f"{server} is not in {folder}; bash tests/real/install_metrics.sh puts it there"
    if ALL in os.environ:
        pytest.fail(why)
    pytest.skip(why)


class ServerProcess:
    """A server on a port of its own, with these flags, and with a configuration for scraping."""

    def __init__(
        self, server: Server, folder: Path, *flags: str, config: Mapping[str, Any] | None = None
    ) -> None:
        self.server, self._program = server, program_of(server)
        self._folder, self._flags, self._config = folder, flags, config or {}
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def __enter__(self) -> Self:
        wait_until(f"{self.server} starts", self._started)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _started(self) -> bool:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        (self._folder / "config.yml").write_text(json.dumps(self._config))  # JSON is YAML too
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command(port), cwd=self._folder, stdout=log, stderr=log
            )
        wait_until(f"{self.server} is ready", lambda: self._ended() or self._ready())
        if self._ended() and b"address already in use" not in (self._folder / "log").read_bytes():
            raise AssertionError(f"{self.server} ended: {(self._folder / 'log').read_text()}")
        return not self._ended()

    def _ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def _command(self, port: int) -> list[str]:
        where = f"127.0.0.1:{port}"
        if self.server.family == PROMETHEUS:
            own = [
                "--config.file=config.yml",
                "--storage.tsdb.path=data",
                f"--web.listen-address={where}",
            ]
        else:
            own = ["-storageDataPath=data", f"-httpListenAddr={where}"]
            own += ["-promscrape.config=config.yml"] if self._config else []
        return [str(self._program), *own, *self._flags]

    def _ready(self) -> bool:
        path = "/-/ready" if self.server.family == PROMETHEUS else "/health"
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.url}{path}", trust_env=False).status_code == 200
        return False

    def stop(self) -> None:
        """End it, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
