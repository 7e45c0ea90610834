"""A real Prometheus 3.16 or VictoriaMetrics 1.151 as a process. Debian has neither: they are built
from their Go modules.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.envoy_process import free_port, wait_until

__all__ = ["PROMETHEUS", "VICTORIA_METRICS", "running"]

PROMETHEUS = "prometheus-3.16"
VICTORIA_METRICS = "victoria-metrics-1.151"

_MODULES = {
    PROMETHEUS: "-tags remove_all_sd github.com/prometheus/prometheus/cmd/prometheus@v0.316.0",
    VICTORIA_METRICS: "github.com/VictoriaMetrics/VictoriaMetrics/app/victoria-metrics@v1.151.0",
}


def _program(kind: str) -> Path:
    """Where it is. Fails the test without it: nothing else shows what these servers answer."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    folder = cache / "progressive-tests" / "metrics"
    found = sorted(folder.glob(f"{kind}*"))
    if not found:
        pytest.fail(f"{kind} is not in {folder}; it is built there with go, from {_MODULES[kind]}")
    return found[-1]


@contextlib.contextmanager
def running(
    folder: Path, config: Mapping[str, Any] | None = None, *, kind: str = PROMETHEUS
) -> Iterator[str]:
    """Its address, while it runs with this configuration and takes what is written to it."""
    (folder / "config.yml").write_text(json.dumps(config or {}))  # JSON is YAML too
    url = f"http://127.0.0.1:{free_port()}"
    with (folder / "log").open("wb") as log:
        where = url.removeprefix("http://")
        flags = {
            PROMETHEUS: [
                "--config.file=config.yml",
                "--storage.tsdb.path=data",
                f"--web.listen-address={where}",
                "--web.enable-remote-write-receiver",
            ],
            VICTORIA_METRICS: ["-storageDataPath=data", f"-httpListenAddr={where}"],
        }
        process = subprocess.Popen(
            [str(_program(kind)), *flags[kind]], cwd=folder, stdout=log, stderr=log
        )
        try:
            wait_until(f"{kind} is ready", lambda: process.poll() is not None or _ready(kind, url))
            assert process.poll() is None, (folder / "log").read_text()
            yield url
        finally:
            process.kill()
            process.wait()


def _ready(kind: str, url: str) -> bool:
    path = "/-/ready" if kind == PROMETHEUS else "/health"
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{url}{path}", trust_env=False).status_code == 200
    return False
