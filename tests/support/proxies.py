"""Every real proxy behind one face: its router, a release, and where users reach it."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import attrs
from tests.support import caddy_process, haproxy_process, nginx_process, traefik_process
from tests.support.caddy_process import CaddyProcess
from tests.support.envoy_process import Backend, EnvoyOfFiles, EnvoyProcess
from tests.support.haproxy_process import HAProxyProcess
from tests.support.nginx_process import NginxProcess
from tests.support.traefik_process import TraefikProcess

from progressive.model.release import Release, Version
from progressive.routers.caddy import Caddy
from progressive.routers.envoy import Envoy, EnvoyRoutes
from progressive.routers.haproxy import HAProxy, HAProxyWeights

RELEASE = Release(
    service="app", stable=Version("1", backend="v1"), candidate=Version("2", backend="v2")
)

Backends = tuple[Backend, Backend, Backend]
"""Those of v1, v2 and another copy of v1."""


@attrs.frozen
class Proxy:
    """A real proxy that is running.

    * ``own``: it keeps a user by a cookie of its own, with either version; else the weights are
      shares of the users.
    * ``anew``: a new rollout draws its users anew. ``user``: they bring a cookie ``user``.
    """

    router: Any
    url: str
    release: Release = RELEASE
    own: bool = False
    anew: bool = True
    user: bool = False


Made = Callable[[Backends, Path], AbstractContextManager[Proxy]]


@contextmanager
def envoy(backends: Backends, folder: Path) -> Iterator[Proxy]:
    with (
        EnvoyProcess(backends[:2], folder) as running,
        Envoy(admin=running.admin, prefix="app") as router,
    ):
        yield Proxy(router, running.url)


@contextmanager
def envoy_routes(backends: Backends, folder: Path) -> Iterator[Proxy]:
    running = EnvoyOfFiles(backends[:2], folder)
    running.file.parent.mkdir()
    running.file.write_text(EnvoyRoutes(file=str(running.file), name="app").initial(RELEASE))
    with running, EnvoyRoutes(file=str(running.file), admin=running.admin, name="app") as router:
        yield Proxy(router, running.url)


@contextmanager
def haproxy(backends: Backends, folder: Path) -> Iterator[Proxy]:
    with (
        HAProxyProcess(backends[:2]) as running,
        HAProxy(socket=running.socket, map=running.map, affinity=True) as router,
    ):
        yield Proxy(router, f"http://127.0.0.1:{running.by_map}")


@contextmanager
def haproxy_weights(backends: Backends, folder: Path) -> Iterator[Proxy]:
    with (
        HAProxyProcess(backends[:2]) as running,
        HAProxyWeights(socket=running.socket, backend="app") as router,
    ):
        yield Proxy(router, f"http://127.0.0.1:{running.by_weights}")


@contextmanager
def caddy(backends: Backends, folder: Path) -> Iterator[Proxy]:
    with (
        CaddyProcess(backends[:2], folder) as running,
        Caddy(admin=running.admin, id="app") as router,
    ):
        stable, candidate = running.dials
        release = Release(
            service="app",
            stable=Version("1", backend=stable),
            candidate=Version("2", backend=candidate),
        )
        yield Proxy(router, f"http://127.0.0.1:{running.port}", release)


@contextmanager
def nginx(backends: Backends, folder: Path) -> Iterator[Proxy]:
    """A user's requests are drawn by a cookie that the application gives."""
    running = NginxProcess(backends, folder)
    with running.router(key="$cookie_user") as router:
        running.include().write_text(router.initial(RELEASE))
        with running:
            url = f"http://127.0.0.1:{running.port}"
            yield Proxy(router, url, anew=False, user=True)


@contextmanager
def traefik(backends: Backends, folder: Path) -> Iterator[Proxy]:
    with TraefikProcess(backends, folder) as running, running.router() as router:
        yield Proxy(router, f"http://127.0.0.1:{running.port}", own=True)


HAVE_ENVOY = importlib.util.find_spec("envoy") is not None

PROXIES: dict[Made, bool] = {
    envoy: HAVE_ENVOY,
    envoy_routes: HAVE_ENVOY,
    haproxy: haproxy_process.binary() is not None,
    haproxy_weights: haproxy_process.binary() is not None,
    caddy: caddy_process.binary() is not None,
    nginx: nginx_process.binary() is not None,
    traefik: traefik_process.binary() is not None,
}
"""Each proxy, and whether it is installed."""
